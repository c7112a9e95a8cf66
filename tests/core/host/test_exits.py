"""How processes end, and what a fork's child does: nothing is lost that need not be."""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

# Each event leaves a line "<pid that emitted> <pid that delivered> <number>".
# Python 3.12 starts no thread once a process ends, not even at the end of a fork's child.
NO_THREAD_AT_THE_END = sys.version_info[:2] == (3, 12)

PRELUDE = """
import os, sys, threading, time
from hypervisor_observability import Config, EventType, Observability, hookimpl

out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Writing:
    name = "writing"
    @hookimpl
    def export_events(self, events):
        for event in events:
            line = f"{event.payload['pid']} {os.getpid()} {event.payload['n']}\\n"
            os.write(out, line.encode())
    @hookimpl
    def stop(self):
        os.write(out, f"stop {os.getpid()} 0\\n".encode())

class Hanging:
    name = "hanging"
    @hookimpl
    def export_events(self, events):
        threading.Event().wait(600)

def emit(count, start=0):
    for n in range(start, start + count):
        o.bus.record(EventType.VFS_WRITE, payload={"pid": os.getpid(), "n": n})

def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("hvobs-")]

"""
START = "o = Observability(Config(handle_sigterm=True), plugins=[Writing()]).start()\n"


def run(
    program: str, folder: Path, *, start: str = START, terminate: bool = False
) -> tuple[int, Counter[str], str]:
    """Run *program* without coverage, whose locks a fork would leave taken.

    Returns:
        The exit code, how many events of each process were delivered and by whom, and what was
        written to stderr.
    """
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    path = folder / "out"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + start + textwrap.dedent(program), path],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if terminate:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=90)
        except BaseException:
            process.kill()
            raise
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    delivered = [(a, b, n) for a, b, n in lines if a != "stop"]
    assert len(set(delivered)) == len(delivered), "delivered twice"
    main = str(process.pid)
    return (
        process.returncode,
        Counter(f"{'main' if a == main else 'child'} by {'main' if b == main else 'child'}"
                for a, b, _ in delivered),
        told,
    )  # fmt: skip


@pytest.mark.fault("C12")
@pytest.mark.parametrize(
    ("ending", "code", "delivered"),
    [
        ("", 0, 700),
        ("sys.exit(3)", 3, 700),
        ("raise ValueError('on purpose')", 1, 700),
        ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT, 700),
        ("signal.raise_signal(signal.SIGTERM)", 128 + signal.SIGTERM, 700),
        ("threading.Thread(target=lambda: emit(1, 700)).start()", 0, 701),
        ("o.stop(); o.stop(); emit(1)", 0, 700),
    ],
    ids=["return", "sys.exit", "exception", "SIGINT", "SIGTERM", "thread", "stop"],
)
def test_what_waits_is_delivered_at_exit(
    ending: str, code: int, delivered: int, tmp_path: Path
) -> None:
    found = run(f"import signal\nemit(700)\n{ending}", tmp_path)

    assert found[:2] == (code, Counter({"main by main": delivered}))


@pytest.mark.fault("C12")
@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("os._exit(4)", 4),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.execv(sys.executable, [sys.executable, '-c', ''])", 0),
    ],
    ids=["_exit", "abort", "SIGKILL", "exec"],
)
def test_endings_that_nothing_can_be_done_about_do_not_hang(
    ending: str, code: int, tmp_path: Path
) -> None:
    # What waits is lost without a journal, and what was flushed is not.
    program = f"import signal\nemit(300)\nassert o.flush(30)\nemit(300, 300)\n{ending}"
    found, delivered, _ = run(program, tmp_path)

    assert found == code
    assert delivered["main by main"] >= 300


@pytest.mark.fault("C12")
def test_sigterm_from_outside_unwinds_the_main_thread(tmp_path: Path) -> None:
    program = """
    emit(700)
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.01)
    finally:
        emit(1, 700)
    """
    code, delivered, _ = run(program, tmp_path, terminate=True)

    assert (code, delivered) == (143, Counter({"main by main": 701}))


def test_handler_that_the_application_has_for_sigterm_is_left_alone(tmp_path: Path) -> None:
    start = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(77))\n" + START
    code, _, told = run("signal.raise_signal(signal.SIGTERM)", tmp_path, start=start)

    assert code == 77
    assert "SIGTERM has a handler already" in told


def test_sigterm_is_left_alone_after_the_stop_and_outside_the_main_thread(tmp_path: Path) -> None:
    program = """
    import signal
    o.stop()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    other = Observability(Config(handle_sigterm=True))
    thread = threading.Thread(target=other.start)
    thread.start()
    thread.join(30)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    """
    code, _, told = run(program, tmp_path)

    assert code == 0
    assert "not in the main thread" in told


@pytest.mark.fault("C23")
def test_process_with_hung_plugins_ends_in_time_and_tells(tmp_path: Path) -> None:
    start = "o = Observability(plugins=[Hanging(), Hanging(), Writing()]).start()\n"
    program = """
    emit(10)
    begun = time.monotonic()
    assert not o.flush(1)
    assert time.monotonic() - begun < 30
    o.config.stop_timeout_seconds
    """
    code, delivered, told = run(program, tmp_path, start=start)

    assert (code, delivered) == (0, Counter({"main by main": 10}))
    assert "not stopped within 2 s: hanging, hanging-2" in told


@pytest.mark.fault("C24")
def test_emitting_while_the_interpreter_ends_does_no_harm(tmp_path: Path) -> None:
    program = """
    import atexit
    class Late:
        def __del__(self):
            emit(1, 9_000)
    late = Late()
    atexit.register(emit, 1, 8_000)
    o.stop()
    late.again = late
    """
    code, _, told = run(program, tmp_path)

    assert code == 0
    assert "Traceback" not in told


# Forks


@pytest.mark.fault("C11")
def test_child_that_does_not_emit_starts_nothing_and_delivers_nothing(tmp_path: Path) -> None:
    program = """
    emit(100)
    assert o.flush(30)
    emit(5, 100)
    if os.fork() == 0:
        assert threads() == [], threads()
        assert o.counts()["writing"].emitted == 0
        sys.exit(5)
    _, status = os.wait()
    assert os.waitstatus_to_exitcode(status) == 5
    """
    code, delivered, _ = run(program, tmp_path)

    assert (code, delivered) == (0, Counter({"main by main": 105}))


@pytest.mark.fault("C11")
def test_child_delivers_its_own_events_once(tmp_path: Path) -> None:
    program = """
    emit(100)
    pid = os.fork()
    if pid == 0:
        emit(50)
        assert o.flush(30)
        emit(7, 50)
        assert o.counts()["writing"].emitted == 57
        sys.exit(0)
    emit(100, 100)
    _, status = os.wait()
    assert status == 0
    """
    code, delivered, told = run(program, tmp_path)

    assert (code, delivered) == (0, Counter({"main by main": 200, "child by child": 57})), told


@pytest.mark.fault("C11")
def test_many_forks_under_load_lose_nothing(tmp_path: Path) -> None:
    program = """
    go_on = True
    sent = [0] * 3
    def load(part):
        n = 0
        while go_on:
            emit(10, part * 10**6 + n)
            n += 10
            sent[part] = n
            time.sleep(0.001)
    loads = [threading.Thread(target=load, args=(part,)) for part in range(3)]
    [one.start() for one in loads]
    for child in range(20):
        pid = os.fork()
        if pid == 0:
            emit(20)
            ok = o.flush(30)
            o.stop()
            os._exit(0 if ok else 9)
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            assert time.monotonic() < deadline, f"child {child} hangs"
            time.sleep(0.002)
        assert status == 0, status
    go_on = False
    [one.join() for one in loads]
    assert o.flush(30)
    counts = o.counts()["writing"]
    assert counts.delivered == counts.emitted == sum(sent), (counts, sent)
    """
    code, delivered, told = run(program, tmp_path)

    assert code == 0, told
    assert delivered["child by child"] == 20 * 20
    assert delivered["main by main"] > 0
    assert set(delivered) == {"main by main", "child by child"}


@pytest.mark.fault("C11")
def test_children_that_are_terminated_at_any_moment_end(tmp_path: Path) -> None:
    program = """
    import multiprocessing, random, signal
    context = multiprocessing.get_context("fork")
    emit(1)
    def work(ready):
        emit(1)
        ready.set()
        time.sleep(60)
    for child in range(60):
        ready = context.Event()
        process = context.Process(target=work, args=(ready,))
        process.start()
        ready.wait(30) if child < 10 else time.sleep(random.random() * 0.01)
        process.terminate()
        process.join(60)
        assert process.exitcode in {143} if child < 10 else {143, -signal.SIGTERM}, process
    """
    code, delivered, told = run(program, tmp_path)

    assert (code, told) == (0, "")
    assert delivered["child by child"] >= 10


@pytest.mark.fault("C11")
def test_pool_that_is_terminated_does_not_wait_for_ever(tmp_path: Path) -> None:
    program = """
    import multiprocessing
    def work(number):
        emit(1, number)
    for _ in range(15):
        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(work, range(20))
    """
    code, _, told = run(program, tmp_path)

    assert code == 0
    assert told == "" or NO_THREAD_AT_THE_END


@pytest.mark.fault("C12")
def test_signal_while_a_process_forks_ends_it_nevertheless(tmp_path: Path) -> None:
    program = """
    import signal
    from hypervisor_observability.host import exits
    emit(10)
    exits._fork.begin()
    signal.raise_signal(signal.SIGTERM)
    exits._fork.end_in_parent()
    time.sleep(60)
    """
    found = run(program, tmp_path)

    assert found == (128 + signal.SIGTERM, Counter({"main by main": 10}), "")


@pytest.mark.fault("C12")
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("soon(signal.SIGTERM)", 0),  # while the process delivers at its end
        ("soon(signal.SIGINT)", 0),
        ("soon(signal.SIGINT)\nwith o:\n    emit(5)", -signal.SIGINT),
        ("soon(signal.SIGTERM)\nwith o:\n    emit(5)", 128 + signal.SIGTERM),
    ],
)
def test_signal_that_comes_while_a_process_ends_does_not_hide_what_was_lost(
    program: str, code: int, tmp_path: Path
) -> None:
    start = """
import signal
o = Observability(Config(handle_sigterm=True, stop_timeout_seconds=3), plugins=[Hanging()])
def strike(number):
    while o.states() != {"hanging": "stopped"}:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), number)
def soon(number):
    threading.Thread(target=strike, args=[number], daemon=True).start()
"""
    begin = "" if "with o" in program else "\no.start()\nemit(5)"
    found, _, told = run(program + begin, tmp_path, start=start)

    assert found == code, told
    assert "events that plugins did not get: hanging 5 of 5" in told


@pytest.mark.fault("C12")
@pytest.mark.parametrize("hook", ["async def start", "def start", "def stop"])
def test_what_a_signal_handler_raises_while_a_plugin_starts_is_the_applications(
    hook: str, tmp_path: Path
) -> None:
    start = f"""
import asyncio, signal
def leave(*_):
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
class Slow:
    @hookimpl
    {"def start(self): raise ValueError" if "stop" in hook else "def flush(self): ..."}
    @hookimpl
    {hook}(self):
        signal.raise_signal(signal.SIGTERM) if "async" not in {hook!r} else os.kill(
            os.getpid(), signal.SIGTERM)
        {"await asyncio.sleep(30)" if "async" in hook else "time.sleep(30)"}
o = Observability(plugins=[Slow()])
o.start()
"""
    code, _, _ = run("print('goes on', file=sys.stderr)", tmp_path, start=start)

    assert code == 7


@pytest.mark.fault("C11")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_of_multiprocessing_delivers_what_it_emits(method: str, tmp_path: Path) -> None:
    module = tmp_path / "pool_work.py"
    module.write_text(
        PRELUDE
        + "o = Observability(plugins=[Writing()])\n"
        + "def work(_):\n    if o.states()['writing'] == 'new': o.start()\n    emit(30)\n"
    )
    program = f"""
    import multiprocessing
    sys.path.insert(0, {str(tmp_path)!r})
    import pool_work
    if __name__ == "__main__":
        context = multiprocessing.get_context({method!r})
        if {method == "fork"}:
            pool_work.o.start()
        workers = [context.Process(target=pool_work.work, args=(0,)) for _ in range(3)]
        [one.start() for one in workers]
        [one.join(60) for one in workers]
        assert [one.exitcode for one in workers] == [0, 0, 0]
    """
    start = f"sys.argv[1:] = [{str(tmp_path / 'out')!r}]\n"
    code, delivered, told = run(program, tmp_path, start=start)

    assert code == 0, told
    assert delivered == Counter({"child by child": 90})


@pytest.mark.fault("C12")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_of_billiard_delivers_what_it_emits(method: str, tmp_path: Path) -> None:
    pytest.importorskip("billiard", reason="billiard is not installed")
    module = tmp_path / "billiard_work.py"
    module.write_text(
        PRELUDE
        + "o = Observability(plugins=[Writing()])\n"
        + "def work(_):\n    if o.states()['writing'] == 'new': o.start()\n    emit(30)\n"
    )
    program = f"""
    import billiard
    sys.path.insert(0, {str(tmp_path)!r})
    import billiard_work
    if __name__ == "__main__":
        context = billiard.get_context({method!r})
        if {method == "fork"}:
            billiard_work.o.start()
        workers = [context.Process(target=billiard_work.work, args=(0,)) for _ in range(3)]
        [one.start() for one in workers]
        [one.join(60) for one in workers]
        assert [one.exitcode for one in workers] == [0, 0, 0]
    """
    start = f"sys.argv[1:] = [{str(tmp_path / 'out')!r}]\n"
    code, delivered, told = run(program, tmp_path, start=start)

    assert code == 0, told
    assert delivered == Counter({"child by child": 90})


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
    assert "events that plugins did not get: awaiting 3 of 3 (in_doubt 3)" in told


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


@pytest.mark.fault("C12")
def test_sys_exit_in_a_thread_ends_that_thread_alone(tmp_path: Path) -> None:
    program = """
    def work():
        emit(5)
        sys.exit(9)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    emit(5, 5)
    """
    code, delivered, _ = run(program, tmp_path)

    assert (code, delivered) == (0, Counter({"main by main": 10}))


EXPOSING = """
class Exposing:
    name = "exposing"
    @hookimpl
    def start(self, context):
        pass
    @hookimpl
    def stop(self):
        os.write(out, b"stop 0 0\\n")
        {stopping}

o = Observability(Config(), plugins=[Exposing()]).start()
"""


@pytest.mark.parametrize("events", [0, 3])
def test_plugin_that_only_exposes_is_stopped_at_the_end_of_the_process(
    tmp_path: Path, events: int
) -> None:
    # Python 3.12 and later start no thread there.
    start = textwrap.dedent(EXPOSING.format(stopping="pass"))

    code, _, told = run(f"emit({events})", tmp_path, start=start)

    assert code == 0
    assert "Error" not in told
    assert (tmp_path / "out").read_text().startswith("stop ")


@pytest.mark.fault("C23")
def test_plugin_that_only_exposes_and_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    start = textwrap.dedent(EXPOSING.format(stopping="threading.Event().wait(600)"))

    code, _, told = run("emit(3)", tmp_path, start=start)

    assert code == 0
    assert "not stopped within" in told
