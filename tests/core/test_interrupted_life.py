"""An exception of a signal handler strikes a start, a stop, a thread's start; a handler forks."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.streams.journalled_log import JournalledLog
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import Config, EventType, Observability, hookimpl
from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.host.reader_group import ReaderGroup
from hypervisor_observability.threads.one_thread import OneThread
from tests.tracing import traced
from tests.waiting import wait_until

pytestmark = pytest.mark.fault("C10")


class Struck(Exception):  # noqa: N818 - what it is
    """What the handler raises."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def strike(_number: int, _frame: FrameType | None) -> None:
        raise Struck

    before = signal.signal(signal.SIGUSR1, strike)
    yield
    signal.signal(signal.SIGUSR1, before)


class Plugin:
    """Strikes the main thread from within its hooks."""

    name = "striking"

    def __init__(self, *, at_start: bool = False, at_stop: bool = False) -> None:
        self.at_start, self.at_stop = at_start, at_stop
        self.events: list[HypervisorEvent] = []

    @hookimpl
    def start(self) -> None:
        if self.at_start:
            signal.raise_signal(signal.SIGUSR1)

    @hookimpl
    def export_events(self, events: list[HypervisorEvent]) -> None:
        self.events += events

    @hookimpl
    def stop(self) -> None:
        if self.at_stop:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGUSR1)


def observed(directory: Path, plugin: Plugin) -> Observability:
    return Observability(Config(plugins={"journal": {"directory": directory}}), plugins=[plugin])


def is_over(directory: Path) -> bool:
    return not any(run.is_alive() for run in runs_of(directory))


@pytest.mark.parametrize("times", [1, 2])
def test_stop_that_an_exception_ends_is_ended_by_the_next_one(tmp_path: Path, times: int) -> None:
    striking, slow = Plugin(at_stop=True), Plugin(at_stop=times == 2)
    slow.name = "slow"
    config = Config(plugins={"journal": {"directory": tmp_path}})
    one = Observability(config, plugins=[striking, slow]).start()

    one.bus.record(EventType.VFS_WRITE)
    with pytest.raises(Struck):
        one.stop()
    while True:
        try:
            assert one.stop()
            break
        except Struck:
            assert times == 2

    assert one.states() == {"striking": "stopped", "slow": "stopped"}
    assert len(striking.events) == len(slow.events) == one.bus.emitted
    assert is_over(tmp_path)


def test_stop_within_an_interrupted_stop_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: list[bool] = []
    plugin = Plugin()
    one = observed(tmp_path, plugin).start()
    one.bus.record(EventType.VFS_WRITE)
    stop = ReaderGroup.stop

    def interrupted(group: ReaderGroup, deadline: float, timeout: float) -> bool:
        inner.append(one.stop())
        return stop(group, deadline, timeout)

    monkeypatch.setattr(ReaderGroup, "stop", interrupted)

    assert one.stop()
    assert one.stop()
    assert inner == [True]
    assert is_over(tmp_path)


def test_stop_that_is_struck_has_the_process_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin()
    one = observed(tmp_path, plugin).start()
    one.bus.record(EventType.VFS_WRITE)
    stop = ReaderGroup.stop

    def struck(_group: ReaderGroup, _deadline: float, _timeout: float) -> bool:
        monkeypatch.setattr(ReaderGroup, "stop", stop)
        signal.raise_signal(signal.SIGUSR1)
        return True

    monkeypatch.setattr(ReaderGroup, "stop", struck)
    removed: list[object] = []
    monkeypatch.setattr("atexit.unregister", removed.append)
    with pytest.raises(Struck):
        one.stop()

    assert not removed
    assert not is_over(tmp_path)
    assert one.stop()
    assert removed == [one._exits._at_exit]
    assert plugin.events
    assert is_over(tmp_path)


def test_exception_of_a_handler_in_a_plugins_start_reaches_the_application(
    tmp_path: Path,
) -> None:
    plugin = Plugin(at_start=True)
    one = observed(tmp_path, plugin)

    with pytest.raises(Struck):
        one.start()

    assert one.stop()
    assert is_over(tmp_path)


def test_thread_whose_start_is_struck_works_once() -> None:
    worked: list[threading.Thread] = []
    go = threading.Event()

    def work() -> None:
        worked.append(threading.current_thread())
        go.wait(60)

    class Strikes(threading.Thread):
        def start(self) -> None:
            super().start()
            if not second:
                signal.raise_signal(signal.SIGUSR1)

    second = False
    one = OneThread("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Thread", Strikes)
        with pytest.raises(Struck):
            one.start(work)
        second = True
        one.start(work)
    wait_until(lambda: len(worked) == 1)

    assert one.thread is worked[0]
    go.set()
    worked[0].join(60)
    one.start(work)
    assert len(worked) == 1


@pytest.mark.fault("C11")
@pytest.mark.slow
def test_child_that_a_handler_forks_in_the_middle_of_an_emit_goes_on(tmp_path: Path) -> None:
    package = str(Path(sys.modules[JournalWriter.__module__].__file__ or "").parents[1])
    bus = HypervisorEventBus()
    writer = JournalWriter(tmp_path)
    writer.take_over(bus.log, lambda: bus.record_through(writer.append, writer.sync))
    bus.record(EventType.VFS_WRITE)
    children: list[int] = []

    def forked_at(at: int) -> bool:
        """Emit, and fork at one of its instructions; tell whether there was one."""
        count = 0

        def step(frame: FrameType, event: str, _: object) -> object:
            nonlocal count
            count += event == "opcode"
            if event == "opcode" and count == at:
                sys.settrace(None)
                children.append(os.fork())
            return step

        def enter(frame: FrameType, _event: str, _: object) -> object:
            if not frame.f_code.co_filename.startswith(package):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return step

        with traced(enter):
            bus.record(EventType.VFS_WRITE)
        return count >= at

    at = 1
    while True:
        failed = True
        before = len(children)
        try:
            more = forked_at(at)
            if len(children) > before and children[-1] == 0:
                for _ in range(10):
                    bus.record(EventType.VFS_WRITE)
                # The one in the middle is the parent's, but for a fork before all else.
                failed = bus.emitted not in {10, 11} or writer.next_sequence != bus.emitted
                failed = failed or writer.lost > 0
                writer.close()
        finally:
            if len(children) > before and children[-1] == 0:
                os._exit(failed)
        if not more:
            break
        assert os.waitpid(children[-1], 0)[1] == 0, at
        at += 7

    assert bus.emitted == writer.next_sequence == len(children) + 2
    writer.close()
    assert at > 100
    for run in runs_of(tmp_path):
        assert verify(run).verdict is Verdict.UNANCHORED


def test_start_that_an_exception_ends_leaves_earlier_runs_to_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path)
    for _ in range(3):
        writer.append(HypervisorEvent(event_type=EventType.VFS_WRITE), id)
    writer.close()
    begin = JournalledLog.begin

    def struck(stream: JournalledLog) -> None:
        begin(stream)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(JournalledLog, "begin", struck)
    first, second = Plugin(), Plugin()
    one = observed(tmp_path, first)
    with pytest.raises(Struck):
        one.start()
    one.bus.record(EventType.VFS_WRITE)
    one.stop()
    with observed(tmp_path, second) as other:
        other.bus.record(EventType.VFS_WRITE)
        assert other.flush()

    delivered = first.events + second.events
    assert len(delivered) == 4 + len([event for event in delivered if event in one.bus.all_events])


def test_log_handler_that_raises_neither_ends_a_start_nor_a_stop(tmp_path: Path) -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("a handler's own fault")

    class Down(Plugin):
        name = "down"

        @hookimpl
        def start(self) -> None:
            raise RuntimeError("not today")

    handler, logger = Raises(), logging.getLogger("hypervisor_observability")
    logger.addHandler(handler)
    try:
        plugin = Plugin()
        config = Config(plugins={"journal": {"directory": tmp_path}})
        one = Observability(config, plugins=[Down(), plugin]).start()
        one.bus.record(EventType.VFS_WRITE)
        assert one.stop()
    finally:
        logger.removeHandler(handler)
    assert len(plugin.events) == 1
    assert one.states()["down"] == "down: RuntimeError: not today"
    assert is_over(tmp_path)
