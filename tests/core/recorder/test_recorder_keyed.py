"""Work under keys, as a framework's callbacks tell of it."""

import asyncio
import logging
import multiprocessing
import os
import uuid
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
    current_trace,
)
from hypervisor_observability.events import clock
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    AGENT_HANDOFF,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
)
from hypervisor_observability.recorder import HERE, keyed_table
from hypervisor_observability.recorder.kinds import KINDS, KindName
from hypervisor_observability.testing import check_payloads
from tests.core.recorder.records import NAMES, ends, in_threads, only, starts, trace_of


def test_event_that_was_made_elsewhere_keeps_its_ids_and_its_time(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    made = HypervisorEvent("e-1", EventType.VFS_WRITE, 7.5, "s", "did:a", "not/a/known/id", "e-0")

    with recorder.agent("did:b"):
        recorder.emit(made)

    (found,) = bus.query_by_type(EventType.VFS_WRITE)
    assert found.to_dict() == made.to_dict()


def test_callbacks_of_a_framework_give_the_tree_of_its_run(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    run, agent, tool = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()

    recorder.open("run", run, name="release", kind="graph")
    recorder.open("agent", agent, run, agent_did="did:a", name="a")
    recorder.open("tool", tool, agent, tool_name="search", call_id="c1")
    recorder.point("vfs.write", tool, path="found.txt")
    recorder.close(tool, result="3 hits")
    recorder.point(AGENT_HANDOFF, agent, from_agent="did:a", to_agent="did:b")
    recorder.close(agent)
    recorder.close(run, ValueError("no"))

    events = bus.all_events
    assert [event.event_type.value for event in events] == [
        "run.started", "session.joined", "tool.started", "vfs.write",
        "tool.finished", "agent.handoff", "agent.finished", "run.finished",
    ]  # fmt: skip
    by_key = {"run": events[0], "agent": events[1], "tool": events[2]}
    assert [event.parent_event_id for event in events] == [
        None,
        *(by_key[name].event_id for name in ("run", "agent", "tool", "tool")),
        *(by_key[name].event_id for name in ("agent", "agent", "run")),
    ]
    spans = [trace_of(event) for event in events]
    assert len({span.trace_id for span in spans}) == 1
    assert spans[2].parent_span_id == spans[1].span_id
    assert spans[1].parent_span_id == spans[0].span_id
    assert spans[3] == spans[4] == spans[2]
    assert [event.agent_did for event in events] == [None, *["did:a"] * 6, None]
    assert (
        events[4].payload.items() >= {"call_id": "c1", "status": "ok", "result": "3 hits"}.items()
    )
    assert events[7].payload["error_type"] == "ValueError"
    check_payloads(events)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [None, "no", ValueError("no"), asyncio.CancelledError()])
def test_each_kind_says_how_it_ended(
    bus: HypervisorEventBus, recorder: Recorder, kind: KindName, error: Any
) -> None:
    recorder.open(kind, 1, attributes={"a": 1}, **NAMES[kind])
    event = recorder.close(1, error, attributes={"b": 2})

    (start,), (end,) = starts(bus), ends(bus)
    assert event == end
    assert end.parent_event_id == start.event_id
    assert end.causal_trace_id == start.causal_trace_id
    assert (start.payload["attributes"], end.payload["attributes"]) == ({"a": 1}, {"b": 2})
    said = {**end.payload, "type": end.event_type.value.rpartition(".")[2]}
    how = {
        "saga": ("outcome", "committed", "failed"),
        "compensation": ("phase", "succeeded", "failed"),
        "step": ("type", "step_committed", "step_failed"),
        "session": ("type", "terminated", "terminated"),
        "fan_out": ("type", "fanout_resolved", "fanout_resolved"),
    }
    key, well, badly = how.get(kind, ("status", "ok", "error"))
    if isinstance(error, asyncio.CancelledError):
        assert said["status"] == "cancelled"
    else:
        assert said[key] == (well if error is None else badly)
    assert ("error" in said) == (error is not None)
    check_payloads(bus.all_events)


@pytest.mark.parametrize("status", ["blocked", "cancelled"])
def test_status_that_is_told_overrules_the_error(
    bus: HypervisorEventBus, recorder: Recorder, status: str
) -> None:
    recorder.open("tool", 1, tool_name="deploy")
    recorder.close(1, PermissionError("no"), status=status)

    assert only(bus, TOOL_FINISHED).payload["status"] == status


def test_steps_know_their_saga_and_say_which_they_are(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    recorder.open("saga", "g", name="release")
    recorder.open("step", "s", "g", step_action="compile", attempt=2)
    recorder.close("s", "no disk", will_retry=True)
    recorder.close("g", outcome="compensated")

    saga_id = only(bus, EventType.SAGA_CREATED).payload["saga_id"]
    failed = only(bus, EventType.SAGA_STEP_FAILED).payload
    assert failed == {
        "saga_id": saga_id, "step_id": "compile", "step_action": "compile", "attempt": 2,
        "error": "no disk", "reason": "no disk", "will_retry": True,
    }  # fmt: skip
    assert only(bus, EventType.SAGA_COMPLETED).payload["outcome"] == "compensated"


def test_ring_of_an_agent_is_assigned(bus: HypervisorEventBus, recorder: Recorder) -> None:
    trace = recorder.open("agent", 1, agent_did="did:a", ring=0)

    assigned = only(bus, EventType.RING_ASSIGNED)
    assert trace is not None
    assert assigned.causal_trace_id == trace.full_id
    assert assigned.payload == {"ring": 0}


@pytest.mark.parametrize(("name", "did"), [("writer", "writer"), (None, "run-2")])
def test_agent_without_an_identifier_is_not_its_parent(
    bus: HypervisorEventBus, recorder: Recorder, name: str | None, did: str
) -> None:
    recorder.open("agent", "run-1", agent_did="did:lead")
    recorder.open("agent", "run-2", "run-1", name=name)

    assert bus.all_events[-1].agent_did == did


def test_duration_does_not_depend_on_the_wall_clock(
    bus: HypervisorEventBus, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.open("tool", 1, tool_name="search")
    monkeypatch.setattr(clock, "utc_offset_ns", clock.utc_offset_ns + 3_600_000_000_000)
    recorder.close(1)

    assert 0 <= only(bus, TOOL_FINISHED).payload["duration_seconds"] < 600


# Keys


def test_what_is_open_already_stays_and_is_recorded_once(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    first = recorder.open("tool", 1, tool_name="search")

    assert recorder.open("run", 1, name="other") == first
    assert recorder.close(1) is not None
    assert recorder.close(1) is None
    assert [event.event_type for event in bus.all_events] == [TOOL_STARTED, TOOL_FINISHED]


def test_key_can_be_used_again_after_its_end(bus: HypervisorEventBus, recorder: Recorder) -> None:
    for _ in range(2):
        recorder.open("tool", 1, tool_name="search")
        recorder.close(1)

    assert len({event.causal_trace_id for event in bus.all_events}) == 2
    assert len(starts(bus)) == len(ends(bus)) == 2


def test_parent_that_has_ended_is_remembered(bus: HypervisorEventBus, recorder: Recorder) -> None:
    recorder.open("run", "r", name="release", session_id="s1")
    recorder.close("r")
    recorder.open("tool", "t", "r", tool_name="search")
    recorder.point("vfs.write", "r", path="a")

    started = only(bus, RUN_STARTED)
    for event in (only(bus, TOOL_STARTED), only(bus, EventType.VFS_WRITE)):
        assert event.parent_event_id == started.event_id
        assert event.session_id == "s1"
    assert trace_of(only(bus, TOOL_STARTED)).parent_span_id == trace_of(started).span_id


def test_unknown_parent_makes_a_root(bus: HypervisorEventBus, recorder: Recorder) -> None:
    recorder.open("tool", 1, "nobody", tool_name="search")

    assert only(bus, TOOL_STARTED).parent_event_id is None


def test_oldest_of_too_many_is_closed_as_expired(recorder: Recorder) -> None:
    bus = HypervisorEventBus(None)
    recorder = Recorder(bus)
    most = keyed_table.MAX_OPEN
    assert most == 10_000
    for key in range(most + 2):
        recorder.open("tool", key, tool_name="search", call_id=str(key))

    expired = ends(bus)
    assert [event.payload["call_id"] for event in expired] == ["0", "1"]
    assert {event.payload["status"] for event in expired} == {"expired"}
    assert recorder.close(0) is None
    assert recorder.close(2) is not None
    # What begins below it later still hangs below it.
    child = recorder.open("tool", "child", 0, tool_name="late")
    assert child is not None
    assert child.parent_span_id == trace_of(expired[0]).span_id
    check_payloads(bus.all_events)


# Ids and times from outside


def test_ids_are_taken_over_from_outside(bus: HypervisorEventBus, recorder: Recorder) -> None:
    trace, agent, tool = "a" * 32, "b" * 16, "c" * 16

    recorder.open("agent", 1, agent_did="did:a", trace=CausalTraceId.from_w3c(trace, agent))
    recorder.open("tool", 2, 1, tool_name="search", trace=f"{trace}/{tool}")

    assert only(bus, EventType.SESSION_JOINED).causal_trace_id == f"{trace}/{agent}"
    assert only(bus, TOOL_STARTED).causal_trace_id == f"{trace}/{tool}/{agent}"


def test_id_that_is_none_is_drawn_and_told(
    bus: HypervisorEventBus, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.open("run", 0, name="release")
    with caplog.at_level(logging.WARNING):
        trace = recorder.open("tool", 1, 0, tool_name="search", trace="no id at all")

    assert trace is not None
    assert trace.parent_span_id == trace_of(only(bus, RUN_STARTED)).span_id
    assert "was not recorded so" in caplog.text


def test_times_are_taken_over_from_outside(bus: HypervisorEventBus, recorder: Recorder) -> None:
    begin = 1_700_000_000_123_456_789
    recorder.open("tool", 1, tool_name="search", timestamp_ns=begin)
    recorder.close(1, timestamp_ns=begin + 1_500_000_001)

    start, end = bus.all_events
    assert (start.timestamp_ns, end.timestamp_ns) == (begin, begin + 1_500_000_001)
    assert end.payload["duration_seconds"] == 1.500000001


@pytest.mark.parametrize("timestamp_ns", [-1, 10**30, "now", 1.5, float("nan"), True])
def test_time_that_is_none_is_now(
    bus: HypervisorEventBus, recorder: Recorder, timestamp_ns: Any
) -> None:
    with recorder.tool("now"):
        recorder.point("vfs.write", timestamp_ns=timestamp_ns)

    begin, point, end = bus.all_events
    assert begin.timestamp_ns <= point.timestamp_ns <= end.timestamp_ns


# Where the code stands


def test_nothing_is_taken_from_the_running_code(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.session("s1"), recorder.agent("did:a") as agent:
        trace = recorder.open("run", 1, name="release")
        assert current_trace() == agent.trace
        recorder.close(1)

    assert trace is not None
    assert trace.trace_id != agent.trace.trace_id
    started = only(bus, RUN_STARTED)
    assert (started.session_id, started.agent_did, started.parent_event_id) == (None, None, None)


def test_work_hangs_below_the_running_code_where_that_is_asked(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.session("s1"), recorder.agent("did:a") as agent:
        trace = recorder.open("run", 1, HERE, name="release")
        recorder.point("vfs.write", recorder.HERE, path="a")

    assert trace is not None
    assert trace.parent_span_id == agent.trace.span_id
    joined = only(bus, EventType.SESSION_JOINED)
    for event in (only(bus, RUN_STARTED), only(bus, EventType.VFS_WRITE)):
        assert event.parent_event_id == joined.event_id
        assert event.session_id == "s1"


def test_code_in_an_activated_tool_records_below_it_until_its_end(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    trace = recorder.open("tool", 1, tool_name="search", activate=True)
    assert current_trace() == trace
    recorder.vfs.write("a")
    recorder.close(1)

    assert current_trace() is None
    assert only(bus, EventType.VFS_WRITE).parent_event_id == only(bus, TOOL_STARTED).event_id


def test_activated_work_that_ends_in_another_thread_leaves_nobody_behind(
    recorder: Recorder,
) -> None:
    recorder.open("tool", 1, tool_name="search", activate=True)
    in_threads(lambda _: recorder.close(1), 1)

    assert current_trace() is None


def test_code_of_a_block_stands_in_what_is_open_under_a_key(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    trace = recorder.open("tool", 1, tool_name="search")

    def work(_: int) -> None:
        with recorder.inside(1) as inside:
            assert inside == current_trace() == trace
            recorder.vfs.write("a")
        with recorder.agent("did:a") as agent, recorder.inside("unknown"):
            assert current_trace() == agent.trace

    in_threads(work, 1)
    recorder.close(1)

    assert only(bus, EventType.VFS_WRITE).parent_event_id == only(bus, TOOL_STARTED).event_id
    assert [event.event_type for event in ends(bus)] == [AGENT_FINISHED, TOOL_FINISHED]


# Whatever comes


class Hostile:
    def __hash__(self) -> int:
        raise RuntimeError("hostile")

    __eq__ = __str__ = __repr__ = __bool__ = __hash__  # type: ignore[assignment]  # on purpose


@pytest.mark.parametrize("value", [Hostile(), [], {}, object(), None, b"\xff", float("nan")])
def test_no_argument_makes_it_raise(
    bus: HypervisorEventBus, recorder: Recorder, value: Any
) -> None:
    recorder.open(value, "a", name="x")
    recorder.open("tool", value, tool_name="x")
    recorder.close(value)
    recorder.open("tool", "b", value, tool_name=value, session_id=value, agent_did=value)
    recorder.open("agent", "c", trace=value, timestamp_ns=value, attributes=value, ring=value)
    recorder.open("run", "d", activate=value, name=value, run_id=value)
    recorder.open("saga", "e", name=value, saga_id=value)
    recorder.open("step", "f", "e", step_action=value, step_id=value)
    for key in "abcdef":
        recorder.close(key, value, timestamp_ns=value, status=value, outcome=value, odd=value)
    recorder.point(value, value)
    recorder.point("vfs.write", "b", session_id=value, agent_did=value, trace=value, odd=value)
    with recorder.inside(value):
        pass

    assert len(starts(bus)) == len(ends(bus)) >= 5
    assert current_trace() is None


def test_work_that_a_subscriber_ends_while_it_begins_ends_after_its_beginning(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    bus.subscribe(TOOL_STARTED, lambda _: recorder.close("t", "at once"))

    trace = recorder.open("tool", "t", tool_name="search", activate=True)

    start, end = bus.all_events
    assert (start.event_type, end.event_type) == (TOOL_STARTED, TOOL_FINISHED)
    assert trace_of(end) == trace
    assert end.payload["error"] == "at once"
    assert current_trace() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_of_a_fork_leaves_to_its_parent_what_that_began(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    recorder.open("run", "r", name="release")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        recorder.close("r")
        trace = recorder.open("tool", "t", "r", tool_name="search")
        recorder.close("t")
        answers.put(([event.event_type.value for event in bus.all_events], str(trace)))

    process = context.Process(target=child)
    held = recorder._keyed.table._lock
    with held:  # as another thread may hold it
        process.start()
    kinds, trace = answers.get()
    process.join(60)
    recorder.close("r")

    assert kinds == ["tool.started", "tool.finished"]
    run = trace_of(only(bus, RUN_STARTED))
    assert CausalTraceId.from_string(trace).parent_span_id == run.span_id
    assert len(bus.query_by_type(RUN_FINISHED)) == 1


def test_innermost_parent_is_what_the_running_code_has_opened_below_it(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    recorder.open("run", "run", name="answer")
    recorder.open("agent", "other", agent_did="did:other", activate=True)

    assert recorder.innermost("run") == "run"  # the code stands in another tree
    recorder.close("other")
    recorder.open("tool", "tool", "run", tool_name="ask", activate=True)
    assert recorder.innermost("tool") == "tool"
    assert recorder.innermost("run") is HERE
    with recorder.agent("did:helper"):
        assert recorder.innermost("tool") is HERE
        recorder.open("model", "model", recorder.innermost("tool"), model="m")
    assert recorder.innermost("tool") == "tool"
    for key in ("model", "tool", "run"):
        recorder.close(key)

    assert recorder.innermost("tool") == "tool"
    assert recorder.innermost("unknown") == "unknown"
    assert recorder.innermost(HERE) is HERE
    assert only(bus, EventType.of("model.started")).agent_did == "did:helper"


def test_innermost_parent_of_what_is_no_key_is_left_as_it_is(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    key: Any = []

    assert recorder.innermost(key) is key
    assert "unhashable" in caplog.text
