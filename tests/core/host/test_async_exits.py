"""How processes end whose observability is entered by ``async with``, or whose hooks await."""

import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.core.host.ending_programs import NO_THREAD_AT_THE_END, run

ASYNC = """
import asyncio
from hypervisor_observability import DeliveryConfig

config = Config(handle_sigterm=True, delivery=DeliveryConfig(interval_seconds=3_600))
o = Observability(config, plugins=[Writing()])

async def main():
    async with o:
        emit(5)
        {work}
"""


@pytest.mark.fault("C12")
def test_sigterm_is_handled_beside_async_with(tmp_path: Path) -> None:
    start = textwrap.dedent(
        ASYNC.format(work="print('ready', flush=True); await asyncio.sleep(600)")
    )
    code, delivered, told = run("asyncio.run(main())", tmp_path, start=start, terminate=True)

    assert (code, delivered) == (143, Counter({"main by main": 5}))
    assert "not in the main thread" not in told


def test_sigterm_is_left_alone_again_after_async_with(tmp_path: Path) -> None:
    program = """
    import signal
    asyncio.run(main())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    """
    start = textwrap.dedent(ASYNC.format(work="pass"))
    code, delivered, told = run(program, tmp_path, start=start)

    assert (code, delivered) == (0, Counter({"main by main": 5})), told


@pytest.mark.fault("C12")
def test_async_with_that_is_cancelled_while_it_starts_still_delivers_at_the_end(
    tmp_path: Path,
) -> None:
    start = textwrap.dedent(ASYNC.format(work="pass")).replace(
        "o = Observability",
        "Writing.start = hookimpl(lambda self: time.sleep(0.5))\no = Observability",
    )
    program = """
    async def cancelled():
        task = asyncio.ensure_future(main())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    asyncio.run(cancelled())
    emit(7)
    """
    code, delivered, told = run(program, tmp_path, start=start)

    assert (code, delivered) == (0, Counter({"main by main": 7})), told


@pytest.mark.fault("C23")
@pytest.mark.parametrize(
    "hanging",
    ["await asyncio.sleep(600)", "await asyncio.to_thread(time.sleep, 600)", "time.sleep(600)"],
)
def test_coroutine_that_hangs_does_not_hold_up_the_end(tmp_path: Path, hanging: str) -> None:
    start = f"""
import asyncio
class Awaiting:
    name = "awaiting"
    @hookimpl
    async def export_events(self, events):
        {hanging}
o = Observability(Config(stop_timeout_seconds=0.5), plugins=[Awaiting()]).start()
"""
    code, _, told = run("emit(3)\nassert not o.flush(0.5)", tmp_path, start=start)

    assert code == 0, told
    assert "events not delivered: awaiting 3 of 3 (sent, but never confirmed)" in told


@pytest.mark.fault("C11")
@pytest.mark.skipif(NO_THREAD_AT_THE_END, reason="the end of asyncio's loop needs a thread")
def test_coroutines_run_in_a_fork_of_their_process(tmp_path: Path) -> None:
    start = """
import asyncio
class Awaiting(Writing):
    @hookimpl
    async def start(self):
        self.task = asyncio.create_task(asyncio.sleep(600))
    @hookimpl
    async def export_events(self, events):
        await asyncio.sleep(0)
        Writing.export_events(self, events)
    @hookimpl
    async def stop(self):
        self.task.cancel()
o = Observability(plugins=[Awaiting()]).start()
"""
    program = """
    emit(10)
    assert o.flush(30)
    if os.fork() == 0:
        emit(20)
        sys.exit(0)
    os.wait()
    emit(10, 10)
    """
    code, delivered, told = run(program, tmp_path, start=start)

    assert (code, delivered) == (0, Counter({"main by main": 20, "child by child": 20})), told
