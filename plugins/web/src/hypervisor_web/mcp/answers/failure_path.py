"""From the root of a trace to what failed first: the path that an error took, turned round."""

from collections.abc import Iterator, Sequence

from attrs import define, field

from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.facts import saga_facts
from hypervisor_observability.tree.work import Work, walk

# Work whose failure is one of the trace; that of a call counts if work around it failed.
_COUNTING = frozenset({"run", "agent", "saga", "step", "fan-out", "compensation"})


@define(eq=False)
class FailurePath:
    """What failed in a trace.

    Attributes:
        chain: From the root to the first failure; empty if nothing failed.
        others: Other first failures, the earliest first.
        made_good: Attempts at a step that a later one made good.
    """

    chain: list[Work] = field(factory=list)
    others: list[Work] = field(factory=list)
    made_good: list[Work] = field(factory=list)


def failure_path(roots: list[Work]) -> FailurePath:
    """Find the first failure, and how it went up."""
    made_good = _made_good(roots)
    hidden = {id(one) for attempt in made_good for one in walk([attempt])}
    bad = {id(work) for work in walk(roots) if _is_bad(work) and id(work) not in hidden}
    tops = [work for work in walk(roots) if id(work) in bad and not _has_bad_above(work, bad)]
    found = FailurePath(made_good=made_good)
    if not tops:
        return found
    top = min(tops, key=lambda work: (work.kind not in _COUNTING, _ended(work)))
    first = top
    while below := _cause(first, [one for one in _nearest(first, bad) if id(one) in bad]):
        first = below
    found.chain = [*reversed(list(_above(first))), first]
    on_path = {id(work) for work in found.chain}
    found.others = sorted(
        (
            work
            for work in walk(roots)
            if id(work) in bad and id(work) not in on_path and not any(_nearest(work, bad))
        ),
        key=_ended,
    )
    return found


def _is_bad(work: Work) -> bool:
    return work.state == "failed" or (work.kind == "saga" and work.state == "undone")


def _made_good(roots: list[Work]) -> list[Work]:
    """Find attempts that failed, where another attempt at the same step succeeded."""
    steps = [work for work in walk(roots) if work.kind == "step"]
    succeeded = {
        _step_key(work)
        for work in steps
        if work.state in {"ok", "undone"} and work.begun is not None
    }
    return [work for work in steps if work.state == "failed" and _step_key(work) in succeeded]


def _step_key(work: Work) -> tuple[str, ...]:
    event = work.begun or work.ended
    return (work.span_id,) if event is None else saga_facts.part_key(event)[:3]


def _nearest(work: Work, bad: set[int]) -> Iterator[Work]:
    """Give what is bad below *work*, but not what is below that."""
    waiting = list(reversed(work.children))
    while waiting:
        one = waiting.pop()
        if id(one) in bad:
            yield one
        else:
            waiting.extend(reversed(one.children))


def _cause(work: Work, below: Sequence[Work]) -> Work | None:
    """Choose which of the failures *below* was the reason for that of *work*.

    An exception on its way out is the reason of every scope that it leaves. Without one that has
    the same words, the first failure is taken; not a compensation, which came after one.
    """
    if not below:
        return None
    ordered = sorted(below, key=lambda one: (one.kind == "compensation", _ended(one)))
    same = (one for one in ordered if work.reason and _shares_reason(work, one))
    return next(same, ordered[0])


def _shares_reason(work: Work, other: Work) -> bool:
    return bool(other.reason) and (other.reason in work.reason or work.reason in other.reason)


def _above(work: Work) -> Iterator[Work]:
    above = work.parent
    while above is not None:
        yield above
        above = above.parent


def _has_bad_above(work: Work, bad: set[int]) -> bool:
    return any(id(above) in bad for above in _above(work))


def _ended(work: Work) -> int:
    event = work.ended or work.begun
    return 0 if event is None else event.timestamp_ns


def killed(work: Work) -> bool:
    """Tell whether *work* ended because its agent was made to."""
    return work.ended is not None and work.ended.event_type in {
        EventType.AGENT_KILLED,
        EventType.QUARANTINE_ENTERED,
    }
