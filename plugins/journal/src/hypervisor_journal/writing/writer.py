"""Write a run: a record survives the process when ``append`` returns, however that dies (D1).

Records are stored into a mapped segment, whose blocks were allocated before. A store is no
system call: it neither gives the interpreter to another thread, nor fails, nor is it done in
part when a signal comes. What survives the machine as well (D2) is what was synced.

The parts, each with its invariants at the top: ``entries`` (what is written, made outside the
lock), ``appending`` (one publication a record, and what interrupted whom), ``rotation`` (segments
and the run), ``segment_files`` (a file), ``syncing`` (the disk, and repair after its errors).

What remains: a file system that allocates nothing in advance (over a network, perhaps), or
somebody who cuts the file while it is written, may end the process with SIGBUS.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from hypervisor_journal.runs.runs import Run
from hypervisor_journal.writing.appending import Appender
from hypervisor_journal.writing.ends import Position
from hypervisor_journal.writing.entries import EntryMaker
from hypervisor_journal.writing.rotation import TRY_AGAIN_SECONDS, Rotation
from hypervisor_journal.writing.syncing import Syncing
from hypervisor_observability.bus.log import EventLog
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_observability.threads.forks import Forked
from hypervisor_observability.threads.interruptions import ignoring

__all__ = ["TRY_AGAIN_SECONDS", "JournalWriter", "Position"]

_MAX_MESSAGES = 100


class JournalWriter:
    """One run of a journal. No method but ``open`` and ``sync`` raises on account of the disk.

    Args:
        directory: Of the journal; the run gets a directory in it.
        segment_bytes: Bytes of a segment.
        admit: Takes from an event what may not be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 16 * 1024 * 1024,
        admit: Callable[[HypervisorEvent], HypervisorEvent] | None = None,
    ) -> None:
        self.directory = directory
        self.on_begin: Callable[[], object] | None = None
        """Called when the run begins, in an emitting thread perhaps; again if interrupted."""
        self._segment_bytes = segment_bytes
        self._limited_log = LimitedLog(__name__)
        # What is to be logged, once no lock is held.
        self._messages: deque[tuple[str, str]] = deque(maxlen=_MAX_MESSAGES)
        self._maker = EntryMaker(admit, lambda message: self._note_message("event", message))
        self._entry_of = self._maker.of_event
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        self._begun = False
        self._messages.clear()
        self._rotation = Rotation(self.directory, self._segment_bytes, self._note_message)
        self._appender = Appender(self._rotation, self._note_message)
        self._syncing = Syncing(self._appender, self._rotation, self._note_message)
        self._take = self._appender.take
        self._parked = self._appender.waiting

    # What others see

    @property
    def run(self) -> Run | None:
        """Where records go; None before ``open``, or the first one."""
        return self._rotation.run

    @property
    def lost(self) -> int:
        """Events that are not in the journal: no segment could be had, or it was removed."""
        return self._appender.end[5]

    @property
    def next_sequence(self) -> int:
        """Sequence number that the next event gets: how many were appended, or lost."""
        return self._appender.end[4]

    @property
    def synced(self) -> Position:
        """Up to where the disk has it: behind what is stored, never behind what was lost."""
        return self._syncing.synced

    @property
    def unsynced_seconds(self) -> float:
        """How long the oldest event that the disk may not have has been waiting for it."""
        since = self._appender.unsynced_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    @property
    def degraded(self) -> bool:
        """Whether events are not journalled at present."""
        return self._rotation.degraded

    @property
    def segment_number(self) -> int:
        """Number of the segment that is written: those before it are complete."""
        full, segment = self._appender.full, self._appender.end[0]
        oldest = full[0].segment if full else segment
        return -1 if oldest is None else oldest.number

    # What is done with it

    def open(self) -> None:
        """Make the run and its first segment, so that no emitting thread has to.

        Raises:
            OSError: It cannot be done; every ``append`` tries it again, once a second.
        """

        def begin() -> None:
            if self._appender.end[0] is None and not self._appender.rotate(0):
                raise OSError(f"journal {self.directory}: no segment can be made")

        try:
            self._appender.alone(begin)
        finally:
            self._say()

    def append(self, event: HypervisorEvent, then: Callable[[HypervisorEvent], object]) -> None:
        """Append *event*, and call *then* with it, in the same order.

        An append that interrupts another in its own thread (a signal handler, a finaliser) is
        done by the outer one before that returns, or raises.

        Args:
            event: The event.
            then: Does not raise. What interrupts a function in Python interrupts it for good.

        Raises:
            BaseException: What a signal handler raised meanwhile. The event is in the journal,
                or was not taken; no other one pays for it.
        """
        self._take(self._entry_of(event, then))
        if self._messages or not self._begun:
            self._say()

    def take_over(self, log: EventLog, switch: Callable[[], object]) -> None:
        """Write what *log* holds, and call *switch*, from which on it is appended to through here.

        Both count alike then. What the log has given up already counts as lost.

        Raises:
            OSError: It interrupts an append in its own thread.
        """
        try:
            self._appender.take_over(log, self._maker, switch)
        finally:
            self._say()

    def note(self, **values: str | float) -> None:
        """Record what befell the process, such as a step of its clock.

        It is no event: it takes no sequence number, no reader gets it, and the chain proves it.

        Args:
            values: What to record; JSON has a form for each.
        """
        self._take(self._maker.of_note(values))
        self._say()

    def sync(self) -> None:
        """Have the disk hold everything that was appended before this call (D2).

        Raises:
            OSError: It does not; there is no segment to write; events were lost since the last
                call; or the call interrupts an append in its own thread.
        """
        try:
            self._syncing.sync()
        finally:
            self._say()

    def sync_in_background(self) -> None:
        """Sync for who does not wait for it; not while that failed a moment ago."""
        try:
            with ignoring(OSError):  # told
                self._syncing.sync_in_background()
        finally:
            self._say()

    def prepare_spare(self) -> None:
        """Allocate the next segment before an emitting thread has to.

        Raises:
            OSError: It cannot be had.
        """
        appender, rotation = self._appender, self._rotation
        segment, end = appender.end[:2]
        if segment is None or end * 2 < segment.size:
            return
        spare = rotation.allocate_ahead(segment)
        if spare is not None and not appender.alone(
            lambda: rotation.keep_ahead(appender.end[0], spare)
        ):
            spare.discard()

    def account_for_lost(self) -> None:
        """Record the gap at the end of the run, if there is one: a full disk has room for that."""
        with ignoring(BlockingIOError):
            self._appender.alone(self._appender.close_gap)

    def close(self) -> None:
        """Sync, and let go of the run; one that holds no event goes.

        Calling it again goes on where an exception has ended it.
        """
        self.account_for_lost()
        with ignoring(OSError):
            self._syncing.sync()
        try:
            with ignoring(BlockingIOError):  # the process ends in the middle of it
                self._appender.alone(self._let_go)
        finally:
            self._say()

    # Inside

    def _let_go(self) -> None:
        appender, rotation = self._appender, self._rotation
        current = appender.end[0]
        events = appender.end[4]
        # Where an exception strikes, the next call finds it all again.
        while appender.full:
            appender.full[0].segment.close(trim_to=appender.full[0].end)
            appender.full.popleft()
        if current is not None:
            current.close(trim_to=appender.end[1])
        rotation.close(current, events)
        appender.end = (None, 0, *appender.end[2:])

    def _note_message(self, kind: str, message: str) -> None:
        self._messages.append((kind, message))

    def _say(self) -> None:
        """Log what there is to say, and begin what waits for the run, without a lock."""
        if not self._begun and self._rotation.run is not None:
            if self.on_begin is not None:
                self.on_begin()
            self._begun = True
        while self._messages:
            try:
                kind, message = self._messages.popleft()
            except IndexError:
                return  # another thread said it
            if not self._rotation.closed:
                self._limited_log.warning(kind, "journal %s: %s", self.directory, message)

    def begin_anew_after_fork(self) -> None:
        """Let go of the parent's run; the first append of the child begins another."""
        self._appender.leave_to_parent()
        self._rotation.leave_to_parent()
        self._maker.begin_anew_after_fork()
        self._begin()


_writers = Forked(JournalWriter.begin_anew_after_fork)
