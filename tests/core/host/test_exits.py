"""How processes end: nothing is lost that need not be."""

import signal
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests import programs
from tests.core.host.ending_programs import START, run


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
    assert "events not delivered: hanging 5 of 5" in told


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


def test_program_that_emits_nothing_ends_without_a_word() -> None:
    program = (
        "from hypervisor_observability import Observability\n"
        "observability = Observability().start()"
    )
    done = programs.run([sys.executable, "-c", program])

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
