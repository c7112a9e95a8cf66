"""The recorder: sessions, agents, elevations and single events."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder
from tests.core.recorder.records import only, trace_of


def test_session_is_created_and_terminated(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.session("s1", max_participants=3, model=None) as session:
        recorder.record(EventType.SESSION_ACTIVATED)

    created, activated, terminated = bus.all_events
    assert session.session_id == "s1"
    assert created.event_type == EventType.SESSION_CREATED
    assert created.payload == {"max_participants": 3}
    assert terminated.event_type == EventType.SESSION_TERMINATED
    assert terminated.payload["duration_seconds"] >= 0
    assert {event.session_id for event in bus.all_events} == {"s1"}
    assert activated.parent_event_id == terminated.parent_event_id == created.event_id
    assert created.causal_trace_id is None


def test_session_without_a_name_draws_one(recorder: Recorder) -> None:
    with recorder.session() as one, recorder.session() as other:
        assert one.session_id != other.session_id


def test_agent_joins_and_finishes_under_an_id_of_its_own(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.session("s1"), recorder.agent("did:a", ring=0, name="a") as agent:
        assert current_trace() == agent.trace

    joined, finished = only(bus, EventType.SESSION_JOINED), only(bus, AGENT_FINISHED)
    assert joined.payload == {"ring": 0, "name": "a"}
    assert joined.causal_trace_id == finished.causal_trace_id == agent.trace.full_id
    assert joined.session_id == agent.session_id == "s1"
    assert joined.agent_did == finished.agent_did == agent.did == "did:a"
    assert finished.payload["status"] == "ok"
    assert finished.payload["duration_seconds"] >= 0
    assert finished.parent_event_id == joined.event_id
    assert agent.trace.parent_span_id is None
    assert current_trace() is None


def test_agent_within_an_agent_is_a_delegation(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with (
        recorder.agent("did:a", session_id="s1") as outer,
        recorder.agent("did:b") as inner,
        recorder.agent("did:c", session_id="s2") as elsewhere,
    ):
        recorder.vfs_write("out.txt")

    assert inner.trace.parent_span_id == outer.trace.span_id
    assert elsewhere.trace.trace_id == outer.trace.trace_id
    assert (inner.session_id, elsewhere.session_id) == ("s1", "s2")
    written = only(bus, EventType.VFS_WRITE)
    assert (written.agent_did, written.session_id) == ("did:c", "s2")
    joined = bus.query_by_type(EventType.SESSION_JOINED)
    assert joined[1].parent_event_id == joined[0].event_id


def test_agent_continues_the_trace_of_a_caller_elsewhere(recorder: Recorder) -> None:
    caller = CausalTraceId()

    with caller.activate(), recorder.agent("did:a") as agent:
        assert agent.trace.parent_span_id == caller.span_id


class OwnError(Exception):
    pass


def test_exception_passes_through_unchanged_and_is_recorded(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    error = OwnError("no disk")

    with pytest.raises(OwnError) as caught, recorder.session("s1"), recorder.agent("did:a"):
        raise error

    assert caught.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")
    finished = only(bus, AGENT_FINISHED).payload
    assert finished["status"] == "error"
    assert finished["error"] == "no disk"
    assert finished["reason"] == "OwnError: no disk"
    assert finished["error_type"] == f"{__name__}.OwnError"
    assert only(bus, EventType.SESSION_TERMINATED).payload["error"] == "no disk"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(3), "exited"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "closed early"),
        (ValueError(), "ValueError"),
        (type("OwnBase", (BaseException,), {})("x"), "OwnBase: x"),
    ],
)
def test_every_way_out_of_a_block_is_recorded(
    bus: HypervisorEventBus, recorder: Recorder, error: BaseException, reason: str
) -> None:
    with pytest.raises(type(error)), recorder.agent("did:a"):
        raise error

    assert only(bus, AGENT_FINISHED).payload["reason"] == reason
    assert only(bus, AGENT_FINISHED).payload["error_type"].endswith(type(error).__name__)


def test_exception_that_cannot_be_printed_is_recorded_by_its_type(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(UnprintableError), recorder.agent("did:a"):
        raise UnprintableError

    assert only(bus, AGENT_FINISHED).payload["error"] == "UnprintableError"


def test_tasks_nest_below_the_agent_that_created_them(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    async def work(did: str) -> None:
        async with recorder.agent(did):
            await asyncio.sleep(0)
            recorder.usage(model="m", input_tokens=1, output_tokens=2, cost=0.5, currency="EUR")

    async def main() -> CausalTraceId:
        async with recorder.session("s1"), recorder.agent("did:lead") as lead:
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(work(f"did:{number}"))
            return lead.trace

    lead = asyncio.run(main())

    used = bus.query_by_type(EventType.of("usage.recorded"))
    assert {event.agent_did for event in used} == {f"did:{number}" for number in range(5)}
    assert {trace_of(event).parent_span_id for event in used} == {lead.span_id}
    assert {event.session_id for event in used} == {"s1"}
    assert used[0].payload == {
        "model": "m",
        "input_tokens": 1,
        "output_tokens": 2,
        "cost": 0.5,
        "currency": "EUR",
    }


def test_cancelled_task_is_recorded_as_such(bus: HypervisorEventBus, recorder: Recorder) -> None:
    async def main() -> None:
        async def wait() -> None:
            async with recorder.agent("did:a"):
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert only(bus, AGENT_FINISHED).payload["reason"] == "cancelled"


def test_thread_with_a_copied_context_nests(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:a") as agent, ThreadPoolExecutor(1) as pool:
        context = contextvars.copy_context()
        pool.submit(context.run, recorder.ring_assigned, 2).result()
        pool.submit(recorder.ring_assigned, 3).result()

    inside, outside = bus.query_by_type(EventType.RING_ASSIGNED)
    assert (inside.causal_trace_id, inside.agent_did) == (agent.trace.full_id, "did:a")
    assert (outside.causal_trace_id, outside.agent_did) == (None, None)
    assert inside.payload == {"ring": 2}


def test_threads_do_not_see_each_other(bus: HypervisorEventBus, recorder: Recorder) -> None:
    together = threading.Barrier(4, timeout=10)

    def work(number: int) -> None:
        with recorder.session(f"s{number}"), recorder.agent(f"did:{number}"):
            together.wait()
            recorder.ring_assigned(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    for event in bus.query_by_type(EventType.RING_ASSIGNED):
        number = event.payload["ring"]
        assert (event.session_id, event.agent_did) == (f"s{number}", f"did:{number}")


def test_reader_who_closes_a_generator_ends_its_agent_well(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    def answers() -> Iterator[int]:
        with recorder.agent("did:a"):
            yield 1
            yield 2

    generator = answers()
    next(generator)
    generator.close()  # type: ignore[attr-defined]  # it is a generator

    finished = only(bus, AGENT_FINISHED).payload
    assert finished["status"] == "ok"
    assert not {"error", "reason", "error_type"} & set(finished)
    assert current_trace() is None


def test_scope_may_end_in_another_context(bus: HypervisorEventBus, recorder: Recorder) -> None:
    async def answers() -> AsyncIterator[int]:
        async with recorder.agent("did:a"):
            yield 1

    async def main() -> None:
        iterator = answers()
        await asyncio.create_task(anext(iterator))  # type: ignore[arg-type]  # a coroutine, as awaited
        await asyncio.create_task(iterator.aclose())  # type: ignore[attr-defined]  # it is a generator

    asyncio.run(main())

    assert only(bus, AGENT_FINISHED).agent_did == "did:a"


def test_one_scope_may_be_entered_twice(bus: HypervisorEventBus, recorder: Recorder) -> None:
    scope = recorder.agent("did:a")

    with scope as first, scope as second:
        assert second.trace.parent_span_id == first.trace.span_id

    assert len(bus.query_by_type(AGENT_FINISHED)) == 2


def test_elevation_ends_with_a_demotion(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:a") as agent:
        with recorder.elevation(3, 0, reason="deploy", ttl_seconds=60.0) as elevation:
            recorder.breach("shell", ring=3, required_ring=0, severity="high")

    elevated, demoted = only(bus, EventType.RING_ELEVATED), only(bus, EventType.RING_DEMOTED)
    assert elevated.payload == {
        "elevation_id": elevation.elevation_id,
        "from_ring": 3,
        "to_ring": 0,
        "reason": "deploy",
        "ttl_seconds": 60.0,
    }
    assert demoted.payload["from_ring"] == elevation.to_ring == 0
    assert demoted.payload["to_ring"] == elevation.from_ring == 3
    assert demoted.payload["elevation_id"] == elevation.elevation_id
    assert demoted.payload["elevated_seconds"] >= 0
    assert elevated.causal_trace_id == demoted.causal_trace_id == agent.trace.full_id
    breach = only(bus, EventType.RING_BREACH_DETECTED)
    assert breach.parent_event_id == elevated.event_id
    assert breach.payload == {
        "attempted_tool": "shell",
        "ring": 3,
        "required_ring": 0,
        "severity": "high",
    }


def test_elevation_ends_when_its_block_raises(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with pytest.raises(OwnError), recorder.agent("did:a"), recorder.elevation(3, 1):
        raise OwnError

    assert only(bus, EventType.RING_DEMOTED).payload["to_ring"] == 3


def test_decision_is_recorded_with_what_is_known(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    event = recorder.decision(False, tool_name="shell", rate_limited=True)

    assert event is bus.all_events[0]
    assert event.payload == {
        "allowed": False,
        "tool_name": "shell",
        "rate_limited": True,
        "reason": "",
    }


class BrokenBus(HypervisorEventBus):
    def record(self, *args: object, **kwargs: object) -> HypervisorEvent:
        raise RuntimeError("broken")


def test_fault_of_recording_never_reaches_the_work(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(BrokenBus())

    with caplog.at_level(logging.WARNING):
        with recorder.session(), recorder.agent("did:a"), recorder.saga("s") as saga:
            with saga.step("one"), recorder.elevation(3, 1):
                assert recorder.ring_assigned(1) is None
            with saga.compensate("undo"):
                pass

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "was not recorded" in caplog.text
