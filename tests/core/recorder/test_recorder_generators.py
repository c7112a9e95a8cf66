"""Decorated generators, and calls that give generators, are recorded until they end."""

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.place import current_place
from tests.core.recorder.records import step_ends


def count() -> Iterator[int]:
    assert current_place().saga is not None
    yield 1
    yield 2


async def count_later() -> AsyncIterator[int]:
    assert current_place().saga is not None
    yield 1
    await asyncio.sleep(0)
    yield 2


class Counter:
    def __call__(self) -> Iterator[int]:
        yield from count()


class LateCounter:
    async def __call__(self) -> AsyncIterator[int]:
        async for number in count_later():
            yield number


@pytest.mark.parametrize("read", [0, 1, 2])
@pytest.mark.parametrize(
    "function",
    [count, lambda _=None: count(), Counter(), functools.partial(count)],
    ids=lambda function: type(function).__name__,
)
def test_generators_are_recorded_until_they_end_or_are_left(
    bus: HypervisorEventBus, recorder: Recorder, function: Callable[..., Any], read: int
) -> None:
    values = recorder.step("stream")(function)()
    for _ in range(read):
        next(values)
        assert current_trace() is None
    if read == 2:
        assert list(values) == []
    del values
    gc.collect()

    assert set(step_ends(bus)) <= {"committed"}
    assert len(step_ends(bus)) == 1 or read == 0


@pytest.mark.parametrize("how", ["read", "break", "aclose", "never"])
@pytest.mark.parametrize(
    "function",
    [count_later, lambda _=None: count_later(), LateCounter()],
    ids=lambda function: type(function).__name__,
)
def test_asynchronous_generators_are_recorded_until_they_end_or_are_left(
    bus: HypervisorEventBus, recorder: Recorder, function: Callable[..., Any], how: str
) -> None:
    async def main() -> None:
        values = recorder.step("stream")(function)()
        if how == "read":
            assert [value async for value in values] == [1, 2]
        elif how != "never":
            async for _ in values:
                assert current_trace() is None
                break
        if how == "aclose":
            await values.aclose()
        del values
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert set(step_ends(bus)) <= {"committed"}
    assert len(step_ends(bus)) == 1 or how == "never"


def test_generator_of_a_function_answers_what_is_sent_and_thrown(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    def echo() -> Generator[object, object, str]:
        sent: object = None
        while sent != "end":
            try:
                sent = yield sent
            except KeyError:
                sent = "thrown"
        return "value"

    values = recorder.step("echo")(lambda _=None: echo())()
    assert next(values) is None
    assert values.send(5) == 5
    assert values.throw(KeyError()) == "thrown"
    with pytest.raises(StopIteration) as stop:
        values.send("end")
    assert stop.value.value == "value"
    assert step_ends(bus) == ["committed"]


def test_generator_that_fails_is_a_failed_step(bus: HypervisorEventBus, recorder: Recorder) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    for function in (broken, lambda _=None: broken()):
        with pytest.raises(OSError, match=r"^gone$"):
            list(recorder.step("stream")(function)())
    assert step_ends(bus) == ["failed", "failed"]


def test_generator_functions_stay_what_they_were(recorder: Recorder) -> None:
    step = recorder.step("x")

    assert inspect.isasyncgenfunction(step(LateCounter()))
    assert inspect.isgeneratorfunction(step(Counter()))
