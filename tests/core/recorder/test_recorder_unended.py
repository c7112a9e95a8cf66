"""What a decorated call gives that is still to be done is recorded until it has ended."""

import asyncio
import functools
import gc
import inspect
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.place import current_place
from tests.core.recorder.records import step_ends


async def work(fails: bool = False) -> str:
    assert current_place().saga is not None
    await asyncio.sleep(0)
    assert current_trace() is not None
    if fails:
        raise OSError("the tool failed")
    return "done"


class Tool:
    async def __call__(self, fails: bool = False) -> str:
        return await work(fails)

    async def method(self, fails: bool = False) -> str:
        return await work(fails)

    def later(self, fails: bool = False) -> Awaitable[str]:
        return work(fails)

    @classmethod
    def of_class(cls) -> None:
        """Do nothing: what matters is what it is."""


class Later:
    """Something to await that is no coroutine."""

    label = "later"

    def __init__(self, fails: bool = False) -> None:
        self._fails = fails

    def __await__(self) -> Generator[Any, Any, str]:
        return work(self._fails).__await__()


@types.coroutine
def flagged(fails: bool = False) -> Generator[Any, Any, str]:
    return (yield from work(fails).__await__())


def shared(fails: bool = False) -> "asyncio.Task[str]":
    return asyncio.create_task(work(fails))


def as_future(fails: bool = False) -> "asyncio.Future[str]":
    return asyncio.ensure_future(work(fails))


ASYNC: dict[str, Callable[..., Any]] = {
    "coroutine function": work,
    "object": Tool(),
    "partial of an object": functools.partial(Tool()),
    "partial": functools.partial(work),
    "method": Tool().method,
    "method that returns": Tool().later,
    "lambda": lambda fails=False: work(fails),
    "awaitable": Later,
    "function of an awaitable": lambda fails=False: Later(fails),
    "flagged": flagged,
    "task": shared,
    "future": as_future,
    "static": staticmethod(work),
    "static lambda": staticmethod(lambda fails=False: work(fails)),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", ASYNC)
def test_what_is_awaited_is_recorded_until_it_has_ended(
    bus: HypervisorEventBus, recorder: Recorder, name: str, fails: bool
) -> None:
    async def main() -> None:
        decorated = recorder.step("tool")(ASYNC[name])
        pending = decorated(fails)
        assert current_trace() is None
        assert "committed" not in ends_so_far(bus)
        if fails:
            with pytest.raises(OSError, match=r"^the tool failed$"):
                await pending
        else:
            assert await pending == "done"
        await asyncio.sleep(0)
        assert current_trace() is None

    asyncio.run(main())
    assert step_ends(bus) == ["failed" if fails else "committed"]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", ASYNC)
def test_what_is_awaited_at_once_ends_once(
    bus: HypervisorEventBus, recorder: Recorder, name: str, fails: bool
) -> None:
    async def main() -> None:
        # Nobody but the ``await`` holds what is awaited.
        await recorder.step("tool")(ASYNC[name])(fails)

    if fails:
        with pytest.raises(OSError, match=r"^the tool failed$"):
            asyncio.run(main())
    else:
        asyncio.run(main())
    assert step_ends(bus) == ["failed" if fails else "committed"]


def ends_so_far(bus: HypervisorEventBus) -> list[str]:
    return [event.event_type.value.removeprefix("saga.step_") for event in bus.all_events]


def test_methods_of_a_class_are_recorded_as_what_they_are(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    class Agent:
        @recorder.step("static")
        @staticmethod
        async def static(fails: bool) -> str:
            return await work(fails)

        @recorder.step("class")
        @classmethod
        def of_class(cls, fails: bool) -> Awaitable[str]:
            assert cls is Agent
            return work(fails)

        @staticmethod
        @recorder.step("inside")
        async def inside(fails: bool) -> str:
            return await work(fails)

    async def main() -> None:
        for method in (Agent.static, Agent().static, Agent.of_class, Agent().of_class):
            assert await method(False) == "done"
        assert await Agent.inside(False) == "done"

    asyncio.run(main())
    assert step_ends(bus) == ["committed"] * 5


@pytest.mark.parametrize("name", ["task", "future"])
def test_task_stays_the_task_that_it_was(
    bus: HypervisorEventBus, recorder: Recorder, name: str
) -> None:
    async def main() -> None:
        task = recorder.step("tool")(ASYNC[name])()
        assert isinstance(task, asyncio.Task)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(main())
    assert step_ends(bus) == ["failed"]
    assert bus.query_by_type(EventType.SAGA_STEP_FAILED)[0].payload["reason"] == "cancelled"


def test_failure_of_a_task_that_nobody_awaits_is_still_told_by_asyncio(recorder: Recorder) -> None:
    told: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
        task = recorder.step("tool")(shared)(True)
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert [str(one["exception"]) for one in told] == ["the tool failed"]


def test_future_of_a_pool_is_recorded_until_it_is_done(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    futures: list[Future[None]] = [Future(), Future(), Future()]
    given = iter(futures)

    @recorder.step("tool")
    def decorated() -> Future[None]:
        return next(given)

    assert [decorated() for _ in futures] == futures
    assert len(ends_so_far(bus)) == 6

    futures[0].set_result(None)
    futures[1].set_exception(OSError("gone"))
    futures[2].cancel()
    assert step_ends(bus) == ["committed", "failed", "failed"]
    with ThreadPoolExecutor(1) as pool:
        submit: Callable[[], Future[int]] = functools.partial(pool.submit, int, 3)
        assert recorder.step("three")(submit)().result(30) == 3
    assert step_ends(bus)[-1] == "committed"


def test_awaitable_is_otherwise_what_it_was(bus: HypervisorEventBus, recorder: Recorder) -> None:
    later = recorder.step("tool")(Later)()

    assert isinstance(later, Later)
    assert later.label == "later"
    assert asyncio.run(awaited(later)) == "done"
    with pytest.raises(AssertionError):  # the second time is nobody's step
        asyncio.run(awaited(later))
    assert step_ends(bus) == ["committed"]


async def awaited(later: Awaitable[str]) -> str:
    return await later


def test_saga_of_a_lambda_awaits_its_undos(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[str] = []

    async def undo() -> None:
        await asyncio.sleep(0)
        undone.append("load")

    async def load() -> None:
        async with recorder.step("load", undo=undo):
            pass
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        asyncio.run(awaited(recorder.saga("import", compensate=True)(lambda _=None: load())()))  # type: ignore[arg-type]  # of None
    assert undone == ["load"]
    assert bus.query_by_type(EventType.SAGA_COMPLETED)[0].payload["outcome"] == "compensated"


def test_coroutine_that_nobody_awaits_is_a_step_that_failed(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorder.step("tool")(ASYNC["lambda"])()
        gc.collect()

    assert step_ends(bus) == ["failed"]
    assert bus.query_by_type(EventType.SAGA_STEP_FAILED)[0].payload["reason"] == "closed early"
    assert len(caught) == 1  # as without a recorder: it was never awaited


class Request:
    """To be awaited or entered, as the requests of HTTP clients are."""

    def __init__(self) -> None:
        self.closed = 0

    def __await__(self) -> Generator[Any, Any, str]:
        return work().__await__()

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *_: object) -> None:
        self.closed += 1

    def __len__(self) -> int:
        return 7

    def __del__(self) -> None:
        assert self.closed <= 1


def test_awaitable_may_be_used_in_its_other_ways(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    made: list[Request] = []

    @recorder.step("request")
    def request() -> Request:
        made.append(Request())
        return made[-1]

    async def main() -> None:
        async with request() as entered:
            assert entered == "entered"
        given = request()
        assert len(given) == 7
        given.closed = 1
        assert await given == "done"

    asyncio.run(main())
    gc.collect()
    assert [one.closed for one in made] == [1, 1]
    assert step_ends(bus) == ["committed", "committed"]


def test_coroutine_that_is_closed_has_not_done_its_work(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    for function in (work, lambda _=None: work()):
        coroutine = recorder.step("tool")(function)()
        coroutine.send(None)
        coroutine.close()
    assert step_ends(bus) == ["failed", "failed"]


def test_functions_stay_what_they_were(recorder: Recorder) -> None:
    step = recorder.step("x")

    assert inspect.iscoroutinefunction(step(Tool()))
    assert inspect.iscoroutinefunction(step(functools.partial(Tool())))
    assert isinstance(step(staticmethod(work)), staticmethod)
    assert isinstance(step(Tool.__dict__["of_class"]), classmethod)


@pytest.mark.parametrize("wrong", [5, None, "text", property(lambda _: 1)])
def test_what_cannot_be_called_cannot_be_recorded(recorder: Recorder, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^expected a function to record, got "):
        recorder.step("x")(wrong)


def test_recorded_coroutine_is_let_go_of(recorder: Recorder) -> None:
    async def main() -> "weakref.ref[Any]":
        coroutine = recorder.step("tool")(lambda _=None: work())()
        await coroutine
        return weakref.ref(coroutine)

    assert asyncio.run(main())() is None
