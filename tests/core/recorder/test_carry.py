"""The surroundings go along to threads, pools, greenlets and other processes."""

import asyncio
import multiprocessing
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from hypervisor_observability import CarryingExecutor, HypervisorEventBus, Recorder, carry
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.recorder.place import current_place
from tests.programs import run_python
from tests.threads import run_in_threads


def surroundings(*_: object) -> tuple[str | None, str | None, str | None]:
    """Tell where this runs; of this module, so that other processes find it."""
    trace, place = current_trace(), current_place()
    return None if trace is None else trace.full_id, place.session_id, place.agent_did


def delegated(did: str) -> str | None:
    """Have an agent work in another process; give its causal id."""
    with Recorder(HypervisorEventBus()).agent(did) as agent:
        return agent.trace.full_id


def test_thread_works_where_it_was_started(recorder: Recorder) -> None:
    found: list[object] = []

    with recorder.session("s1"), recorder.agent("did:a") as agent:
        run_in_threads(carry(lambda: found.append(surroundings())))
        run_in_threads(lambda: found.append(surroundings()))

    assert found == [(agent.trace.full_id, "s1", "did:a"), (None, None, None)]


def test_saga_goes_along_within_the_process(bus: HypervisorEventBus, recorder: Recorder) -> None:
    def load() -> None:
        with recorder.step("load"):
            pass

    with recorder.saga("import", saga_id="i"):
        run_in_threads(carry(load))

    (started,) = bus.query_by_type(EventType.SAGA_STEP_STARTED)
    assert started.payload["saga_id"] == "i"


def test_one_carried_function_may_run_several_times_at_once(recorder: Recorder) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> tuple[int, object]:
        barrier.wait(30)
        return number, surroundings()

    with recorder.agent("did:a") as agent:
        carried = carry(work)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(carried, range(4)))

    assert done == [(number, (agent.trace.full_id, None, "did:a")) for number in range(4)]


def test_executor_takes_the_surroundings_of_each_call(recorder: Recorder) -> None:
    with CarryingExecutor(ThreadPoolExecutor(1)) as pool:
        with recorder.agent("did:a") as one:
            first = pool.submit(surroundings)
            mapped = list(pool.map(surroundings, range(2)))
        with recorder.agent("did:b") as other:
            second = pool.submit(surroundings)
        third = pool.submit(surroundings)

    assert first.result() == (one.trace.full_id, None, "did:a")
    assert mapped == [(one.trace.full_id, None, "did:a")] * 2
    assert second.result() == (other.trace.full_id, None, "did:b")
    assert third.result() == (None, None, None)
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(surroundings)


def test_executor_serves_an_event_loop(recorder: Recorder) -> None:
    async def main(pool: Executor) -> object:
        with recorder.agent("did:a"):
            return await asyncio.get_running_loop().run_in_executor(pool, surroundings)

    with CarryingExecutor(ThreadPoolExecutor(1)) as pool:
        found = asyncio.run(main(pool))

    assert found == (found[0], None, "did:a")  # type: ignore[index]  # a tuple of three


def test_exception_of_a_carried_function_passes_through() -> None:
    error = OSError("no disk")

    def work() -> None:
        raise error

    with pytest.raises(OSError) as caught:
        carry(work)()
    assert caught.value is error


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_agent_in_another_process_stands_below_its_caller(recorder: Recorder, method: str) -> None:
    context = multiprocessing.get_context(method)

    with (
        recorder.session("s1"),
        recorder.agent("did:caller") as caller,
        ProcessPoolExecutor(1, mp_context=context) as inner,
    ):
        pool = CarryingExecutor(inner)
        below = pool.submit(delegated, "did:called").result(60)
        found = pool.submit(surroundings).result(60)

    assert below is not None
    assert below.split("/")[::2] == [caller.trace.trace_id, caller.trace.span_id]
    assert found == (caller.trace.full_id, "s1", "did:caller")


async def tell() -> object:
    before = surroundings()
    await asyncio.sleep(0)
    assert surroundings() == before
    return before


def tell_each() -> Iterator[object]:
    for _ in range(3):
        yield surroundings()


async def tell_each_later() -> AsyncIterator[object]:
    for _ in range(3):
        await asyncio.sleep(0)
        yield surroundings()


class Teller:
    async def __call__(self) -> object:
        return await tell()


@pytest.mark.parametrize("work", [tell, Teller(), partial(tell), lambda _=None: tell()])
@pytest.mark.parametrize("task", [False, True])
def test_coroutines_run_where_they_were_carried_from(
    recorder: Recorder, work: Callable[[], Any], task: bool
) -> None:
    async def main() -> None:
        with recorder.session("s1"), recorder.agent("did:a") as agent:
            carried = carry(work)
        with recorder.agent("did:other") as other:
            coroutine = carried()
            found = await (asyncio.create_task(coroutine) if task else coroutine)
            assert current_trace() is other.trace
        assert found == (agent.trace.full_id, "s1", "did:a")

    asyncio.run(main())


def test_generators_run_where_they_were_carried_from(recorder: Recorder) -> None:
    with recorder.agent("did:a") as agent:
        carried, carried_later = carry(tell_each), carry(tell_each_later)
    expected = [(agent.trace.full_id, None, "did:a")] * 3

    with recorder.agent("did:reader") as reader:
        found = []
        for value in carried():
            found.append(value)
            assert current_trace() is reader.trace
        assert found == expected
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(list[object], carried()).result(30) == expected

    async def main() -> None:
        assert [value async for value in carried_later()] == expected
        async for value in carried_later():
            assert value == expected[0]
            assert current_trace() is None
            break

    asyncio.run(main())


def test_task_that_a_carried_function_starts_belongs_there(recorder: Recorder) -> None:
    async def main() -> None:
        with recorder.agent("did:a") as agent:
            carried = carry(lambda: asyncio.create_task(tell()))
        task = carried()
        assert isinstance(task, asyncio.Task)
        assert await task == (agent.trace.full_id, None, "did:a")

    asyncio.run(main())


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.pool import Pool
from gevent.threadpool import ThreadPool
from hypervisor_observability import HypervisorEventBus, Recorder, carry, current_trace

bus = HypervisorEventBus()
recorder = Recorder(bus)

def work(number):
    with recorder.agent(f"did:{number}") as agent:
        gevent.sleep(0.001)
        assert current_trace() == agent.trace
        with recorder.saga("s") as saga, saga.step("x"):
            gevent.sleep(0.001)
        assert current_trace() == agent.trace
    return agent.trace

with recorder.agent("did:lead") as lead:
    assert gevent.spawn(current_trace).get() is None
    greenlets = [gevent.spawn(carry(work), number) for number in range(50)]
    traces = [greenlet.get(timeout=60) for greenlet in greenlets]
    traces += Pool(5).map(carry(work), range(50, 60))
    traces.append(ThreadPool(1).apply(carry(work), (60,)))
    assert current_trace() == lead.trace
assert {trace.parent_span_id for trace in traces} == {lead.trace.span_id}
tree = bus.tree(lead.trace.trace_id)
assert len(tree.nodes) == 1 + 3 * 61
assert not any(n.orphan or n.forged or n.second_root for n in tree.nodes.values())
print("whole")
"""


@pytest.mark.fault("C21")
def test_greenlets_stand_below_the_code_that_carried_them() -> None:
    ran = run_python(GREENLETS, timeout=120)

    assert (ran.returncode, ran.stdout.strip()) == (0, "whole"), ran.stderr
