"""The recorder's scopes as decorators, of functions of all four kinds."""

import asyncio
import gc
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.place import current_place
from tests.threads import run_in_threads


def reasons(bus: HypervisorEventBus) -> list[object]:
    return [event.payload.get("reason") for event in bus.query_by_type(AGENT_FINISHED)]


def test_every_call_of_a_function_is_recorded(bus: HypervisorEventBus, recorder: Recorder) -> None:
    @recorder.agent("did:a", name="adder")
    def add(one: int, *, other: int = 1) -> int:
        """Add."""
        if other < 0:
            raise ValueError("negative")
        return one + other

    assert (add(1), add(1, other=2)) == (2, 3)
    with pytest.raises(ValueError, match=r"^negative$"):
        add(1, other=-1)

    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert reasons(bus) == [None, None, "ValueError: negative"]
    ids = [event.causal_trace_id for event in bus.query_by_type(EventType.SESSION_JOINED)]
    assert len(set(ids)) == 3


def test_calls_that_overlap_are_told_apart(bus: HypervisorEventBus, recorder: Recorder) -> None:
    barrier = threading.Barrier(4)

    @recorder.agent("did:a")
    def meet(number: int) -> None:
        barrier.wait(30)
        recorder.vfs_write(str(number))
        barrier.wait(30)

    run_in_threads(*(partial(meet, number) for number in range(4)))

    written = bus.query_by_type(EventType.VFS_WRITE)
    assert len({event.causal_trace_id for event in written}) == 4
    assert reasons(bus) == [None] * 4


def test_coroutines_are_awaited_within_the_scope(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.agent("did:a")
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        assert current_place().agent_did == "did:a"
        return number

    async def main() -> list[int]:
        return await asyncio.gather(*map(answer, range(5)))

    assert inspect.iscoroutinefunction(answer)
    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
    assert reasons(bus) == [None] * 5


def test_saga_of_a_coroutine_awaits_its_undos(bus: HypervisorEventBus, recorder: Recorder) -> None:
    undone: list[str] = []

    async def undo() -> None:
        undone.append("load")

    @recorder.saga("import", compensate=True)
    async def work() -> None:
        with recorder.step("load", undo=undo):
            pass
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        asyncio.run(work())
    assert undone == ["load"]


def test_generator_does_not_leave_its_scope_with_its_reader(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.agent("did:a")
    def count() -> Generator[int, str, str]:
        answers = []
        for number in range(2):
            try:
                answers.append((yield number))
            except KeyError:
                answers.append("thrown")
            assert current_place().agent_did == "did:a"
        return ",".join(answers)

    assert inspect.isgeneratorfunction(count)
    counted = count()
    with recorder.agent("did:reader") as reader:
        assert next(counted) == 0
        assert current_trace() == reader.trace
        assert counted.send("one") == 1
        assert current_place().agent_did == "did:reader"
        with pytest.raises(StopIteration) as stop:
            counted.throw(KeyError())

    assert stop.value.value == "one,thrown"
    assert current_trace() is None
    assert reasons(bus) == [None, None]


def test_generator_that_is_left_early_ends_its_agent_well(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.agent("did:a")
    def count() -> Iterator[int]:
        yield 1
        yield 2

    for _ in count():
        break
    gc.collect()

    assert reasons(bus) == [None]


def stream_of(recorder: Recorder, seen: list[object]) -> "AsyncIterator[int]":
    @recorder.agent("did:a")
    async def stream() -> AsyncIterator[int]:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                seen.append(current_place().agent_did)
                yield number
        finally:
            seen.append("closed")

    return stream()


def test_asynchronous_generator_is_read_to_its_end(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    seen: list[object] = []

    async def main() -> None:
        with recorder.agent("did:reader") as reader:
            async for _ in stream_of(recorder, seen):
                assert current_trace() == reader.trace

    asyncio.run(main())
    assert seen == ["did:a"] * 3 + ["closed"]
    assert reasons(bus) == [None, None]
    joined = bus.query_by_type(EventType.SESSION_JOINED)
    assert joined[1].parent_event_id == joined[0].event_id


@pytest.mark.parametrize("how", ["break", "aclose", "cancel"])
def test_asynchronous_generator_that_is_left_early_ends_its_agent_in_silence(
    bus: HypervisorEventBus, recorder: Recorder, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    seen: list[object] = []
    problems: list[object] = []

    async def read() -> None:
        stream = stream_of(recorder, seen)
        async for number in stream:
            if how == "cancel":
                asyncio.current_task().cancel()  # type: ignore[union-attr]  # it runs in one
                continue
            if number == 1:
                break
        if how == "aclose":
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: problems.append(what))
        task = asyncio.create_task(read())
        await asyncio.wait([task])
        del task
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with caplog.at_level(logging.DEBUG, "hypervisor_observability"):
        asyncio.run(main())

    assert "closed" in seen
    assert reasons(bus) == ["cancelled" if how == "cancel" else None]
    assert not problems
    assert not caplog.records


def test_asynchronous_generator_takes_what_is_sent_and_thrown(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.agent("did:a")
    async def echo() -> AsyncIterator[object]:
        sent: object = None
        while sent != "end":
            try:
                sent = yield sent
            except KeyError:
                sent = "thrown"

    async def main() -> None:
        stream = echo()
        assert await anext(stream) is None
        assert await stream.asend(5) == 5  # type: ignore[attr-defined]  # it is a generator
        assert await stream.athrow(KeyError()) == "thrown"  # type: ignore[attr-defined]  # likewise
        with pytest.raises(StopAsyncIteration):
            await stream.asend("end")  # type: ignore[attr-defined]  # likewise

    asyncio.run(main())
    assert reasons(bus) == [None]


def test_asynchronous_generator_that_fails_is_a_failure(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    @recorder.agent("did:a")
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    async def main() -> None:
        async for _ in broken():
            pass

    with pytest.raises(OSError, match=r"^gone$"):
        asyncio.run(main())
    assert reasons(bus) == ["OSError: gone"]
