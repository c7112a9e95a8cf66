"""``get_tree``: who caused what in a trace."""

from collections import Counter
from collections.abc import Collection
from typing import Any, Literal

from hypervisor_observability.events.timestamps import as_datetime
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.tree import render_tree
from hypervisor_observability.tree.pruning import prune
from hypervisor_observability.tree.work import State, Work, walk

from .answer import Answer
from .chosen_trace import open_trace
from .reading import Reading
from .shortening import cut
from .traces import trace_item, usage_values

_COLUMNS = 120
_MOST_TITLE = 200
_MOST_REASON = 500
_STATES: dict[str, Collection[State]] = {
    "failed": frozenset({"failed", "refused", "undone"}),
    "running": frozenset({"running"}),
}

Only = Literal["all", "failed", "running"]


def get_tree(
    reading: Reading, text: str, only: Only = "all", prices: Prices | None = None
) -> Answer:
    """Draw the tree of a trace.

    Args:
        reading: Where it is.
        text: The id of a trace, saga, session or event, or the beginning of one.
        only: ``failed``: what failed, was refused or undone, and what is around that;
            ``running``: what has not ended.
        prices: To estimate costs.

    Raises:
        CannotAnswerError: There is no such trace.
    """
    trace = open_trace(reading, text, prices)
    answer = Answer(list(trace.notes))
    states = Counter(work.state for work in walk(trace.roots))
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common() if state)
    answer.notes.append(f"Work in this trace: {told or 'none'}.")
    keep = _STATES.get(only)
    if keep is not None:
        left_out = prune(trace.roots, keep)
        if not trace.roots:
            answer.notes.append(f"Nothing in it is {only}: ask with only='all' for the whole tree.")
        elif left_out:
            answer.notes.append(
                f"Only what is {' or '.join(sorted(keep))}, and what is around it:"
                f" {left_out:,} other pieces of work are left out."
            )
    if trace.summary.failed:
        answer.notes.append(f"why_failed(trace='{trace.spoken_id}') says why it failed.")
    answer.add("trace", [trace_item(trace.summary)])
    narrow = "" if only == "failed" else "Ask with only='failed' for what matters most."
    drawn = render_tree(trace.tree, width=_COLUMNS, prices=prices, only=keep)
    answer.add_lines("tree", drawn.split("\n")[1:], narrow)
    answer.add_data("work", work_values(trace.roots))
    return answer


def work_values(roots: list[Work]) -> list[dict[str, Any]]:
    """Tell of each piece of work, parents before what they caused; ``depth`` says how deep."""
    depths: dict[int, int] = {}
    values = []
    for work in walk(roots):
        depth = 0 if work.parent is None else depths.get(id(work.parent), -1) + 1
        depths[id(work)] = depth
        values.append({"depth": depth, **work_value(work)})
    return values


def work_value(work: Work) -> dict[str, Any]:
    """Tell of a piece of work."""
    begun = work.begun
    value = {
        "kind": work.kind,
        "title": cut(work.title, _MOST_TITLE) or None,
        "state": work.state or None,
        "word": cut(work.word, 40) if work.word != work.state else None,
        "agent": work.agent_did if work.kind != "agent" or work.title != work.agent_did else None,
        "ring": work.ring or None,
        "details": [cut(one, _MOST_TITLE) for one in work.details] or None,
        "reason": cut(work.reason, _MOST_REASON) or None,
        "begun": None if begun is None else as_datetime(begun.timestamp_ns).isoformat(),
        "duration_seconds": work.duration_seconds,
        **({} if work.usage is None else usage_values(work.usage)),
        "span": work.span_id,
    }
    return {key: one for key, one in value.items() if one is not None}
