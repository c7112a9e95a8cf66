"""``why_failed``: the first failure of a trace, what led to it, and what came of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from hypervisor_observability.causality.trace_tree import TraceTree
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.facts import payload_facts
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.stores import trace_key
from hypervisor_observability.text.durations import duration_text
from hypervisor_observability.tree.wording import label
from hypervisor_observability.tree.work import Work, walk

from .answer import Answer, Item
from .chosen_trace import ChosenTrace, open_trace, read_trace
from .events import event_item
from .failure_path import FailurePath, failure_path, killed
from .reading import Reading
from .shortening import line
from .traces import newest_traces, trace_item
from .tree import work_value

_MOST = 20
_MOST_BEFORE = 8
_MOST_OWN = 12
_OWN_PAYLOAD, _OTHER_PAYLOAD = 2_000, 400
_REASON = 1_000
_NO_ARGUMENTS = (
    "What that tool was called with was not recorded: a source, such as [plugins.langchain],"
    " records it with content = 'all'; recorder.tool takes arguments."
)
_ELSEWHERE = (
    "search_events with the filter --wrong finds refusals, breaches and calls that failed in traces"
    " that went on; list_traces with state='running' what is open."
)


def why_failed(reading: Reading, text: str | None, prices: Prices | None = None) -> Answer:
    """Say why a trace failed: the newest that did, without an id.

    Raises:
        CannotAnswerError: There is no such trace.
    """
    answer = Answer()
    if text is None or not text.strip():
        newest = newest_traces(reading, state="failed", limit=1)
        found = next(iter(newest), None)
        notes = reading.notes("list_traces(state='failed', until=that time) lists older ones.")
        if found is None:
            answer.notes += [
                "No trace has failed.",
                *notes,
                _ELSEWHERE,
            ]
            return answer
        trace = read_trace(reading, trace_key(found.trace_id), prices)
        more = f" of {newest.count:,} that failed" if newest.count > 1 else " that failed"
        answer.notes += [f"The newest trace{more}: {trace.spoken_id}.", *notes]
    else:
        trace = open_trace(reading, text, prices)
    answer.notes += trace.notes
    _tell(answer, trace, reading.names())
    return answer


def _tell(answer: Answer, trace: ChosenTrace, names: AgentNames) -> None:
    path = failure_path(trace.roots)
    for event in trace.events:
        names.meet(event)
    answer.notes.append(_verdict(trace, path))
    answer.add("trace", [trace_item(trace.summary)])
    answer.add(
        "chain",
        _chain(trace.tree, path.chain),
        heading="chain, from the root to the first failure",
    )
    if path.chain:
        first = path.chain[-1]
        own = _own_events(trace, first)
        if first.kind == "tool" and not any(payload_facts.has(one, "arguments") for one in own):
            answer.notes.append(_NO_ARGUMENTS)
        answer.add(
            "first_failure_events",
            _events(own[-_MOST_OWN:], names, _OWN_PAYLOAD),
            heading="events of the first failure",
        )
        answer.add(
            "events_before",
            _events(_before(trace.events, own, first), names, _OTHER_PAYLOAD),
            heading="events just before it, newest first",
        )
    works = list(walk(trace.roots))
    for name, heading, chosen in (
        ("undone", "undone, or tried to be", [one for one in works if _is_undoing(one)]),
        ("escalated", "", [one for one in works if one.word == "ESCALATED"]),
        ("refused", "refused, breached, stopped", [one for one in works if one.state == "refused"]),
        ("other_failures", "other failures", path.others),
        ("made_good", "made good by a later attempt", path.made_good),
        ("running", "still running", [one for one in works if one.state == "running"]),
    ):
        if chosen:
            shown = [_work_item(trace.tree, one) for one in chosen[:_MOST]]
            answer.add(name, shown, heading=heading)
            if len(chosen) > _MOST:
                answer.notes.append(f"{name}: {_MOST} of {len(chosen):,} are told.")
    drawn = ", only='failed') draws what is around it" if path.chain else ") draws all of it"
    answer.notes.append(
        f"Next: get_tree(trace='{trace.spoken_id}'{drawn};"
        f" search_events(filter='--trace {trace.spoken_id}') lists its events."
    )


def _verdict(trace: ChosenTrace, path: FailurePath) -> str:
    if path.chain:
        first = path.chain[-1]
        how = "was stopped with its agent" if killed(first) else "failed"
        where = "" if len(path.chain) == 1 else f", {len(path.chain) - 1} below the root"
        counts = "" if trace.summary.failed else " The trace as a whole did not fail: work around"
        rest = " it went on." if counts else ""
        return f"What {how} first is a {first.kind}{where}.{counts}{rest}"
    if trace.summary.running:
        return "Nothing in this trace has failed; work in it is still running."
    return "Nothing in this trace has failed."


def _chain(tree: TraceTree, chain: Sequence[Work]) -> Iterable[Item]:
    for depth, work in enumerate(chain):
        item = _work_item(tree, work)
        indent = "  " * depth
        text = "\n".join(f"{indent}{one}" for one in item.text.split("\n"))
        yield Item(text, {"depth": depth, **item.data})


def _work_item(tree: TraceTree, work: Work) -> Item:
    data: dict[str, Any] = work_value(work)
    reason = _reason(work)
    if reason:
        data["reason"] = reason
    duration = work.duration_seconds
    words = [
        line(label(tree, work, None), 300),
        work.word and f"[{line(work.word, 40)}]",
        "" if duration is None else f"after {duration_text(duration)}",
    ]
    text = " ".join(word for word in words if word)
    return Item(f"{text}\n  reason: {reason}" if reason else text, data)


def _reason(work: Work) -> str:
    reason = work.reason
    if not reason and work.state == "failed" and work.ended is not None:
        reason = payload_facts.failure(work.ended)
    return line(reason, _REASON) if reason else ""


def _own_events(trace: ChosenTrace, work: Work) -> list[HypervisorEvent]:
    found = list(trace.tree.nodes[work.span_id].events)
    if work.ended is not None and all(one is not work.ended for one in found):
        found.append(work.ended)
    return found


def _before(
    events: Sequence[HypervisorEvent], own: Sequence[HypervisorEvent], work: Work
) -> list[HypervisorEvent]:
    """Give the newest events before *work* ended: of its agent, if it has one."""
    end = work.ended or work.begun
    if end is None:
        return []
    skipped = {id(event) for event in own}
    before = [
        event
        for event in events
        if id(event) not in skipped
        and event.timestamp_ns <= end.timestamp_ns
        and work.agent_did in {None, event.agent_did}
    ]
    return before[-_MOST_BEFORE:][::-1]


def _events(events: Iterable[HypervisorEvent], names: AgentNames, room: int) -> Iterable[Item]:
    return [event_item(event, names, room) for event in events]


def _is_undoing(work: Work) -> bool:
    return work.kind == "compensation" or (work.state == "undone" and work.kind == "step")
