"""The recorder under trio, in a process that never imports asyncio."""

from tests.programs import run_python

PROGRAM = """
import sys

import trio
from hypervisor_observability import HypervisorEventBus, Recorder, carry, current_trace

bus = HypervisorEventBus()
recorder = Recorder(bus)
undone = []


async def undo():
    await trio.sleep(0)
    undone.append("load")


@recorder.step("stream")
async def numbers():
    for number in range(3):
        await trio.sleep(0)
        yield number


class Tool:
    async def __call__(self):
        await trio.sleep(0)
        return current_trace()


async def work(number, lead):
    async with recorder.agent(f"did:{number}") as agent:
        await trio.sleep(0.001)
        assert agent.trace.parent_span_id == lead.trace.span_id
        assert current_trace() == agent.trace
        async with shared as again:
            await trio.sleep(0.001 * (5 - number))
            assert current_trace() == again.trace
        assert current_trace() == agent.trace


shared = recorder.agent("did:shared")


async def main():
    async with recorder.agent("did:lead") as lead:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(work, number, lead)
        assert await trio.to_thread.run_sync(current_trace) == lead.trace
        assert await carry(Tool())() == lead.trace
        assert await recorder.step("tool")(lambda: Tool()())() != lead.trace
        async for number in (stream := numbers()):
            assert current_trace() == lead.trace
            break
        await stream.aclose()
    assert current_trace() is None

    with trio.move_on_after(0.05) as scope:
        async with recorder.saga("import", compensate=True, saga_id="i") as saga:
            async with saga.step("load", undo=undo):
                pass
            async with saga.step("held", undo=lambda: trio.sleep(60)):
                pass
            raise ValueError("no")


try:
    trio.run(main)
except ValueError:
    pass
phases = [e.payload["phase"] for e in bus.query_by_type("saga.compensating")]
assert phases == ["started", "failed", "started", "failed"], phases  # cancelled, each of them
assert bus.query_by_type("saga.escalated")[-1].payload["failed_compensations"] == ["held", "load"]
assert "asyncio" not in sys.modules
failed = [e for e in bus.query_by_type("agent.finished") if e.payload["status"] != "ok"]
assert not failed, failed
assert not bus.query_by_type("saga.step_failed")
print("whole")
"""


def test_recorder_works_under_trio_without_asyncio() -> None:
    ran = run_python(PROGRAM, timeout=120)

    assert (ran.returncode, ran.stdout.strip()) == (0, "whole"), ran.stderr
