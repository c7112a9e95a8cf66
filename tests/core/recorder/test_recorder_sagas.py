"""The recorder's sagas: steps, undos and how a saga ends."""

import asyncio
from collections.abc import Callable

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder import Recorder
from tests.core.recorder.records import (
    WorkError,
    compensations,
    ending,
    fail_after_one_step,
    trace_of,
)
from tests.threads import run_in_threads

STARTED, COMMITTED, FAILED = (
    EventType.SAGA_STEP_STARTED,
    EventType.SAGA_STEP_COMMITTED,
    EventType.SAGA_STEP_FAILED,
)


def test_saga_that_goes_through_is_committed(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:a", session_id="s1") as agent:
        with recorder.saga("release", step_count=1) as saga:
            with saga.step("compile") as step:
                step.result = "3 files"

    assert saga.saga_id == f"release-{saga.trace.span_id}"
    created, started, committed, completed = bus.query(session_id="s1")[1:5]
    assert created.payload == {"saga_id": saga.saga_id, "name": "release", "step_count": 1}
    names = {"saga_id": saga.saga_id, "step_id": "compile", "step_action": "compile"}
    assert started.payload == {**names, "attempt": 1, "undo_api_present": False}
    assert committed.payload == {**names, "attempt": 1, "result": "3 files"}
    assert completed.payload == {
        "saga_id": saga.saga_id,
        "name": "release",
        "outcome": "committed",
    }
    assert saga.trace.parent_span_id == agent.trace.span_id
    assert trace_of(started).parent_span_id == saga.trace.span_id
    assert started.causal_trace_id == committed.causal_trace_id == step.trace.full_id
    assert created.causal_trace_id == completed.causal_trace_id == saga.trace.full_id
    assert started.parent_event_id == completed.parent_event_id == created.event_id
    assert committed.parent_event_id == started.event_id


def test_failed_step_is_recorded_and_raises(bus: HypervisorEventBus, recorder: Recorder) -> None:
    error = WorkError("no compiler")

    with pytest.raises(WorkError) as caught:
        with recorder.saga("release", saga_id="r1") as saga, saga.step("compile", attempt=2):
            raise error

    assert caught.value is error
    (failed,) = bus.query_by_type(FAILED)
    assert failed.payload == {
        "saga_id": "r1",
        "step_id": "compile",
        "step_action": "compile",
        "attempt": 2,
        "error": "no compiler",
        "reason": "WorkError: no compiler",
        "error_type": f"{WorkError.__module__}.WorkError",
    }
    assert ending(bus).event_type == EventType.SAGA_ESCALATED
    assert ending(bus).payload["outcome"] == "failed"
    assert ending(bus).payload["reason"] == "WorkError: no compiler"


def test_undos_run_newest_first_when_the_saga_fails(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    undone: list[str] = []
    error = WorkError("at three")

    with pytest.raises(WorkError) as caught:
        with recorder.saga("release", compensate=True) as saga:
            with saga.step("one", undo=lambda: undone.append("one")):
                pass
            with saga.step("look"):
                pass
            with saga.step("two", undo=lambda: undone.append("two")):
                pass
            with saga.step("three", undo=lambda: undone.append("three")):
                raise error

    assert caught.value is error
    assert error.__context__ is None
    assert undone == ["two", "one"]
    assert compensations(bus) == [("two", "succeeded"), ("one", "succeeded")]
    events = bus.query_by_type(EventType.SAGA_COMPENSATING)
    assert [event.payload["phase"] for event in events] == ["started", "succeeded"] * 2
    assert ending(bus).event_type == EventType.SAGA_COMPLETED
    assert ending(bus).payload["outcome"] == "compensated"
    assert ending(bus).payload["reason"] == "WorkError: at three"
    assert events[0].payload["step_id"] == "undo-two"
    assert trace_of(events[0]).parent_span_id == saga.trace.span_id


def test_undo_that_raises_escalates_and_does_not_keep_the_others(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    undone: list[str] = []

    with pytest.raises(WorkError), recorder.saga("release", compensate=True) as saga:
        with saga.step("one", undo=lambda: undone.append("one")):
            pass
        with saga.step("two", undo=lambda: 1 / 0):
            pass
        raise WorkError

    assert undone == ["one"]
    assert compensations(bus)[0] == ("two", "failed")
    escalated = ending(bus)
    assert escalated.event_type == EventType.SAGA_ESCALATED
    assert escalated.payload["outcome"] == "escalated"
    assert escalated.payload["failed_compensations"] == ["two"]
    failed = bus.query_by_type(EventType.SAGA_COMPENSATING)[1]
    assert failed.payload["error_type"] == "ZeroDivisionError"


def test_saga_without_compensation_leaves_its_steps_and_says_so(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(WorkError), recorder.saga("release") as saga:
        with saga.step("one", undo=lambda: pytest.fail("nobody asked for it")):
            pass
        raise WorkError

    assert compensations(bus) == []
    assert ending(bus).payload["outcome"] == "failed"


def test_steps_undone_by_hand_count_as_compensated(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("release", compensate=True) as saga:
        with saga.step("one", undo=lambda: pytest.fail("it was undone by hand")):
            pass
        with pytest.raises(WorkError), saga.step("two"):
            raise WorkError
        with saga.compensate("remove", compensates_step_id="one") as compensation:
            assert compensation.trace.parent_span_id == saga.trace.span_id

    assert compensation.step_id == compensation.action == "remove"
    assert compensations(bus) == [("one", "succeeded")]
    assert ending(bus).payload["outcome"] == "compensated"


def test_saga_that_undoes_one_step_and_goes_on_is_committed(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("release") as saga:
        with saga.step("one", undo=list):
            pass
        with saga.step("two", undo=list):
            pass
        with saga.compensate("remove", step_id="r", compensates_step_id="two"):
            pass

    assert ending(bus).payload["outcome"] == "committed"


def test_failed_compensation_by_hand_escalates(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.saga("release") as saga:
        with pytest.raises(WorkError), saga.compensate("remove"):
            raise WorkError("still there")

    assert ending(bus).event_type == EventType.SAGA_ESCALATED
    assert ending(bus).payload["reason"] == "a compensation failed"
    assert ending(bus).payload["failed_compensations"] == ["remove"]


def test_compensation_by_hand_within_a_failing_saga(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(WorkError), recorder.saga("release") as saga:
        with saga.step("one"):
            pass
        with saga.compensate("remove", compensates_step_id="one"):
            pass
        raise WorkError

    assert ending(bus).payload["outcome"] == "compensated"


def test_same_action_again_is_another_step_but_another_attempt_is_not(
    recorder: Recorder,
) -> None:
    with recorder.saga("release") as saga:
        with saga.step("copy") as first, saga.step("copy") as second:
            pass
        with saga.step("copy", attempt=2) as retry, saga.step("copy", step_id="c9") as named:
            pass

    assert [first.step_id, second.step_id, retry.step_id, named.step_id] == [
        "copy",
        "copy-2",
        "copy",
        "c9",
    ]


def test_step_of_another_agent_belongs_to_the_saga(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:lead"), recorder.saga("release") as saga:
        with recorder.agent("did:worker"), saga.step("compile"):
            pass

    (started,) = bus.query_by_type(STARTED)
    assert started.agent_did == "did:worker"
    assert trace_of(started).parent_span_id == saga.trace.span_id


def test_step_in_a_bare_thread_takes_its_place_from_the_saga(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a", session_id="s1"), recorder.saga("release") as saga:

        def work() -> None:
            with saga.step("compile"):
                pass

        run_in_threads(work)

    (started,) = bus.query_by_type(STARTED)
    assert (started.agent_did, started.session_id) == ("did:a", "s1")
    assert trace_of(started).parent_span_id == saga.trace.span_id


async def undo_later(undone: list[str], name: str) -> None:
    await asyncio.sleep(0)
    undone.append(name)


def test_asynchronous_undos_are_awaited(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[str] = []

    async def main() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            async with saga.step("one", undo=lambda: undone.append("one")):
                pass
            async with saga.step("two", undo=lambda: undo_later(undone, "two")):
                pass
            async with saga.step("three", undo=lambda: 1 / 0):
                pass
            async with saga.step("four"):
                raise WorkError

    with pytest.raises(WorkError):
        asyncio.run(main())

    assert undone == ["two", "one"]
    assert ending(bus).payload["failed_compensations"] == ["three"]


def test_cancelled_saga_is_undone(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[str] = []

    async def work() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            async with saga.step("one", undo=lambda: undo_later(undone, "one")):
                pass
            async with saga.step("two"):
                await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert undone == ["one"]
    assert bus.query_by_type(FAILED)[0].payload["reason"] == "cancelled"
    assert ending(bus).payload["outcome"] == "compensated"


def test_saga_entered_by_async_with_commits(bus: HypervisorEventBus, recorder: Recorder) -> None:
    async def main() -> None:
        async with recorder.saga("release", compensate=True):
            pass

    asyncio.run(main())

    assert ending(bus).payload["outcome"] == "committed"


class Later:
    def __await__(self) -> object:
        return iter(())


@pytest.mark.parametrize("undo", [lambda: undo_later([], "one"), Later])
def test_asynchronous_undo_in_a_plain_with_is_a_failed_compensation(
    bus: HypervisorEventBus, recorder: Recorder, undo: Callable[[], object]
) -> None:
    fail_after_one_step(recorder, undo)

    failed = bus.query_by_type(EventType.SAGA_COMPENSATING)[1]
    assert "needs a saga entered by 'async with'" in failed.payload["error"]
    assert ending(bus).payload["outcome"] == "escalated"
