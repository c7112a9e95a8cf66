"""Cancellations are told from failures, whichever library cancels."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from hypervisor_observability import HypervisorEventBus, Recorder
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.recorder.failure import was_cancelled
from tests.programs import run_python

HEAD = """
from hypervisor_observability import HypervisorEventBus, Recorder

bus = HypervisorEventBus()
recorder = Recorder(bus)
"""
TAIL = """
ended = bus.query_by_type("agent.finished")
print(*sorted((e.agent_did, e.payload["status"], e.payload["reason"]) for e in ended), sep="\\n")
"""
TRIO = """
import trio

async def main():
    with trio.move_on_after(0.01), recorder.agent("block"):
        await trio.sleep(60)
    with trio.move_on_after(0.01), recorder.agent("nursery"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 60)
            nursery.start_soon(trio.sleep, 60)

trio.run(main)
"""
GEVENT = """
import gevent

def work():
    with recorder.agent("greenlet"):
        gevent.sleep(60)

greenlet = gevent.spawn(work)
gevent.sleep(0.01)
greenlet.kill()
"""


@pytest.mark.parametrize(
    ("program", "agents"), [(TRIO, ["block", "nursery"]), (GEVENT, ["greenlet"])]
)
def test_what_trio_and_gevent_cancel_is_cancelled(program: str, agents: list[str]) -> None:
    ran = run_python(HEAD + program + TAIL, timeout=120)

    expected = [str((agent, "cancelled", "cancelled")) for agent in agents]
    assert (ran.returncode, ran.stdout.splitlines()) == (0, expected), ran.stderr


def test_cancelled_future_and_task_group_are_cancelled(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    begun, release = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(begun.set)
        pool.submit(release.wait, 60)
        assert begun.wait(60)

        @recorder.agent("future")
        def submit() -> Future[None]:
            return pool.submit(print)

        assert submit().cancel()
        release.set()

    async def group() -> None:
        with recorder.agent("group"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(60))

    async def main() -> None:
        task = asyncio.create_task(group())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())

    ended = bus.query_by_type(AGENT_FINISHED)
    assert [(event.agent_did, event.payload["status"]) for event in ended] == [
        ("future", "cancelled"),
        ("group", "cancelled"),
    ]


def test_exception_that_is_merely_called_so_is_a_failure() -> None:
    assert not was_cancelled(type("CancelledError", (Exception,), {})())
    assert not was_cancelled(type("Cancelled", (BaseException,), {})())
    assert not was_cancelled(None)
