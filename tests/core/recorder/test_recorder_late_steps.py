"""Steps and compensations that still run when their saga ends."""

import asyncio
import threading
from typing import Any

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder import Recorder
from tests.core.recorder.records import WorkError, compensations, ending


def check_late(bus: HypervisorEventBus, charged: list[int], refunded: list[int]) -> None:
    assert refunded == charged
    assert ending(bus).event_type == EventType.SAGA_ESCALATED
    assert ending(bus).payload["failed_compensations"] == ["charge"]
    assert compensations(bus) == [("charge", "succeeded")]


@pytest.mark.parametrize("begins", ["before", "after"])
@pytest.mark.parametrize("later", [False, True])
def test_step_that_gather_left_running_is_undone_when_it_commits(
    bus: HypervisorEventBus, recorder: Recorder, begins: str, later: bool
) -> None:
    charged, refunded = list[int](), list[int]()

    async def refund() -> None:
        await asyncio.sleep(0)
        refunded.append(1)

    def refund_now() -> None:
        refunded.append(1)

    async def main() -> None:
        over = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def charge(saga: Any) -> None:
            if begins == "after":
                await over.wait()
            async with saga.step("charge", undo=refund if later else refund_now):
                await over.wait()
                charged.append(1)

        async def ship(saga: Any) -> None:
            async with saga.step("ship"):
                raise WorkError

        with pytest.raises(WorkError):
            async with recorder.saga("order", compensate=True) as saga:
                tasks += [asyncio.create_task(charge(saga)), asyncio.create_task(ship(saga))]
                await asyncio.gather(*tasks)
        assert not refunded
        over.set()
        await tasks[0]

    asyncio.run(main())
    if begins == "before":
        check_late(bus, charged, refunded)
    else:
        assert refunded == charged == [1]
        assert ending(bus).payload["outcome"] == "compensated"
        assert compensations(bus) == [("charge", "succeeded")]


@pytest.mark.parametrize("branch", [False, True])
def test_step_that_a_thread_still_runs_is_told_and_undone_when_it_commits(
    bus: HypervisorEventBus, recorder: Recorder, branch: bool
) -> None:
    charged, refunded = list[int](), list[int]()
    running, over = threading.Event(), threading.Event()

    def charge(steps: Any) -> None:
        step = steps.branch if branch else steps.step
        with step("charge", undo=lambda: refunded.append(1)):
            running.set()
            over.wait(30)
            charged.append(1)

    with pytest.raises(WorkError), recorder.saga("order", compensate=True) as saga:
        if branch:
            with saga.fan_out() as fan_out:
                thread = threading.Thread(target=charge, args=(fan_out,))
                thread.start()
                running.wait(30)
        else:
            thread = threading.Thread(target=charge, args=(saga,))
            thread.start()
            running.wait(30)
        raise WorkError
    over.set()
    thread.join(30)

    check_late(bus, charged, refunded)
    for resolved in bus.query_by_type(EventType.SAGA_FANOUT_RESOLVED):
        assert resolved.payload["compensation_needed"] == ["charge"]
        assert resolved.payload["policy_satisfied"] is False


def test_step_that_commits_while_others_are_undone_is_undone_too(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    undone: list[str] = []

    with pytest.raises(WorkError), recorder.saga("order", compensate=True) as saga:
        slow = saga.step("slow", undo=lambda: undone.append("slow"))

        def undo() -> None:
            undone.append("one")
            slow.__exit__(None, None, None)

        slow.__enter__()
        with saga.step("one", undo=undo):
            pass
        raise WorkError

    assert undone == ["one", "slow"]
    assert ending(bus).payload["outcome"] == "compensated"


def test_step_that_fails_after_its_saga_is_not_undone(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(WorkError), recorder.saga("order", compensate=True) as saga:
        late = saga.step("late", undo=lambda: pytest.fail("it was never done"))
        late.__enter__()
        raise WorkError
    late.__exit__(WorkError, WorkError(), None)

    assert compensations(bus) == []
    assert ending(bus).payload["outcome"] == "escalated"


def test_step_that_outlives_a_saga_that_went_well_stands(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("order", compensate=True) as saga:
        late = saga.step("late", undo=lambda: pytest.fail("nothing failed"))
        late.__enter__()
    late.__exit__(None, None, None)

    assert ending(bus).payload["outcome"] == "committed"


def test_saga_undone_by_hand_is_not_compensated_while_a_step_runs(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.saga("order") as saga:
        with saga.step("one", undo=list):
            pass
        late = saga.step("late", undo=list)
        late.__enter__()
        with saga.compensate("undo", compensates_step_id="one"):
            pass
    late.__exit__(None, None, None)

    assert ending(bus).payload["outcome"] == "committed"


def test_compensation_that_still_runs_is_not_done_twice_and_is_told(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with pytest.raises(WorkError), recorder.saga("order", compensate=True) as saga:
        with saga.step("one", undo=lambda: pytest.fail("it is being undone by hand")):
            pass
        by_hand = saga.compensate("remove", compensates_step_id="one")
        by_hand.__enter__()
        raise WorkError
    by_hand.__exit__(None, None, None)

    assert ending(bus).payload["outcome"] == "escalated"
    assert ending(bus).payload["failed_compensations"] == ["one"]


def test_late_commit_of_a_saga_that_others_compensated_is_logged(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WorkError), recorder.saga("order", saga_id="o-1") as saga:
        with saga.step("one", undo=list):
            pass
        with saga.compensate("undo", compensates_step_id="one"):
            pass
        raise WorkError
    with saga.step("late", undo=list):
        pass

    assert "step late was committed after saga o-1 had ended" in caplog.text


def test_interrupted_late_undo_passes_on_ctrl_c(recorder: Recorder) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(WorkError), recorder.saga("order", compensate=True) as saga:
        raise WorkError

    with pytest.raises(KeyboardInterrupt):
        with saga.step("late", undo=interrupted):
            pass


def test_task_group_undoes_what_was_committed(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[str] = []

    async def charge(saga: Any, done: asyncio.Event) -> None:
        async with saga.step("charge", undo=lambda: undone.append("charge")):
            pass
        done.set()
        async with saga.step("wait", undo=lambda: undone.append("wait")):
            await asyncio.sleep(60)

    async def ship(saga: Any, done: asyncio.Event) -> None:
        await done.wait()
        async with saga.step("ship"):
            raise WorkError("no stock")

    async def main() -> None:
        done = asyncio.Event()
        async with recorder.saga("order", compensate=True) as saga:
            async with asyncio.TaskGroup() as group:
                group.create_task(charge(saga, done))
                group.create_task(ship(saga, done))

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    assert undone == ["charge"]
    assert ending(bus).payload["outcome"] == "compensated"
    assert "WorkError: no stock" in ending(bus).payload["reason"]
