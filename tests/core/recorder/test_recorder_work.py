"""Runs, calls of tools and models, handoffs; attributes and cancellations of every scope."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from contextlib import AbstractContextManager
from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Recorder
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    AGENT_HANDOFF,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    USAGE_RECORDED,
)
from hypervisor_observability.metrics.ring_collector import RingMetricsCollector
from hypervisor_observability.testing import check_payloads
from tests.core.recorder.records import WorkError, only, trace_of

CANCELLATIONS = [
    asyncio.CancelledError(),
    GeneratorExit(),
    FutureCancelledError(),
    type("Own", (asyncio.CancelledError,), {})("enough"),
    BaseExceptionGroup("both", [asyncio.CancelledError(), GeneratorExit()]),
]
FAILURES = [
    WorkError(),
    KeyboardInterrupt(),
    SystemExit(1),
    TimeoutError(),
    BaseExceptionGroup("one failed", [asyncio.CancelledError(), WorkError()]),
]


def end(bus: HypervisorEventBus, kind: EventType) -> dict[str, Any]:
    return dict(only(bus, kind).payload)


# What they write


def test_run_holds_agents_and_their_handoffs_together(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("release", kind="crew") as run:
        with recorder.agent("did:lead"):
            recorder.handoff("did:builder", reason="compiles")
        with recorder.agent("did:builder"):
            pass

    started, finished = only(bus, RUN_STARTED), only(bus, RUN_FINISHED)
    assert started.payload == {"name": "release", "run_id": run.run_id, "kind": "crew"}
    assert (
        finished.payload.items()
        >= {"name": "release", "run_id": run.run_id, "status": "ok"}.items()
    )
    assert finished.payload["duration_seconds"] >= 0
    joined = bus.query_by_type(EventType.SESSION_JOINED)
    assert [event.parent_event_id for event in joined] == [started.event_id] * 2
    assert [trace_of(event).parent_span_id for event in joined] == [run.trace.span_id] * 2
    handoff = only(bus, AGENT_HANDOFF)
    assert handoff.payload == {
        "from_agent": "did:lead", "to_agent": "did:builder", "reason": "compiles",
    }  # fmt: skip
    assert handoff.parent_event_id == joined[0].event_id


def test_what_happens_in_a_tool_stands_below_it(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"), recorder.tool("search", call_id="c1", arguments={"q": 1}) as call:
        recorder.vfs.write("found.txt")
        call.result = "3 hits"

    started, finished, write = only(bus, TOOL_STARTED), only(bus, TOOL_FINISHED), only(bus, VFS)
    assert started.payload == {
        "tool_name": "search", "call_id": "c1", "attempt": 1, "arguments": {"q": 1},
    }  # fmt: skip
    assert started.agent_did == finished.agent_did == "did:a"
    assert finished.payload["status"] == "ok"
    assert finished.payload["result"] == "3 hits"
    assert finished.payload["call_id"] == "c1"
    assert write.parent_event_id == started.event_id
    assert write.causal_trace_id == call.trace.full_id


VFS = EventType.VFS_WRITE


def test_refused_tool_is_blocked_whatever_its_block_raises(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(PermissionError), recorder.tool("deploy") as call:
        call.block("not in this ring")
        raise PermissionError("no")

    finished = end(bus, TOOL_FINISHED)
    assert finished["status"] == "blocked"
    assert finished["reason"] == "not in this ring"
    assert finished["error"] == "no"


def test_model_tells_of_its_first_token_and_its_use(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.model("m-1", provider="acme", stream=True) as call:
        assert call.first_token_seconds is None
        call.first_token()
        first = call.first_token_seconds
        call.first_token()
        recorder.usage(model="m-1", input_tokens=3, output_tokens=1)
        call.finish_reason = "stop"

    assert call.first_token_seconds == first
    started, finished = only(bus, MODEL_STARTED), end(bus, MODEL_FINISHED)
    assert started.payload == {
        "model": "m-1", "provider": "acme", "operation": "chat", "stream": True,
    }  # fmt: skip
    assert finished["finish_reason"] == "stop"
    assert 0 <= finished["first_token_seconds"] <= finished["duration_seconds"]
    assert only(bus, USAGE_RECORDED).parent_event_id == started.event_id


@pytest.mark.parametrize("leaves", [False, True])
def test_first_value_of_a_decorated_stream_is_the_first_token(
    bus: HypervisorEventBus, recorder: Recorder, leaves: bool
) -> None:
    @recorder.model("m-1")
    def stream() -> Iterator[str]:
        yield "a"
        yield "b"

    for _ in stream():
        if leaves:
            break

    finished = end(bus, MODEL_FINISHED)
    assert finished["status"] == "ok"  # a reader who leaves has what it wanted
    assert 0 <= finished["first_token_seconds"] <= finished["duration_seconds"]


@pytest.mark.parametrize("leaves", [False, True])
def test_first_value_of_an_asynchronous_stream_is_the_first_token(
    bus: HypervisorEventBus, recorder: Recorder, leaves: bool
) -> None:
    @recorder.model("m-1")
    async def stream() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def main() -> None:
        values = stream()
        async for _ in values:
            if leaves:
                break
        await values.aclose()  # type: ignore[attr-defined]  # an asynchronous generator

    asyncio.run(main())

    finished = end(bus, MODEL_FINISHED)
    assert finished["status"] == "ok"
    assert 0 <= finished["first_token_seconds"] <= finished["duration_seconds"]


def test_stream_that_a_plain_call_returns_has_a_first_token_too(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    def stream() -> Iterator[str]:
        yield "a"

    @recorder.model("m-1")
    def ask() -> Iterator[str]:
        return stream()

    assert list(ask()) == ["a"]
    assert "first_token_seconds" in end(bus, MODEL_FINISHED)


def test_stream_that_gives_nothing_has_no_first_token(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.model("m-1")
    def stream() -> Iterator[str]:
        yield from ()

    assert list(stream()) == []
    assert "first_token_seconds" not in end(bus, MODEL_FINISHED)


def test_scopes_work_as_decorators_of_coroutines(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.run("release")
    async def release() -> str:
        return await search()

    @recorder.tool("search")
    async def search() -> str:
        await asyncio.sleep(0)
        return "found"

    assert asyncio.run(release()) == "found"
    assert only(bus, TOOL_STARTED).parent_event_id == only(bus, RUN_STARTED).event_id
    assert end(bus, TOOL_FINISHED)["status"] == end(bus, RUN_FINISHED)["status"] == "ok"


# Cancellations

SCOPES: dict[str, tuple[Callable[[Recorder], AbstractContextManager[Any]], EventType]] = {
    "agent": (lambda r: r.agent("did:a"), AGENT_FINISHED),
    "run": (lambda r: r.run("release"), RUN_FINISHED),
    "tool": (lambda r: r.tool("search"), TOOL_FINISHED),
    "model": (lambda r: r.model("m-1"), MODEL_FINISHED),
    "step": (lambda r: r.step("compile"), EventType.SAGA_STEP_FAILED),
    "session": (lambda r: r.session("s1"), EventType.SESSION_TERMINATED),
}


@pytest.mark.parametrize("error", CANCELLATIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", SCOPES)
def test_cancellation_is_a_status_of_its_own(
    bus: HypervisorEventBus, recorder: Recorder, name: str, error: BaseException
) -> None:
    make, kind = SCOPES[name]
    with pytest.raises(type(error)), make(recorder):
        raise error

    reason = "closed early" if type(error) is GeneratorExit else "cancelled"
    assert (end(bus, kind)["status"], end(bus, kind)["reason"]) == ("cancelled", reason)
    check_payloads(bus.all_events)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", SCOPES)
def test_failure_is_no_cancellation(
    bus: HypervisorEventBus, recorder: Recorder, name: str, error: BaseException
) -> None:
    make, kind = SCOPES[name]
    with pytest.raises(type(error)), make(recorder):
        raise error

    assert end(bus, kind).get("status") == (None if name in ("step", "session") else "error")
    assert end(bus, kind)["error_type"]


class Pause:
    def __await__(self) -> Generator[None]:
        yield


async def forever(recorder: Recorder) -> None:
    with recorder.tool("wait"):
        await Pause()


def test_cancelled_task_and_closed_coroutine_are_cancelled(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.tool("search")
    async def search() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(search())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    coroutine = search()
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    begun = forever(recorder)
    begun.send(None)
    begun.close()

    ends = bus.query_by_type(TOOL_FINISHED)
    assert [event.payload["status"] for event in ends] == ["cancelled", "error", "cancelled"]
    assert ends[2].payload["reason"] == "closed early"


# Attributes


def all_scopes(recorder: Recorder) -> Iterator[tuple[str, AbstractContextManager[Any]]]:
    given = {"team": "blue"}
    yield "session", recorder.session("s1", attributes=given)
    yield "run", recorder.run("release", attributes=given)
    yield "agent", recorder.agent("did:a", attributes=given)
    yield "tool", recorder.tool("search", attributes=given)
    yield "model", recorder.model("m-1", attributes=given)
    yield "elevation", recorder.elevation(3, 1, attributes=given)
    yield "saga", recorder.saga("release", attributes=given)
    yield "step", recorder.step("compile", attributes=given)
    with recorder.saga("around") as saga:
        yield "step of a saga", saga.step("compile", attributes=given)
        yield "fan-out", saga.fan_out(attributes=given)
        yield "compensation", saga.compensate("undo", attributes=given)
        with saga.fan_out() as fan_out:
            yield "branch", fan_out.branch("left", attributes=given)


@pytest.mark.parametrize("fails", [False, True])
def test_every_scope_takes_attributes_and_sets_more(
    bus: HypervisorEventBus, recorder: Recorder, fails: bool
) -> None:
    seen = []
    for name, scope in all_scopes(recorder):
        before = len(bus.all_events)
        try:
            with scope as subject:
                subject.set(size=1)
                subject.set(size=2, self=True)
                if fails:
                    raise WorkError
        except WorkError:
            pass
        told = [
            e.payload["attributes"] for e in bus.all_events[before:] if "attributes" in e.payload
        ]
        assert told == [{"team": "blue"}, {"size": 2, "self": True}], name
        seen.append(name)

    assert len(seen) == 12
    check_payloads(bus.all_events)


def test_scope_without_attributes_writes_none(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.session(), recorder.agent("did:a"), recorder.step("one"):
        pass

    assert not [event for event in bus.all_events if "attributes" in event.payload]


# Rings


def test_ring_of_an_agent_is_an_assignment_for_every_reader(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    collector = RingMetricsCollector(bus)

    with recorder.session("s1"), recorder.agent("did:a", ring=0) as agent:
        pass

    (assigned,) = bus.query_by_type(EventType.RING_ASSIGNED)
    assert assigned.payload == {"ring": 0}
    assert (assigned.agent_did, assigned.session_id) == ("did:a", "s1")
    assert assigned.causal_trace_id == agent.trace.full_id
    assert assigned.parent_event_id == only(bus, EventType.SESSION_JOINED).event_id
    assert "did:a" in str(collector.collect()["agent_hypervisor_ring_current"])


def test_agent_without_a_ring_is_assigned_none(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:a"):
        pass

    assert bus.query_by_type(EventType.RING_ASSIGNED) == []


# All of it


def everything(recorder: Recorder) -> None:
    """Write every event that the recorder knows."""
    with recorder.session("s1", max_participants=2), recorder.run("release"):
        with recorder.agent("did:a", ring=2, name="a"), recorder.elevation(2, 1, ttl_seconds=9):
            with recorder.saga("release", step_count=2, compensate=True) as saga:
                with saga.step("one", max_retries=2, undo=list) as step:
                    step.result = "done"
                with saga.fan_out("any") as fan_out, fan_out.branch("left"):
                    saga.checkpoint(goal_hash="h")
                saga.handoff("one", from_agent="did:a", to_agent="did:b")
            with pytest.raises(WorkError), recorder.saga("bad", compensate=True) as saga:
                with saga.step("one", undo=list):
                    pass
                with saga.step("two", max_retries=1):
                    raise WorkError
            with recorder.tool("search") as call:
                recorder.decision(False, tool_name="search", evaluation_ms=1.5, reason="ring")
                call.block()
            with recorder.model("m-1"):
                recorder.usage(model="m-1", input_tokens=1, cost=0.5, currency="EUR")
            recorder.handoff("did:b")
            recorder.breach("deploy", ring=2, required_ring=1)
            recorder.vfs.write("a", content_hash="h")
            recorder.vfs.delete("a")
            recorder.vfs.snapshot("s")
            recorder.vfs.restore("s")
            recorder.vfs.conflict("a", vector_clock={"did:a": 1})
            recorder.audit.delta_captured("d", change_count=1)
            recorder.audit.committed("root", participant_dids=["did:a"])
            recorder.audit.gc_collected(retained_deltas=1)
            recorder.liability.vouch_created("v", voucher_did="did:a", vouchee_did="did:b")
            recorder.liability.vouch_released("v")
            recorder.liability.slashed(1.5, severity="high", voucher_clips=[{"a": 1}])
            recorder.liability.fault_attributed("did:a", attributions=[{"agent_did": "did:a"}])
            recorder.liability.quarantine_entered("q", reason="manual")
            recorder.liability.quarantine_released("q")
            recorder.security.rate_limited(ring=2, capacity=1.5)
            recorder.security.identity_verified("did", scopes=["a"])
            recorder.verification.behavior_drift(0.5, severity="low", passed=True)
            recorder.verification.history_verified("passed", inconsistencies=["a"])
            recorder.security.agent_killed("manual", severity="high")


def test_all_that_the_recorder_writes_is_in_the_table(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    everything(recorder)

    kinds: set[HypervisorEvent | EventType] = {event.event_type for event in bus.all_events}
    assert len(kinds) >= 42
    check_payloads(bus.all_events)
