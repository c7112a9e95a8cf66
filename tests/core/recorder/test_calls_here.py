"""Calls that the running code is in, whoever records them."""

import asyncio
import gc
import os
import threading
from contextvars import copy_context

import pytest

from hypervisor_observability import HypervisorEventBus, Observability, Recorder


def recorder() -> Recorder:
    return Recorder(HypervisorEventBus())


def test_call_under_a_key_is_found_until_it_ends() -> None:
    one = recorder()
    assert one.call_here("model") is None
    one.open("model", "run-7", model="small")
    call = one.call_here("model")

    assert call is not None
    assert (call.name, call.key) == ("small", "run-7")
    assert one.call_here("tool") is None
    one.close("run-7")
    assert one.call_here("model") is None


def test_call_that_is_a_scope_is_found_until_it_ends() -> None:
    one = recorder()
    with one.tool("search"), one.model("small"):
        tool, model = one.call_here("tool"), one.call_here("model")
        assert tool is not None
        assert (tool.name, tool.key) == ("search", None)
        assert model is not None
        assert (model.name, model.key) == ("small", None)
    assert one.call_here("tool") is None
    assert one.call_here("model") is None


def test_call_around_is_found_again_when_the_inner_one_has_ended() -> None:
    one = recorder()
    one.open("model", "outer", model="large")
    one.open("model", "inner", model="small")
    one.close("inner")
    call = one.call_here("model")

    assert call is not None
    assert call.key == "outer"
    one.close("outer")


def test_calls_may_end_in_any_order() -> None:
    one = recorder()
    one.open("model", "outer", model="large")
    one.open("model", "inner", model="small")
    one.close("outer")
    call = one.call_here("model")

    assert call is not None
    assert call.key == "inner"
    one.close("inner")
    assert one.call_here("model") is None


def test_task_and_thread_know_the_call_that_started_them() -> None:
    one = recorder()

    def key() -> object:
        call = one.call_here("model")
        return None if call is None else call.key

    async def main() -> list[object]:
        one.open("model", "call", model="small")
        found = [await asyncio.create_task(later(key)), await asyncio.to_thread(key)]
        one.close("call")
        return [*found, await asyncio.create_task(later(key))]

    async def later(ask: object) -> object:
        await asyncio.sleep(0)
        return key()

    assert asyncio.run(main()) == ["call", "call", None]
    assert key() is None


def test_thread_of_its_own_is_in_no_call() -> None:
    one = recorder()
    found: list[object] = []
    with one.model("small"):
        thread = threading.Thread(target=lambda: found.append(one.call_here("model")))
        thread.start()
        thread.join(30)

    assert found == [None]


def test_call_that_gave_way_to_others_has_ended() -> None:
    one = recorder()

    def fill() -> object:
        one.open("model", "oldest", model="small")
        for number in range(10_001):
            copy_context().run(one.open, "agent", number)
        return one.call_here("model")

    assert copy_context().run(fill) is None


def test_calls_that_overlap_keep_none_that_are_over() -> None:
    """As callbacks in one context have them: each ends when the next has begun."""
    one = recorder()

    def overlap() -> int:
        for number in range(1_000):
            one.open("model", number, model="small")
            one.close(number - 1)
        call = one.call_here("model")
        assert call is not None
        held = [other for other in gc.get_objects() if type(other) is type(call)]
        return sum(other.owner is call.owner for other in held)

    assert copy_context().run(overlap) < 10


def test_call_of_another_recorder_is_none_of_this_one() -> None:
    """It may be one that nobody closed, of an observability that has stopped."""
    one, other = recorder(), recorder()
    with one.model("small"):
        one.open("model", "forgotten", model="small")
        assert other.call_here("model") is None
        with other.model("large"):
            call = one.call_here("model")
            assert call is not None
            assert call.key == "forgotten"


def test_name_of_any_type_is_text() -> None:
    one = recorder()
    one.open("tool", "call", tool_name=7)
    call = one.call_here("tool")

    assert call is not None
    assert call.name == "7"
    one.close("call")


def test_call_that_nobody_is_left_to_end_is_over() -> None:
    one = recorder()

    def leave_open() -> object:
        scope = one.model("large")
        scope.__enter__()
        return one.call_here("model")

    def leave() -> None:
        assert leave_open() is not None
        gc.collect()
        assert one.call_here("model") is None

    copy_context().run(leave)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_child_of_a_fork_is_in_no_call_that_its_parent_ends() -> None:
    one = recorder()
    one.open("model", "call", model="small")
    child = os.fork()
    if not child:
        os._exit(0 if one.call_here("model") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert one.call_here("model") is not None
    one.close("call")


def test_code_stands_in_nothing_that_was_open_when_its_observability_stopped() -> None:
    """Callbacks of a source do nothing once it has stopped: nobody would close it."""
    with Observability() as stopped:
        stopped.recorder.open("agent", "a", name="cook")
        stopped.recorder.open("tool", "t", "a", tool_name="stove", activate=True)
    with Observability() as next_one:
        assert stopped.recorder.call_here("tool") is None
        with next_one.recorder.agent("waiter") as waiter:
            assert waiter.trace.parent_span_id is None
    assert stopped.recorder.close("t") is not None
