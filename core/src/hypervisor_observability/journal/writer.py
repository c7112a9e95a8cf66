"""Write a run: a record survives the process when ``append`` returns, however that dies (D1).

Records are stored into a mapped segment, whose blocks were allocated before. A store is no
system call: it neither gives the interpreter to another thread, nor fails, nor is it done in
part when a signal comes. What survives the machine as well (D2) is what was synced.

What remains: a file system that cannot write an allocated block reports it when the segment is
synced. The segment is then never written again, and the next one repeats what was not synced.
A file system that allocates nothing in advance (over a network, perhaps), or somebody who cuts
the file while it is written, may end the process with SIGBUS.
"""

import contextlib
import json
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from ..events import HypervisorEvent, raw_timestamp
from ..limited_log import LimitedLog
from .encoding import EventEncoder
from .frames import (
    DIGEST_BYTES,
    EVENT,
    HEADER_BYTES,
    MAX_PART_BYTES,
    NOTE,
    RECORD_BYTES,
    SALT_BYTES,
    BadBytesError,
    new_record,
    record_at,
)
from .runs import Run, new_run
from .segment_files import SegmentFile

TRY_AGAIN_SECONDS = 1.0
"""Time between two tries to have a segment while there is none to be had."""

_SALTS = 512


@frozen
class Position:
    """A place in a run.

    Attributes:
        sequence: Sequence number behind it.
        chain: Chain value before it.
    """

    sequence: int
    chain: bytes


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
        self._segment_bytes = segment_bytes
        self._admit = admit
        self._parts_of = EventEncoder().parts_of
        self._limited_log = LimitedLog(__name__)
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        self.run: Run | None = None
        """Where records go; None before ``open``, or the first one."""
        self.lost = 0
        """Events that are not in the journal, because no segment could be had."""
        self.on_begin: Callable[[], object] | None = None
        """Called once, when the run begins, in an emitting thread perhaps."""
        self._lock = threading.RLock()
        self._busy = False
        self._parked: deque[HypervisorEvent] = deque()
        self._lock_descriptor = -1
        self._segment: SegmentFile | None = None
        self._spare: SegmentFile | None = None
        # Those before it that the disk is not known to hold yet, and where they end.
        self._full: deque[tuple[SegmentFile, Position]] = deque()
        self._next_number = 0
        self._sequence = 0
        self._chain = bytes(DIGEST_BYTES)
        # What the disk is known to hold; all behind it is repeated after an error.
        self._synced = Position(0, self._chain)
        self._unsynced_since: float | None = None
        self._salts: list[bytes] = []
        self._degraded_since: float | None = None
        self._no_try_before = 0.0
        self._sync_lock = threading.Lock()
        self._closed = False

    @property
    def next_sequence(self) -> int:
        """Sequence number that the next event gets: how many were appended, or lost."""
        return self._sequence

    @property
    def synced(self) -> Position:
        """Up to where the disk has it."""
        return self._synced

    @property
    def unsynced_seconds(self) -> float:
        """How long the oldest event that the disk may not have has been waiting for it."""
        since = self._unsynced_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    @property
    def degraded(self) -> bool:
        """Whether events are not journalled at present."""
        return self._degraded_since is not None

    @property
    def segment_number(self) -> int:
        """Number of the segment that is written: those before it are complete."""
        segment = self._full[0][0] if self._full else self._segment
        return -1 if segment is None else segment.number

    def open(self) -> None:
        """Make the run and its first segment, so that no emitting thread has to.

        Raises:
            OSError: It cannot be done; every ``append`` tries it again, once a second.
        """
        with self._lock:
            if self._segment is None and self._next_segment(0) is None:
                raise OSError(f"journal {self.directory}: no segment can be made")

    def append(self, event: HypervisorEvent, then: Callable[[HypervisorEvent], object]) -> None:
        """Append *event*, and call *then* with it, in the same order.

        An append that interrupts another in its own thread (a signal handler, a finaliser) is
        done by the outer one before that returns.

        Args:
            event: The event.
            then: The same at each call; it does not raise.
        """
        with self._lock:
            if self._busy:
                self._parked.append(event)
                return
            self._busy = True
            before = self._sequence
            try:
                self._append(event)
            finally:
                # Whatever interrupts: numbers here and behind *then* stay the same.
                if self._sequence != before:
                    then(event)
                self._busy = False
            while self._parked and not self._busy:
                self.append(self._parked.popleft(), then)

    def note(self, **values: str | float) -> None:
        """Record what befell the process, such as a step of its clock, if a segment is open.

        It is no event: it takes no sequence number, no reader gets it, and the chain proves it.

        Args:
            values: What to record; JSON has a form for each.
        """
        head = json.dumps(values).encode()
        with self._lock:
            if self._busy or self._segment is None:
                return
            salt, now = os.urandom(SALT_BYTES), time.time_ns()
            payload = bytes(b" " * DIGEST_BYTES)
            rest, chain = new_record(self._chain, NOTE, self._sequence, now, salt, head, payload)
            if self._segment.store(rest):
                self._chain = chain

    def hold(self) -> "threading.RLock":
        """Give the lock under which events are appended, as a context manager."""
        return self._lock

    def pass_over(self, events: int) -> None:
        """Count *events* that were given to nobody in time as lost: their numbers are taken."""
        with self._lock:
            self.lost += events
            self._sequence += events

    def sync(self) -> None:
        """Have the disk hold everything that was appended before this call (D2).

        Raises:
            OSError: It does not, or there is no segment to write.
        """
        with self._sync_lock:
            with self._lock:
                # Ends and positions of one moment: what comes now is of the next sync.
                stretches = [(segment, segment.end, position) for segment, position in self._full]
                if self._segment is not None:
                    written = Position(self._sequence, self._chain)
                    stretches.append((self._segment, self._segment.end, written))
                since, self._unsynced_since = self._unsynced_since, None
            try:
                for segment, end, position in stretches:
                    segment.sync()
                    segment.synced_end, self._synced = end, position
            except OSError as error:
                self._limited_log.warning(
                    "sync", "journal %s: not synced: %s", self.directory, error
                )
                with self._lock:
                    self._unsynced_since = since
                    self._repeat_unsynced()
                raise
            with self._lock:
                # One that became full meanwhile may hold more than was synced.
                while self._full and self._full[0][0].synced_end == self._full[0][0].end:
                    self._full.popleft()[0].close(trim=True)
        if self.degraded:
            raise OSError("the journal has no segment to write: see the log")

    def prepare_spare(self) -> None:
        """Allocate the next segment before an emitting thread has to.

        Raises:
            OSError: It cannot be had.
        """
        segment = self._segment
        if segment is None or self.run is None or self._spare or segment.end * 2 < segment.size:
            return
        run = self.run
        spare = SegmentFile.allocate(run, self._segment_bytes)
        with self._lock:
            if self._spare is None and run == self.run and not self._closed:
                self._spare = spare
                return
        spare.discard()

    def close(self) -> None:
        """Sync, and let go of the run; one that holds no event goes."""
        with contextlib.suppress(OSError):
            self.sync()
        with self._lock:
            self._closed = True
            while self._full:
                self._full.popleft()[0].close(trim=False)
            if self._spare is not None:
                self._spare.discard()
            if self._segment is not None:
                self._segment.close(trim=True)
            self._segment = self._spare = None
            if self._lock_descriptor >= 0:
                if self.run is not None:
                    self._leave(self.run)
                os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    # Under the lock

    def _leave(self, run: Run) -> None:
        if self._sequence:
            run.note_end(self._sequence)
        else:
            run.remove()

    def _append(self, event: HypervisorEvent) -> None:
        try:
            admitted = event if self._admit is None else self._admit(event)
            head, payload = self._parts_of(admitted)
            if len(head) > MAX_PART_BYTES or len(payload) > MAX_PART_BYTES:
                raise ValueError("larger than a record may be")
        except Exception as error:  # noqa: BLE001 - emit does not raise, whatever it is
            self._lose("event", f"an event cannot be written: {error}")
            return
        if not self._salts:
            drawn = os.urandom(SALT_BYTES * _SALTS)
            self._salts += [
                drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)
            ]
        rest, chain = new_record(
            self._chain,
            EVENT,
            self._sequence,
            raw_timestamp(event),
            self._salts.pop(),
            head,
            payload,
        )
        segment = self._segment
        if segment is None or not segment.store(rest):
            segment = self._next_segment(RECORD_BYTES + len(rest))
            if segment is None or not segment.store(rest):
                self._lose("segment", "no segment can be written")
                return
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        self._chain = chain
        self._sequence += 1

    def _lose(self, kind: str, message: str) -> None:
        self.lost += 1
        if not self._closed:
            self._limited_log.warning(kind, "journal %s: %s", self.directory, message)
        self._sequence += 1

    def _next_segment(self, record_bytes: int) -> SegmentFile | None:
        """Go on in another segment; None if there is none to be had."""
        if self._closed or time.monotonic() < self._no_try_before:
            return None
        full, begins = self._segment, self._next_number == 0
        try:
            if self.run is None:
                self.run, self._lock_descriptor = new_run(self.directory)
            segment, self._spare = self._spare, None
            size = max(self._segment_bytes, HEADER_BYTES + record_bytes)
            if segment is not None and segment.size < size:
                segment.discard()
                segment = None
            if segment is None:
                segment = SegmentFile.allocate(self.run, size)
            segment.begin(self.run, self._next_number, self._sequence, self._chain)
            self._next_number += 1
        except OSError as error:
            self._degrade(error)
            return None
        if self._degraded_since is not None:
            self._degraded_since = None
            self._limited_log.warning(
                "recovered", "journal %s: events are journalled again", self.directory
            )
        self._segment = segment
        if full is not None:
            self._full.append((full, Position(self._sequence, self._chain)))
        if begins and self.on_begin is not None:
            self.on_begin()
        return segment

    def _degrade(self, error: OSError) -> None:
        self._no_try_before = time.monotonic() + TRY_AGAIN_SECONDS
        if self._degraded_since is None:
            self._degraded_since = time.time()
        if self.run is not None and not self.run.path.is_dir():
            # Somebody has removed it: what comes goes into another, under numbers that follow.
            self.run = None
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1
        self._limited_log.warning(
            "degraded", "journal %s: events are not journalled: %s", self.directory, error
        )

    def _repeat_unsynced(self) -> None:
        """Write what the disk is not known to hold once more, into segments of its own."""
        failed = [segment for segment, _ in self._full]
        failed += [self._segment] if self._segment else []
        self._full.clear()
        self._segment = None
        sequence, chain = self._sequence, self._chain
        self._sequence, self._chain = self._synced.sequence, self._synced.chain
        for old in failed:
            stored = old.read(max(old.synced_end, HEADER_BYTES), old.end)
            # What the next segment cannot take is in the memory of the system at least.
            segment = self._next_segment(len(stored)) if stored else None
            if segment is not None and segment.store_again(stored):
                self._sequence, self._chain = _end_of(stored, self._sequence, self._chain)
            old.close(trim=False)
        self._sequence, self._chain = sequence, chain

    # A fork's child

    def begin_anew_after_fork(self) -> None:
        """Let go of the parent's run; the first append of the child begins another."""
        for segment in (*(full for full, _ in self._full), self._segment, self._spare):
            if segment is not None:
                segment.close(trim=False)
        if self._lock_descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._lock_descriptor)
        on_begin = self.on_begin
        self._begin()
        self.on_begin = on_begin


def _end_of(stored: bytes, sequence: int, chain: bytes) -> tuple[int, bytes]:
    """Give the sequence number and chain value behind the records of *stored*."""
    offset = 0
    while offset < len(stored):
        try:
            record = record_at(stored, offset)
        except BadBytesError:
            break
        if record is None:
            break
        sequence, chain = record.sequence + 1, record.chain
        offset += record.size
    return sequence, chain


_writers: "weakref.WeakSet[JournalWriter]" = weakref.WeakSet()


def _begin_anew_after_fork() -> None:
    for writer in list(_writers):
        writer.begin_anew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)
