"""Generated programs of scopes over tasks, threads and contexts are recorded as they ran."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.causality.standing import standing
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder, Saga, carry
from hypervisor_observability.recorder.place import current_place
from tests.core.recorder.records import trace_of


class Boom(Exception):  # noqa: N818 - what a generated block raises
    pass


def blocks(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(inside, max_size=3)
    scope = st.tuples(
        st.just("block"),
        st.sampled_from(["agent", "saga", "step", "session", "elevation"]),
        st.sampled_from(["with", "async with", "stack", "async stack", "decorated"]),
        st.booleans(),  # whether an object is entered that all share
        st.booleans(),  # whether the block raises
        body,
    )
    spawned = st.tuples(
        st.just("spawn"), st.sampled_from(["task", "outliving task", "carried", "bare"]), body
    )
    return scope | spawned


LEAVES = st.tuples(st.just("pause")) | st.tuples(st.just("read"), st.integers(0, 3))
PROGRAMS = st.lists(st.recursive(LEAVES, blocks, max_leaves=10), max_size=4)


@define
class Machine:
    """Runs a program, and notes what must be recorded of it."""

    bus: HypervisorEventBus
    recorder: Recorder = Factory(lambda self: Recorder(self.bus), takes_self=True)
    parents: dict[str, str | None] = Factory(dict)
    failed: set[str] = Factory(set)
    outliving: list[asyncio.Task[None]] = Factory(list)
    shared: dict[str, Any] = Factory(dict)

    def make(self, kind: str) -> Any:
        if kind == "elevation":
            return self.recorder.elevation(3, 1)
        return getattr(self.recorder, kind)(kind)

    async def run(self, program: list[Any]) -> None:
        here = standing()
        for op, *arguments in program:
            await getattr(self, op)(*arguments)
            assert standing() is here

    async def whole(self, program: list[Any]) -> None:
        """Run a program and all that outlives its blocks."""
        await self.run(program)
        loop = asyncio.get_running_loop()
        while own := [one for one in self.outliving if one.get_loop() is loop and not one.done()]:
            await asyncio.gather(*own)

    async def pause(self) -> None:
        await asyncio.sleep(0)

    async def read(self, values: int) -> None:
        around = current_trace()

        @self.recorder.agent("did:reader")
        async def generate() -> AsyncIterator[int]:
            self._note("agent", current_trace(), around)
            yield 1
            yield 2

        stream: Any = generate()
        for _ in range(values):
            await anext(stream, None)
            assert current_trace() is around
        await stream.aclose()

    async def spawn(self, how: str, body: list[Any]) -> None:
        if how.endswith("task"):
            task = asyncio.create_task(self.run(body))
            if how == "task":
                await task
            else:
                self.outliving.append(task)
            return

        def thread() -> None:
            asyncio.run(self.whole(body))

        work = carry(thread) if how == "carried" else thread
        started = threading.Thread(target=work)
        started.start()
        await asyncio.to_thread(started.join, 60)
        assert not started.is_alive()

    async def block(self, kind: str, how: str, shared: bool, fails: bool, body: list[Any]) -> None:
        around, saga = current_trace(), current_place().saga
        scope = self.shared.setdefault(kind, self.make(kind)) if shared else self.make(kind)

        async def inside(_: object = None) -> None:
            self._note(kind, current_trace(), around, saga, fails=fails)
            await self.run(body)
            if fails:
                raise Boom

        try:
            await entered(scope, how, inside)
        except Boom:
            assert fails
        else:
            assert not fails

    def _note(
        self,
        kind: str,
        trace: CausalTraceId | None,
        around: CausalTraceId | None,
        saga: object = None,
        *,
        fails: bool = False,
    ) -> None:
        if kind in ("session", "elevation"):
            assert trace is around
            return
        assert trace is not None
        if kind == "step" and isinstance(saga, Saga):
            around = saga.trace
        elif kind == "step":  # of a saga of its own
            own = CausalTraceId.from_string(f"{trace.trace_id}/{trace.parent_span_id}")
            self.parents[own.span_id] = None if around is None else around.span_id
            self.failed |= {own.span_id} if fails else set()
            around = own
        self.parents[trace.span_id] = None if around is None else around.span_id
        if fails:
            self.failed.add(trace.span_id)


async def entered(scope: Any, how: str, inside: Callable[..., Any]) -> None:
    if how == "with":
        with scope as subject:
            await inside(subject)
    elif how == "async with":
        async with scope as subject:
            await inside(subject)
    elif how == "stack":
        with ExitStack() as stack:
            await inside(stack.enter_context(scope))
    elif how == "async stack":
        async with AsyncExitStack() as later:
            await inside(await later.enter_async_context(scope))
    else:
        await scope(inside)()


ENDS = {
    EventType.SESSION_JOINED: (AGENT_FINISHED,),
    EventType.SAGA_CREATED: (EventType.SAGA_COMPLETED, EventType.SAGA_ESCALATED),
    EventType.SAGA_STEP_STARTED: (EventType.SAGA_STEP_COMMITTED, EventType.SAGA_STEP_FAILED),
}


@settings(max_examples=200, deadline=None)
@given(PROGRAMS)
def test_each_piece_of_work_has_one_end_and_its_parent(program: list[Any]) -> None:
    machine = Machine(HypervisorEventBus())

    before = standing()
    asyncio.run(machine.whole(program))
    assert standing() is before

    bus, parents, failed = machine.bus, dict[str, str | None](), set[str]()
    for begin, ends in ENDS.items():
        begun = [trace_of(event) for event in bus.query_by_type(begin)]
        ended = [event for end in ends for event in bus.query_by_type(end)]
        assert Counter(trace.span_id for trace in begun) == Counter(
            trace_of(event).span_id for event in ended
        )
        assert len({trace.span_id for trace in begun}) == len(begun)
        parents |= {trace.span_id: trace.parent_span_id for trace in begun}
        failed |= {
            trace_of(event).span_id
            for event in ended
            if "error_type" in event.payload or event.payload.get("outcome") == "failed"
        }
    assert (parents, failed) == (machine.parents, machine.failed)
    for begin, end in (
        (EventType.SESSION_CREATED, EventType.SESSION_TERMINATED),
        (EventType.RING_ELEVATED, EventType.RING_DEMOTED),
    ):
        assert len(bus.query_by_type(begin)) == len(bus.query_by_type(end))
    for trace_id in {str(event.causal_trace_id).partition("/")[0] for event in bus.all_events}:
        nodes = bus.tree(trace_id).nodes.values()
        assert not any(node.orphan or node.second_root for node in nodes)
