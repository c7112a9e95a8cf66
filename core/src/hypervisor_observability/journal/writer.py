"""Write a run: a record survives the process when ``append`` returns, however that dies (D1).

Records are stored into a mapped segment, whose blocks were allocated before. A store is no
system call: it neither gives the interpreter to another thread, nor fails, nor is it done in
part when a signal comes. What survives the machine as well (D2) is what was synced.

What remains: a file system that cannot write an allocated block reports it when the segment is
synced. The segment is then never written again, and the next one repeats what was not synced.
A file system that allocates nothing in advance (over a network, perhaps) may end the process
with SIGBUS when its disk is full.
"""

import contextlib
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
from .encoding import fastest_encoder, parts_of
from .frames import (
    DIGEST_BYTES,
    EVENT,
    HEADER_BYTES,
    MAX_PART_BYTES,
    SALT_BYTES,
    new_record,
    record_at,
)
from .runs import Run, new_run
from .segment_files import SegmentFile

TRY_AGAIN_SECONDS = 1.0
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
    """One run of a journal. No method but ``sync`` raises on account of the disk.

    Args:
        directory: Of the journal; the run gets a directory in it with the first record.
        segment_bytes: Bytes of a segment.
        sync_seconds: Longest time until what was appended is synced.
        on_sync: Called in the syncer's thread with what is on the disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 16 * 1024 * 1024,
        sync_seconds: float = 0.2,
        on_sync: Callable[["JournalWriter", Position], None] | None = None,
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._sync_seconds = sync_seconds
        self._on_sync = on_sync
        self._encode = fastest_encoder()
        self._limited_log = LimitedLog(__name__)
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        self.run: Run | None = None
        """Where records go; None before the first one."""
        self.lost = 0
        """Events that are not in the journal, because no segment could be had."""
        self._lock = threading.RLock()
        self._busy = False
        self._parked: deque[HypervisorEvent] = deque()
        self._lock_descriptor = -1
        self._segment: SegmentFile | None = None
        self._spare: SegmentFile | None = None
        # Those before it that the disk is not known to hold yet.
        self._full: deque[SegmentFile] = deque()
        self._next_number = 0
        self._sequence = 0
        self._chain = bytes(DIGEST_BYTES)
        # What the disk is known to hold; all behind it is repeated after an error.
        self._synced = Position(0, self._chain)
        self._salts: list[bytes] = []
        self._degraded_since: float | None = None
        self._no_try_before = 0.0
        self._syncer: threading.Thread | None = None
        self._stopping = threading.Event()
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
    def degraded(self) -> bool:
        """Whether events are not journalled at present."""
        return self._degraded_since is not None

    def append(self, event: HypervisorEvent, then: Callable[[HypervisorEvent], object]) -> None:
        """Append *event*, which passed the gate, and call *then* with it, in the same order.

        An append that interrupts another in its own thread (a signal handler, a finaliser) is
        done by the outer one before that returns.

        Args:
            event: The event.
            then: The same at each call.
        """
        with self._lock:
            if self._busy:
                self._parked.append(event)
                return
            self._busy = True
            try:
                self._append(event)
                then(event)
            finally:
                self._busy = False
            while self._parked and not self._busy:
                self.append(self._parked.popleft(), then)

    def sync(self) -> None:
        """Have the disk hold everything that was appended before this call (D2).

        Raises:
            OSError: It does not, or there is no segment to write.
        """
        with self._sync_lock:
            with self._lock:
                written = Position(self._sequence, self._chain)
                segments = [*self._full, *([self._segment] if self._segment else ())]
            try:
                for segment in segments:
                    segment.sync()
            except OSError as error:
                self._limited_log.warning(
                    "sync", "journal %s: not synced: %s", self._directory, error
                )
                with self._lock:
                    self._repeat_unsynced()
                raise
            self._synced = written
            with self._lock:
                while self._full and self._full[0] in segments:
                    self._full.popleft().close(trim=True)
        if self.degraded:
            raise OSError("the journal has no segment to write: see the log")

    def close(self) -> None:
        """Sync, and let go of the run."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self.sync()
        with self._lock:
            self._closed = True
            while self._full:
                self._full.popleft().close(trim=False)
            if self._spare is not None:
                self._spare.discard()
            if self._segment is not None:
                self._segment.close(trim=True)
            if self._lock_descriptor >= 0:
                os.close(self._lock_descriptor)
            self._segment = self._spare = None
            self._lock_descriptor = -1

    # Under the lock

    def _append(self, event: HypervisorEvent) -> None:
        try:
            head, payload = parts_of(event, self._encode)
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
        record, chain = new_record(
            self._chain,
            EVENT,
            self._sequence,
            raw_timestamp(event),
            self._salts.pop(),
            head,
            payload,
        )
        segment = self._segment
        if segment is None or not segment.store(record):
            segment = self._next_segment(len(record))
            if segment is None or not segment.store(record):
                self._lose("segment", "no segment can be written")
                return
        self._sequence += 1
        self._chain = chain

    def _lose(self, kind: str, message: str) -> None:
        self.lost += 1
        self._sequence += 1
        self._limited_log.warning(kind, "journal %s: %s", self._directory, message)

    def _next_segment(self, record_bytes: int) -> SegmentFile | None:
        """Go on in another segment; None if there is none to be had."""
        if self._closed or time.monotonic() < self._no_try_before:
            return None
        full = self._segment
        try:
            if self.run is None:
                self.run, self._lock_descriptor = new_run(self._directory)
            segment, self._spare = self._spare, None
            if segment is None:
                size = max(self._segment_bytes, HEADER_BYTES + record_bytes)
                segment = SegmentFile.allocate(self.run, self._next_number, size)
            self._next_number = segment.number + 1
            segment.begin(self.run.id, self._sequence, self._chain)
        except OSError as error:
            self._no_try_before = time.monotonic() + TRY_AGAIN_SECONDS
            if self._degraded_since is None:
                self._degraded_since = time.time()
            self._limited_log.warning(
                "degraded", "journal %s: events are not journalled: %s", self._directory, error
            )
            return None
        if self._degraded_since is not None:
            self._degraded_since = None
            self._limited_log.warning(
                "recovered", "journal %s: events are journalled again", self._directory
            )
        self._segment = segment
        if full is not None:
            self._full.append(full)
        if self._syncer is None:
            self._start_syncer()
        return segment

    def _repeat_unsynced(self) -> None:
        """Write what the disk is not known to hold once more, into segments of its own."""
        failed = [*self._full, *([self._segment] if self._segment else ())]
        self._full.clear()
        self._segment = None
        sequence, chain = self._sequence, self._chain
        self._sequence, self._chain = self._synced.sequence, self._synced.chain
        for old in failed:
            stored = old.read(max(old.synced_end, HEADER_BYTES), old.end)
            # What the next segment cannot take is in the memory of the system at least.
            segment = self._next_segment(len(stored)) if stored else None
            if segment is not None and segment.store(stored):
                self._sequence, self._chain = _end_of(stored, self._sequence, self._chain)
            old.close(trim=False)
        self._sequence, self._chain = sequence, chain

    # The syncer

    def _start_syncer(self) -> None:
        self._syncer = threading.Thread(target=self._keep_syncing, name="hvobs-sync", daemon=True)
        try:
            self._syncer.start()
        except RuntimeError as error:
            self._syncer = None
            self._limited_log.warning(
                "syncer", "journal %s: nothing syncs it: %s", self._directory, error
            )

    def _keep_syncing(self) -> None:
        while not self._stopping.wait(self._sync_seconds):
            with contextlib.suppress(OSError):
                if self._sequence != self._synced.sequence:
                    self.sync()
                    if self._on_sync is not None:
                        self._on_sync(self, self._synced)
                self._prepare_spare()

    def _prepare_spare(self) -> None:
        """Allocate the next segment before an emitting thread has to."""
        segment = self._segment
        if segment is None or self.run is None or self._spare or segment.end * 2 < segment.size:
            return
        spare = SegmentFile.allocate(self.run, self._next_number, self._segment_bytes)
        with self._lock:
            if self._spare is None and spare.number == self._next_number and not self._closed:
                self._spare = spare
                return
        spare.discard()

    # A fork's child

    def begin_anew_after_fork(self) -> None:
        """Let go of the parent's run; the first append of the child begins another."""
        for segment in (*self._full, self._segment, self._spare):
            if segment is not None:
                segment.close(trim=False)
        if self._lock_descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._lock_descriptor)
        self._begin()


def _end_of(stored: bytes, sequence: int, chain: bytes) -> tuple[int, bytes]:
    """Give the sequence number and chain value behind the records of *stored*."""
    offset = 0
    while offset < len(stored):
        record = record_at(stored, offset)
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
