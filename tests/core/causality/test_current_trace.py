import asyncio
import contextvars

import pytest

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.current_trace import activate, current_trace
from tests.threads import run_in_threads


def test_no_trace_is_active_at_first() -> None:
    assert current_trace() is None


def test_blocks_nest_and_give_back_what_was_active() -> None:
    outer, inner = CausalTraceId(), CausalTraceId()

    with outer.activate() as active:
        assert active is outer
        with inner.activate():
            assert current_trace() is inner
        assert current_trace() is outer
        with activate(None):
            assert current_trace() is None
    assert current_trace() is None


def test_exception_leaves_the_block_and_the_trace() -> None:
    with pytest.raises(ZeroDivisionError), CausalTraceId().activate():
        _ = 1 / 0

    assert current_trace() is None


def test_one_object_may_be_entered_again() -> None:
    trace = CausalTraceId()
    block = trace.activate()

    with block, block:
        assert current_trace() is trace
    with block:
        assert current_trace() is trace
    assert current_trace() is None


def test_tasks_do_not_see_each_other() -> None:
    async def work(trace: CausalTraceId) -> bool:
        inherited = current_trace()
        with trace.activate():
            await asyncio.sleep(0)
            same = current_trace() is trace
        return same and current_trace() is inherited is not None

    async def run() -> list[bool]:
        with CausalTraceId().activate():
            return await asyncio.gather(*(work(CausalTraceId()) for _ in range(10)))

    assert asyncio.run(run()) == [True] * 10


def test_thread_starts_without_a_trace() -> None:
    seen: list[CausalTraceId | None] = []
    with CausalTraceId().activate():
        run_in_threads(lambda: seen.append(current_trace()))

    assert seen == [None]


def test_block_that_ends_in_another_context_raises_nothing() -> None:
    block = CausalTraceId().activate()
    contextvars.copy_context().run(block.__enter__)
    with CausalTraceId().activate() as mine:
        block.__exit__(None, None, None)
        assert current_trace() is mine
