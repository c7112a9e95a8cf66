"""An exception may come between any two steps: whatever was accepted is written, or told lost.

A trace function raises at one instruction after the other of what is done, as a signal handler
may. After each, a hundred further events are all accounted for, and the journal verifies.

Here each EVERY-th instruction is tried; ``make test-faults`` tries all of them.
"""

import errno
import functools
import itertools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import hypervisor_journal
import hypervisor_observability
from hypervisor_journal import JournalConfig
from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.store import JournalStore
from hypervisor_journal.streams.journalled_log import JournalledLog
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus
from hypervisor_observability.gate import Gate
from hypervisor_observability.threads.interruptions import ignoring, is_from_handler
from tests.plugins.journal.store_context import context_of
from tests.threads import run_in_threads
from tests.tracing import traced

EVERY = int(os.environ.get("HVOBS_TEST_EVERY_STEP", "31"))
SEGMENT = 8 * 1024
OURS = tuple(
    str(Path(package.__file__ or "").parent)
    for package in (hypervisor_observability, hypervisor_journal)
)
# Functions of values alone are left out of the long walks: they hold no state.
PURE = ("/encoding.py", "/frames.py", "/redaction.py", "/json_values.py", "/attrs")


class Ctrl(BaseException):
    """As KeyboardInterrupt is, and SystemExit."""


class Alarm(TimeoutError):  # noqa: N818 - what it is
    """As those of alarms are, an OSError too."""


STRIKES = [Ctrl, Alarm]


class Striker:
    """Raises at one instruction of the package, while something is done."""

    def __init__(self, at: int, strike: type[BaseException]) -> None:
        self.at = at
        self.strike = strike
        self.count = 0
        self.where = ""

    def hit(self, action: Callable[[], object]) -> bool:
        """Do *action*; tell whether it was long enough to be struck. The strike must come out."""
        try:
            with traced(self._enter):
                action()
        except self.strike:
            return True
        assert not self.where, f"swallowed at {self.where}"
        return False

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(OURS) or name.endswith(PURE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            self.count += 1
            if self.count == self.at:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                raise self.strike
        return self._step


class Journalled:
    """A bus with a journal, and what must hold of the two at any moment."""

    def __init__(self, directory: Path, *, begun: bool = True) -> None:
        self.directory = directory
        self.bus = HypervisorEventBus(None)
        self.writer = JournalWriter(directory, segment_bytes=SEGMENT, admit=Gate().admit)
        self.switch = lambda: self.bus.record_through(self.writer.append, self.writer.sync)
        if begun:
            self.writer.take_over(self.bus.log, self.switch)

    def emit(self, count: int = 1) -> None:
        for number in range(count):
            self.bus.record(EventType.VFS_WRITE, session_id="s", payload={"number": number})

    def check(self, where: str) -> None:
        """A hundred further events, and all that was emitted, are accounted for."""
        before = self.bus.emitted
        self.emit(100)
        assert self.bus.emitted == before + 100, where
        assert self.writer.next_sequence == self.bus.emitted, where
        for lock in (self.writer._appender.lock, self.writer._syncing._lock, self.bus.log.lock):
            assert not lock._is_owned(), where  # type: ignore[attr-defined]  # no stub has it
        assert not self.writer._parked, where

    def verify(self, where: str) -> None:
        """Journal and log hold the same events in the same order, but for what is told lost."""
        emitted = [event.event_id for event in self.bus.all_events]
        journal = [
            event_of(record).event_id
            for run in runs_of(self.directory)
            for record in RunReader(run).records(0)
        ]
        assert len(journal) + self.writer.lost == len(emitted), where
        if not self.writer.lost:
            assert journal == emitted, where
        for run in runs_of(self.directory):
            found = verify(run)
            assert found.verdict is Verdict.UNANCHORED, (where, found)


@pytest.fixture(autouse=True)
def dropped_files_close_themselves() -> Iterator[None]:
    """A file object that an exception drops closes its descriptor, and says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def apart(test: Callable[..., None]) -> Callable[..., None]:
    """Run *test* in a thread of its own.

    CPython may leave an exception of a strike within an ``except`` current in its thread for
    good: whatever that thread raises later has it as ``__context__``.
    """

    @functools.wraps(test)
    def run(**arguments: object) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, **arguments).result()

    return run


def steps(share: float = 1.0) -> Iterator[int]:
    """Give the numbers of the instructions that are tried: a share of what is tried elsewhere."""
    return itertools.count(1, EVERY if EVERY == 1 else max(1, round(EVERY / share)))


def tell(at: int) -> int:
    """Say how many instructions were tried: ``make test-faults`` counts them."""
    print(f"tried {at // EVERY + 1} instructions")
    return at


def strike_everywhere(
    strike: type[BaseException],
    directory: Path,
    prepare: Callable[[Path], Journalled],
    action: Callable[[Journalled], object],
    *,
    again: bool = False,
) -> int:
    """Do it once for each instruction; with *again* on one bus, else each time from scratch."""
    journalled: Journalled | None = None
    for at in steps():
        striker = Striker(at, strike)
        if journalled is None:
            journalled = prepare(directory / str(at))
        struck = striker.hit(lambda one=journalled: action(one))  # type: ignore[misc]  # a default
        journalled.check(striker.where)
        if not again or not struck or at % 50 < EVERY:
            journalled.writer.sync()
            journalled.verify(striker.where)
            before = descriptors()
            journalled.writer.close()
            assert descriptors() < before, striker.where
            (run, *_) = [run for run in runs_of(journalled.directory) if run.segments()]
            assert not list(run.path.glob("*.new")), striker.where
            journalled.verify(striker.where)
            journalled = None
        if not struck:
            return tell(at)
    raise AssertionError


@pytest.mark.fault("C10")
@pytest.mark.slow
@pytest.mark.parametrize("strike", STRIKES)
@apart
def test_exception_at_any_step_of_emit_costs_no_other_event(
    tmp_path: Path, strike: type[BaseException]
) -> None:
    steps = strike_everywhere(strike, tmp_path, Journalled, Journalled.emit, again=True)
    assert steps > 300


@pytest.mark.fault("C10")
@pytest.mark.slow
@pytest.mark.parametrize("strike", STRIKES)
@apart
def test_exception_at_any_step_of_a_rotation_costs_nothing(
    tmp_path: Path, strike: type[BaseException]
) -> None:
    def nearly_full(directory: Path) -> Journalled:
        journalled = Journalled(directory)
        while journalled.writer._appender.end[1] < SEGMENT - 600:
            journalled.emit()
        return journalled

    assert strike_everywhere(strike, tmp_path, nearly_full, lambda one: one.emit(3)) > 1_000


@pytest.mark.fault("C10")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_the_first_append_costs_nothing(tmp_path: Path) -> None:
    assert strike_everywhere(Ctrl, tmp_path, Journalled, Journalled.emit) > 600


@pytest.mark.fault("C10")
@pytest.mark.slow
@pytest.mark.parametrize("strike", STRIKES)
@apart
def test_exception_at_any_step_of_a_sync_costs_nothing(
    tmp_path: Path, strike: type[BaseException]
) -> None:
    def written(directory: Path) -> Journalled:
        journalled = Journalled(directory)
        journalled.emit(60)
        return journalled

    assert strike_everywhere(strike, tmp_path, written, lambda one: one.writer.sync()) > 400


@pytest.mark.fault("C10")
@pytest.mark.fault("J3")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_mending_a_failed_segment_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fdatasync

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    def failed(directory: Path) -> Journalled:
        journalled = Journalled(directory)
        journalled.emit(60)
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="broken"):
            journalled.writer.sync()
        monkeypatch.setattr(os, "fdatasync", sync)
        return journalled

    assert strike_everywhere(Ctrl, tmp_path, failed, lambda one: one.writer.sync()) > 400


@pytest.mark.fault("C10")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_a_drain_costs_no_event(tmp_path: Path) -> None:
    for at in steps():
        bus = HypervisorEventBus(1_500)
        events = [HypervisorEvent(event_id=f"{number:016x}") for number in range(1_024)]
        for event in events[:-1]:
            bus.emit(event)
        striker = Striker(at, Ctrl)

        def emit_and_ask() -> int:
            bus.emit(events[-1])  # noqa: B023 - it is called at once
            return bus.emitted  # noqa: B023 - likewise

        struck = striker.hit(emit_and_ask)
        held = len(bus.all_events)
        assert held in (1_023, 1_024), striker.where
        assert bus.emitted == held, striker.where
        more = [HypervisorEvent() for _ in range(1_100)]
        for event in more:
            bus.emit(event)
        assert bus.all_events == (events[:held] + more)[-1_500:], striker.where
        assert bus.emitted == held + 1_100, striker.where
        assert not bus.log.lock._is_owned(), striker.where  # type: ignore[attr-defined]  # no stub has it
        weights = sum(segment.estimated_bytes for segment in bus.log.kept().segments)
        assert bus.log._kept.bytes == weights, striker.where
        if not struck:
            break
    assert tell(at) > 200


@pytest.mark.fault("C10")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_taking_over_a_log_costs_nothing(tmp_path: Path) -> None:
    def filled(directory: Path) -> Journalled:
        journalled = Journalled(directory, begun=False)
        journalled.emit(3)
        return journalled

    def take_over(one: Journalled) -> None:
        one.writer.take_over(one.bus.log, one.switch)

    for at in steps(0.3):
        striker = Striker(at, Ctrl)
        one = filled(tmp_path / str(at))
        struck = striker.hit(lambda: take_over(one))  # noqa: B023 - now
        if one.bus._recording._sync is None:
            take_over(one)  # it was struck before it had begun, and the caller tries again
        one.check(striker.where)
        one.verify(striker.where)
        one.writer.close()
        one.verify(striker.where)
        if not struck:
            break
    assert tell(at) > 300


@pytest.mark.fault("C10")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_a_close_leaves_what_another_close_ends(tmp_path: Path) -> None:
    for at in steps():
        one = Journalled(tmp_path / str(at))
        one.emit(60)
        before = descriptors()
        striker = Striker(at, Ctrl)
        struck = striker.hit(one.writer.close)
        one.verify(striker.where)
        one.writer.close()
        one.verify(striker.where)
        assert descriptors() < before, striker.where
        one.emit(100)  # nobody writes behind the end
        assert one.writer.lost == 100, striker.where
        assert one.bus.emitted == one.writer.next_sequence == 160, striker.where
        if not struck:
            break
    assert tell(at) > 400


@pytest.mark.fault("C10")
@pytest.mark.slow
@apart
def test_exception_at_any_step_of_claiming_leaves_dead_runs_to_the_next_process(
    tmp_path: Path,
) -> None:
    def beginning(directory: Path) -> tuple[JournalStore, JournalledLog]:
        config = JournalConfig(directory=directory)
        journal = JournalStore(config, context_of(HypervisorEventBus()))
        return journal, journal.stream_for("p", defers=True)

    for at in steps(0.5):
        dead = Journalled(tmp_path / str(at))
        dead.emit(3)
        dead.writer.close()
        before = descriptors()
        striker = Striker(at, Ctrl)
        first, _ = beginning(dead.directory)
        struck = striker.hit(first._claim_runs)
        first.stop(1)
        assert descriptors() == before, striker.where
        second, stream = beginning(dead.directory)
        second._claim_runs()
        stream.begin()
        assert stream.start == -3, striker.where
        second.stop(1)
        assert descriptors() == before, striker.where
        if not struck:
            break
    assert tell(at) > 300


# What interrupts whom


@pytest.mark.fault("C10")
def test_event_of_a_handler_that_ends_the_process_is_written_by_the_emit_it_interrupts(
    tmp_path: Path,
) -> None:
    one = Journalled(tmp_path)
    one.emit()
    for at in steps(10):

        class Ends(Striker):
            def _step(self, frame: FrameType, event: str, arg: object) -> Any:
                if event == "opcode":
                    self.count += 1
                    if self.count == self.at:
                        sys.settrace(None)
                        one.bus.record(EventType.AGENT_KILLED)
                        self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                        raise SystemExit
                return self._step

        before = len(one.bus.query_by_type(EventType.AGENT_KILLED))
        striker = Ends(at, SystemExit)
        struck = striker.hit(one.emit)
        assert len(one.bus.query_by_type(EventType.AGENT_KILLED)) == before + struck, striker.where
        assert not one.writer._parked, striker.where
        if not struck:
            break
    one.verify("end")
    one.writer.close()


@pytest.mark.fault("C10")
def test_time_limit_reaches_the_application_out_of_any_handler_or_payload(tmp_path: Path) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    class Slow:
        def __str__(self) -> str:
            os.kill(os.getpid(), signal.SIGUSR1)
            for _ in range(1_000):
                pass
            return "slow"

    bus = HypervisorEventBus()
    bus.subscribe(None, lambda event: str(Slow()) if event.session_id == "handler" else None)
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises(Alarm):
            bus.record(EventType.VFS_WRITE, session_id="handler")
        with pytest.raises(Alarm):
            bus.record(EventType.VFS_WRITE, session_id=Slow())  # type: ignore[arg-type]  # odd
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bus.emitted == 1
    assert bus.handler_errors == 0


def test_own_fault_of_a_subscriber_stays_its_own() -> None:
    def fail(event: HypervisorEvent) -> None:
        raise Alarm

    bus = HypervisorEventBus()
    bus.subscribe(None, fail)
    bus.record(EventType.VFS_WRITE)
    assert bus.handler_errors == 1


def test_exception_that_no_handler_raised_is_told_from_one_that_did() -> None:
    def handler(_signum: int, _frame: FrameType | None) -> None:
        raise Alarm

    def call(function: Callable[..., object]) -> BaseException:
        try:
            function(1, None)
        except Alarm as error:
            return error
        raise AssertionError

    def struck(_: object, __: object) -> None:
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert not is_from_handler(call(handler))
    assert is_from_handler(call(struck))
    with ignoring(OSError):
        handler(1, None)
    with pytest.raises(Alarm), ignoring(OSError):
        struck(1, None)


def test_thread_that_waits_for_an_emit_is_not_taken_for_one_that_interrupts_it(
    tmp_path: Path,
) -> None:
    one = Journalled(tmp_path)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_in_threads(*[partial(one.emit, 500)] * 8)
    finally:
        sys.setswitchinterval(interval)
    assert one.bus.emitted == one.writer.next_sequence == 4_000
    one.verify("end")
    one.writer.close()
