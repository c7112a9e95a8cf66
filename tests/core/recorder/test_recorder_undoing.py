"""Undos, whatever they raise or give."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.recorder import Recorder
from tests.core.recorder.records import WorkError, compensations, ending, fail_after_one_step


def raising(error: BaseException) -> Callable[[], None]:
    def undo() -> None:
        raise error

    return undo


def raising_later(error: BaseException) -> Callable[[], Any]:
    async def undo() -> None:
        await asyncio.sleep(0)
        raise error

    return undo


ANY = [
    ValueError("v"),
    KeyboardInterrupt(),
    SystemExit(3),
    asyncio.CancelledError(),
    GeneratorExit(),
    StopIteration(),
    BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError()]),
    type("OwnBase", (BaseException,), {})(),
]


@pytest.mark.parametrize("failure", ANY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["with", "async with", "later"])
def test_undo_that_raises_anything_stops_no_other_and_replaces_nothing(
    bus: HypervisorEventBus, recorder: Recorder, failure: BaseException, kind: str
) -> None:
    undone: list[str] = []
    error = WorkError("mine")
    undo = raising_later(failure) if kind == "later" else raising(failure)

    def steps(saga: Any) -> None:
        with saga.step("one", undo=lambda: undone.append("one")):
            pass
        with saga.step("two", undo=undo):
            pass
        with saga.step("three", undo=lambda: undone.append("three")):
            pass
        raise error

    async def main() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            steps(saga)

    with pytest.raises(WorkError) as caught:
        if kind == "with":
            with recorder.saga("release", compensate=True) as saga:
                steps(saga)
        else:
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(main())
            finally:
                loop.close()

    assert caught.value is error
    assert undone == ["three", "one"]
    assert compensations(bus) == [("three", "succeeded"), ("two", "failed"), ("one", "succeeded")]
    assert ending(bus).payload["outcome"] == "escalated"
    assert ending(bus).payload["failed_compensations"] == ["two"]
    interrupted = isinstance(failure, (KeyboardInterrupt, SystemExit))
    assert any("ended an undo" in note for note in getattr(error, "__notes__", [])) or (
        not interrupted
    )


@pytest.mark.parametrize("times", [1, 2])
def test_cancellation_of_the_task_is_delivered_after_the_undos(
    bus: HypervisorEventBus, recorder: Recorder, times: int
) -> None:
    undone: list[str] = []
    begun = asyncio.Event()
    error = WorkError("mine")

    async def long() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def quick() -> None:
        await asyncio.sleep(0)
        undone.append("one")

    async def work() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            async with saga.step("one", undo=quick):
                pass
            for number in range(times):
                async with saga.step("long", undo=long, step_id=f"long {number}"):
                    pass
            raise error

    async def main() -> None:
        task = asyncio.create_task(work())
        for _ in range(times):
            await begun.wait()
            begun.clear()
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert task.cancelled()
        context: BaseException | None = caught.value
        while context is not None and context is not error:
            context = context.__context__
        assert context is error

    asyncio.run(main())
    assert undone == ["one"]
    assert [phase for _, phase in compensations(bus)] == ["failed"] * times + ["succeeded"]


def test_timeout_around_a_saga_is_a_timeout_although_undos_take_long(recorder: Recorder) -> None:
    async def main() -> None:
        async with asyncio.timeout(0.05):
            async with recorder.saga("release", compensate=True) as saga:
                async with saga.step("one", undo=lambda: asyncio.sleep(60)):
                    pass
                raise WorkError

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def count() -> Iterator[int]:
    yield 1


async def count_later() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("undo", [count, count_later, 5, "text"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_undo_that_does_nothing_by_being_called_is_no_compensation(
    bus: HypervisorEventBus, recorder: Recorder, undo: Any, asynchronous: bool
) -> None:
    fail_after_one_step(recorder, undo, asynchronous=asynchronous)

    assert compensations(bus) == [("one", "failed")]
    assert ending(bus).payload["outcome"] == "escalated"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_undo_in_a_pool_is_waited_for(
    bus: HypervisorEventBus, recorder: Recorder, asynchronous: bool, fails: bool
) -> None:
    def undo() -> None:
        if fails:
            raise OSError("gone")

    with ThreadPoolExecutor(1) as pool:
        fail_after_one_step(recorder, lambda: pool.submit(undo), asynchronous=asynchronous)

    assert compensations(bus) == [("one", "failed" if fails else "succeeded")]


def test_steps_of_one_name_are_undone_each(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[int] = []

    with pytest.raises(WorkError), recorder.saga("import", compensate=True) as saga:
        for number in range(3):
            with saga.step("load", step_id="load", undo=partial(undone.append, number)):
                pass
        raise WorkError

    assert undone == [2, 1, 0]
    assert ending(bus).payload["outcome"] == "compensated"


def test_future_that_an_undo_gives_is_not_taken_for_one_of_asyncio(recorder: Recorder) -> None:
    future: Future[None] = Future()
    future.cancel()

    fail_after_one_step(recorder, lambda: future)
