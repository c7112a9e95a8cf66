"""A summary of a trace says what its tree says."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.tree import build_tree
from hypervisor_observability.tree.outline import outline
from hypervisor_observability.tree.summaries import MOST_TRACES, Best, Summaries
from hypervisor_observability.tree.summary import TraceSummary
from hypervisor_observability.tree.work import walk

Deed = tuple[str, bool, list["Deed"]]
KINDS = st.sampled_from(["agent", "run", "tool", "model", "saga", "decision", "breach", "usage"])
DEEDS: st.SearchStrategy[Deed] = st.recursive(
    st.tuples(KINDS, st.booleans(), st.just([])),
    lambda within: st.tuples(KINDS, st.booleans(), st.lists(within, max_size=3)),
    max_leaves=8,
)


def do(recorder: Recorder, deed: Deed, number: list[int]) -> None:
    kind, fails, within = deed
    number[0] += 1
    if kind == "decision":
        recorder.decision(not fails, tool_name="shell")
    elif kind == "breach":
        recorder.breach("shell", ring=3, required_ring=0, severity="high")
    elif kind == "usage":
        recorder.usage(model="m", input_tokens=number[0], output_tokens=1)
    else:
        scopes: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "agent": lambda: recorder.agent(f"did:{number[0]}"),
            "run": lambda: recorder.run("answer"),
            "tool": lambda: recorder.tool("search"),
            "model": lambda: recorder.model("m"),
            "saga": lambda: recorder.saga("trip"),
        }
        with suppress(ValueError), scopes[kind]():
            for one in within:
                do(recorder, one, number)
            if fails:
                raise ValueError("no")


def events_of(deeds: list[Deed]) -> list[HypervisorEvent]:
    bus = HypervisorEventBus()
    recorder, number = Recorder(bus), [0]
    with recorder.agent("did:root", name="root"):
        for one in deeds:
            do(recorder, one, number)
    return list(bus.all_events)


def summary_of(events: list[HypervisorEvent]) -> TraceSummary:
    found: list[TraceSummary] = []
    summaries = Summaries(found.append)
    for event in events:
        summaries.take(event)
    summaries.close()
    (one,) = found
    return one


@given(st.lists(DEEDS, max_size=4), st.integers(0, 30))
def test_summary_says_what_the_tree_says(deeds: list[Deed], missing: int) -> None:
    events = events_of(deeds)
    # A trace that has not ended has but its first events.
    events = events[: max(1, len(events) - missing)]
    summary = summary_of(events)
    tree = build_tree(events, summary.trace_id)
    works = list(walk(roots := outline(tree)))
    kinds = Counter((work.kind, work.state) for work in works)

    assert summary.root == "agent root"
    assert set(summary.agents) == {work.agent_did for work in works if work.kind == "agent"}
    assert summary.breaches == kinds["breach", "refused"]
    assert summary.refusals == kinds["decision", "refused"] + sum(
        work.word == "blocked" for work in works
    )
    assert summary.running == any(work.state == "running" for work in works)
    assert summary.failed == any(
        work.state in {"failed", "undone"} and work.kind not in {"tool", "model"} for work in works
    )
    tokens = sum(work.usage.tokens for work in roots if work.usage is not None)
    assert summary.usage.tokens == tokens


def test_traces_without_end_are_summed_up_in_bounded_memory() -> None:
    newest = Best(5, lambda _: True)
    summaries = Summaries(newest.offer)
    most = 0
    for number in range(1, MOST_TRACES + 501):
        summaries.take(
            HypervisorEvent(
                event_type=EventType.VFS_WRITE,
                timestamp=1_800_000_000 + number,
                causal_trace_id=f"{number:012x}/{number:08x}",
            )
        )
        most = max(most, len(summaries._ended) + len(summaries._running))
    summaries.close()

    assert most <= MOST_TRACES + 1
    assert newest.count == MOST_TRACES + 500
    assert [one.trace_id for one in newest] == [
        f"{number:012x}" for number in range(MOST_TRACES + 500, MOST_TRACES + 495, -1)
    ]
