"""Each entry of a scope belongs to whoever entered, wherever and in whatever order it ends."""

import asyncio
import contextlib
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.current_trace import activate, current_trace
from hypervisor_observability.causality.standing import standing
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Agent, Recorder, Scope
from hypervisor_observability.recorder.place import current_place


def failures(bus: HypervisorEventBus) -> list[str | None]:
    """Give the ids of agents that are recorded as failed."""
    ended = bus.query_by_type(AGENT_FINISHED)
    assert len(ended) == len({event.causal_trace_id for event in ended})
    assert len(ended) == len(bus.query_by_type(EventType.SESSION_JOINED))
    return [event.causal_trace_id for event in ended if event.payload["status"] == "error"]


def test_threads_that_share_a_scope_end_their_own_entries(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    scope, failed, left = recorder.agent("did:a"), list[str](), list[object]()
    inside = threading.Barrier(4)
    order = [threading.Event() for _ in range(5)]
    order[0].set()

    def work(number: int) -> None:
        with contextlib.suppress(ValueError), scope as agent:
            inside.wait(30)
            order[number].wait(30)
            order[number + 1].set()
            if number % 2:
                failed.append(agent.trace.full_id)
                raise ValueError
        left.append((current_trace(), current_place()))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
        again = list(pool.map(lambda _: current_trace(), range(16)))

    assert failures(bus) == failed
    assert len(set(left)) == 1
    assert {*again, left[0][0]} == {None}  # type: ignore[index]  # a pair


@pytest.mark.parametrize("stacked", [False, True])
def test_tasks_that_share_a_scope_end_their_own_entries(
    bus: HypervisorEventBus, recorder: Recorder, stacked: bool
) -> None:
    scope, failed = recorder.agent("did:a"), set[str]()

    @contextlib.asynccontextmanager
    async def entered() -> AsyncIterator[Agent]:
        if not stacked:
            async with scope as agent:
                yield agent
        else:
            async with AsyncExitStack() as stack:
                yield await stack.enter_async_context(scope)

    async def work(number: int, outer: CausalTraceId) -> None:
        with contextlib.suppress(ValueError):
            async with entered() as agent:
                for _ in range(10 - number):
                    await asyncio.sleep(0)
                assert current_trace() is agent.trace
                assert agent.trace.parent_span_id == outer.span_id
                if number % 3 == 0:
                    failed.add(agent.trace.full_id)
                    raise ValueError
        assert current_trace() is outer

    async def main() -> None:
        async with entered() as agent, asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(work(number, agent.trace))

    asyncio.run(main())
    assert set(failures(bus)) == failed
    assert len(failed) == 4


def test_readers_of_two_generators_that_share_a_scope_end_the_one_that_they_close(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    scope = recorder.agent("did:a")

    def generate() -> Iterator[str]:
        with scope as agent:
            yield agent.trace.full_id
            raise ValueError

    first, second = generate(), generate()
    one, other = next(first), next(second)
    with pytest.raises(ValueError, match=r"^$"):
        next(first)

    assert failures_so_far(bus) == [one]
    assert current_trace() is not None
    assert current_trace().full_id == other  # type: ignore[union-attr]  # asserted above
    del second
    gc.collect()
    assert failures(bus) == [one]
    assert current_trace() is None


def failures_so_far(bus: HypervisorEventBus) -> list[str | None]:
    return [event.causal_trace_id for event in bus.query_by_type(AGENT_FINISHED)]


def test_scopes_that_end_in_another_order_leave_nothing_behind(recorder: Recorder) -> None:
    scopes = [recorder.agent(f"did:{number}") for number in range(4)]
    agents = [scope.__enter__() for scope in scopes]

    for number in (1, 0):
        scopes[number].__exit__(None, None, None)
        assert current_trace() is agents[3].trace
    scopes[3].__exit__(None, None, None)
    assert current_trace() is agents[2].trace
    scopes[2].__exit__(None, None, None)
    assert (current_trace(), current_place().agent_did) == (None, None)


@pytest.mark.parametrize("how", ["stack", "with"])
def test_scope_entered_again_ends_the_inner_entry_first(
    bus: HypervisorEventBus, recorder: Recorder, how: str
) -> None:
    scope = recorder.agent("did:a")

    with ExitStack() as stack, contextlib.suppress(ValueError):
        outer = stack.enter_context(scope)
        if how == "stack":
            with ExitStack() as second:
                inner = second.enter_context(scope)
                raise ValueError
        with scope as inner:
            raise ValueError
    assert failures(bus) == [inner.trace.full_id]
    assert inner.trace.parent_span_id == outer.trace.span_id
    assert current_trace() is None


def test_stack_that_is_closed_within_a_with_block_ends_its_own_entry(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    scope, stack = recorder.agent("did:a"), ExitStack()
    stacked = stack.enter_context(scope)

    with contextlib.suppress(ValueError), scope as agent:
        stack.close()
        assert failures_so_far(bus) == [stacked.trace.full_id]
        assert current_trace() is agent.trace
        raise ValueError

    assert failures(bus) == [agent.trace.full_id]
    assert current_trace() is None


@pytest.mark.parametrize("make", [lambda r: r.agent("did:a"), lambda _: CausalTraceId().activate()])
def test_exit_in_another_thread_leads_both_threads_out(
    recorder: Recorder, make: Callable[[Recorder], Scope[Agent]]
) -> None:
    scope = make(recorder)

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(scope.__enter__).result()
        assert one.submit(current_trace).result() is not None
        with_own = CausalTraceId()
        other.submit(activate(with_own).__enter__).result()
        other.submit(scope.__exit__, None, None, None).result()

        assert one.submit(current_trace).result() is None
        assert one.submit(lambda: current_place().agent_did).result() is None
        assert other.submit(current_trace).result() is with_own


def test_task_that_leaves_what_its_parent_entered_leads_both_out(recorder: Recorder) -> None:
    scope = recorder.agent("did:a")

    async def main() -> None:
        with recorder.agent("did:outer") as outer:
            await scope.__aenter__()
            await asyncio.create_task(leave_within(outer))
            assert current_trace() is outer.trace

    async def leave_within(outer: Agent) -> None:
        await scope.__aexit__(None, None, None)
        assert current_trace() is outer.trace

    asyncio.run(main())


def test_task_that_outlives_its_scope_stays_below_what_caused_it(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    async def later(over: asyncio.Event) -> None:
        await over.wait()
        with recorder.agent("did:later"):
            pass
        recorder.ring_assigned(1)

    async def main() -> CausalTraceId:
        over = asyncio.Event()
        async with recorder.agent("did:a") as agent:
            task = asyncio.create_task(later(over))
            await asyncio.sleep(0)
        over.set()
        await task
        assert current_trace() is None
        return agent.trace

    trace = asyncio.run(main())
    (assigned,) = bus.query_by_type(EventType.RING_ASSIGNED)
    assert (assigned.causal_trace_id, assigned.agent_did) == (trace.full_id, "did:a")
    tree = bus.tree(trace.trace_id)
    assert not any(node.orphan or node.second_root for node in tree.nodes.values())


def test_tasks_that_start_each_other_within_scopes_keep_nothing_of_the_ones_before(
    recorder: Recorder,
) -> None:
    async def link(left: int) -> int:
        with recorder.agent("did:a"):
            following = asyncio.create_task(link(left - 1)) if left else None
        if following is not None:
            return await following
        length, here = 0, standing()
        while here.outer is not None:
            length, here = length + 1, here.outer
        return length

    assert asyncio.run(link(50)) <= 2


def test_asynchronous_generators_finalised_by_the_loop_end_their_own_entries(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    scope = recorder.agent("did:a")
    first_of: list[str] = []

    async def generate() -> AsyncIterator[int]:
        async with scope as agent:
            first_of.append(agent.trace.full_id)
            yield 1

    async def main() -> None:
        async with scope as own:
            kept = [generate() for _ in range(3)]
            for one in kept:
                await asyncio.create_task(anext(one))  # type: ignore[arg-type]  # a coroutine, as awaited
            del one
            kept.pop(0)
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
            assert failures_so_far(bus) == first_of[:1]
            assert current_trace() is own.trace
            kept.clear()
        assert current_trace() is None
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert failures(bus) == []


def test_exit_without_an_entry_does_nothing(bus: HypervisorEventBus, recorder: Recorder) -> None:
    recorder.agent("did:a").__exit__(None, None, None)
    CausalTraceId().activate().__exit__(None, None, None)

    assert not bus.all_events


def test_shared_activation_belongs_to_each_thread_and_task() -> None:
    trace = CausalTraceId()
    block = trace.activate()
    barrier = threading.Barrier(4)

    def work(_: int) -> object:
        with block:
            barrier.wait(30)
            assert current_trace() is trace
            barrier.wait(30)
        return current_trace()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4


def test_scope_left_in_a_copy_of_the_context_is_over_there(recorder: Recorder) -> None:
    with recorder.agent("did:a") as agent:
        scope = recorder.agent("did:b")
        scope.__enter__()
        copy = contextvars.copy_context()
        copy.run(scope.__exit__, None, None, None)

        assert copy.run(current_trace) is agent.trace
        assert current_trace() is agent.trace


class Wrapped:
    """A context manager around one, as applications write them."""

    def __init__(self, scope: Scope[Agent]) -> None:
        self._scope = scope

    def __enter__(self) -> Agent:
        return self._scope.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._scope.__exit__(*error)


def test_stacks_and_wrappers_that_share_a_scope_end_their_own_entries(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    scope, failed = recorder.agent("did:a"), set[str]()

    async def work(number: int) -> None:
        with contextlib.suppress(ValueError):
            with ExitStack() as stack:
                inner: Any = scope if number % 3 == 0 else Wrapped(scope)
                if number % 3 == 1:
                    agent = stack.enter_context(inner)
                else:
                    with inner as agent:
                        await end(number, agent, failed)
                await end(number, agent, failed)
        assert current_trace() is None

    async def main() -> None:
        await asyncio.gather(*map(work, range(12)))

    asyncio.run(main())
    assert set(failures(bus)) == failed


async def end(number: int, agent: Agent, failed: set[str]) -> None:
    for _ in range(20 - number):
        await asyncio.sleep(0)
    if number % 2 and current_trace() is agent.trace:
        failed.add(agent.trace.full_id)
        raise ValueError


def test_reader_who_leaves_through_a_wrapper_or_a_stack_has_not_failed(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    def wrapped() -> Iterator[int]:
        with Wrapped(recorder.agent("did:a")):
            yield 1

    def stacked() -> Iterator[int]:
        with ExitStack() as stack:
            stack.enter_context(recorder.agent("did:a"))
            yield 1

    for generate in (wrapped, stacked):
        for _ in generate():
            break
    gc.collect()
    assert failures(bus) == []


def test_generator_that_another_thread_finalises_leaves_no_thread_inside(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    def generate() -> Iterator[int]:
        with recorder.agent("did:a"):
            yield 1

    held = [generate()]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(next, held[0]).result()
        assert one.submit(current_trace).result() is not None
        other.submit(held.clear).result()
        other.submit(gc.collect).result()

        assert other.submit(current_trace).result() is None
        assert one.submit(current_trace).result() is None
    assert failures(bus) == []
