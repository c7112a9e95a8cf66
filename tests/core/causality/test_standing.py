"""Blocks that end in any order, in any context, lead everybody out and nobody else."""

import contextvars
from typing import Any

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.causality.standing import Standing, leave, stand, standing

CONTEXTS = 3


@define(eq=False)
class Block:
    """A block that one of the contexts entered."""

    context: int
    trace: CausalTraceId
    inside: Standing
    over: bool = False


ENTER = st.tuples(st.just("enter"), st.integers(0, CONTEXTS - 1))
LEAVE = st.tuples(st.just("leave"), st.integers(0, CONTEXTS - 1), st.integers(0, 20))
TASK = st.tuples(st.just("task"), st.integers(0, CONTEXTS - 1))


@settings(max_examples=300, deadline=None)
@given(st.lists(ENTER | LEAVE | TASK, max_size=30))
def test_each_context_stands_in_the_innermost_block_that_is_not_over(ops: list[Any]) -> None:
    contexts = [contextvars.Context() for _ in range(CONTEXTS)]
    blocks: list[Block] = []
    tasks: list[tuple[contextvars.Context, CausalTraceId | None]] = []

    def expected(context: int) -> CausalTraceId | None:
        own = [block.trace for block in blocks if block.context == context and not block.over]
        return own[-1] if own else None

    def end(block: Block, context: int) -> None:
        block.over = True
        contexts[context].run(leave, block.inside)

    for op, context, *which in ops:
        if op == "enter":
            trace = CausalTraceId()
            blocks.append(Block(context, trace, contexts[context].run(stand, trace, None)))
        elif op == "task":
            tasks.append((contexts[context].copy(), contexts[context].run(current_trace)))
        elif going_on := [block for block in blocks if not block.over]:
            end(going_on[which[0] % len(going_on)], context)
        for number, one in enumerate(contexts):
            assert one.run(current_trace) is expected(number)
    for block in blocks:
        if not block.over:
            end(block, 0)
            end(block, 1)  # again: nothing comes of it

    for one in contexts:
        assert one.run(current_trace) is None
        assert one.run(standing).outer is None
    for one, trace_then in tasks:  # what started within a block stays below it
        assert one.run(current_trace) is trace_then
        for block in blocks:
            one.run(leave, block.inside)
        assert one.run(current_trace) is trace_then


def test_what_is_done_on_leaving_is_done_once_and_in_the_context_that_entered() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var")
    own, other = contextvars.Context(), contextvars.Context()
    done: list[str] = []
    own.run(var.set, "own")
    inside = own.run(stand, CausalTraceId(), None)
    inside.on_leave = lambda: done.append(var.get("other"))

    other.run(leave, inside)
    assert done == []
    assert own.run(current_trace) is None
    own.run(leave, inside)
    assert done == ["own"]


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_blocks_left_from_the_outside_in_are_left_without_recursion(depth: int) -> None:
    context = contextvars.Context()
    blocks = [context.run(stand, CausalTraceId(), None) for _ in range(depth)]

    for block in blocks:
        context.run(leave, block)
    assert context.run(current_trace) is None
