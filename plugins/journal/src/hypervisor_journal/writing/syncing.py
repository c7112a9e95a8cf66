"""Syncing: the disk holds what was appended, or it is told that it does not.

Invariants:

* ``synced`` grows only behind a sync that was begun after the last record before it was stored,
  of a file that had a name afterwards.
* A segment whose sync failed is left at once. A copy takes its name once the disk holds the copy:
  the number of files stays the same however often that fails.
* Segments are synced in their order, and none behind one that failed: at most one is failed.
* What is given up, because somebody removed it, is counted as lost.
"""

import random
import threading
import time
from collections.abc import Callable

from hypervisor_journal.format.frames import (
    DIGEST_BYTES,
    EVENT,
    HEADER_BYTES,
    BadBytesError,
    record_at,
)
from hypervisor_journal.writing.appending import Appender
from hypervisor_journal.writing.ends import Position, Stretch
from hypervisor_journal.writing.rotation import Rotation
from hypervisor_observability.threads.interruptions import free, is_at_work, is_from_handler

_LEAST_BACKOFF_SECONDS = 0.2
_MAX_BACKOFF_SECONDS = 30.0


class Syncing:
    """Syncs what an appender wrote.

    Args:
        appender: The appender.
        rotation: Where its segments come from.
        tell: Told what is to be logged.
    """

    def __init__(
        self, appender: Appender, rotation: Rotation, tell: Callable[[str, str], object]
    ) -> None:
        self.synced = Position(0, bytes(DIGEST_BYTES))
        """Up to where the disk has it."""
        self._lock = threading.RLock()
        self._appender = appender
        self._rotation = rotation
        self._tell = tell
        self._told_lost = 0
        self._failures = 0
        self._no_try_before = 0.0

    def sync(self) -> None:
        """Have the disk hold everything that was appended before this call.

        Raises:
            OSError: It does not, or an event was lost since this was last said.
        """
        lost = self._sync()
        known, self._told_lost = self._told_lost, max(lost, self._told_lost)
        if self._rotation.degraded:
            raise OSError("the journal has no segment to write: see the log")
        if lost > known:
            raise OSError(f"{lost - known} events are not in the journal: see the log")

    def sync_in_background(self) -> None:
        """Sync, unless that failed a moment ago.

        Raises:
            OSError: The disk does not hold it.
        """
        if time.monotonic() >= self._no_try_before:
            self._sync()

    def _sync(self) -> int:
        """Sync; give how many events had been lost before."""
        try:
            with self._lock:
                if is_at_work(_AT_WORK, self, outside=1):
                    raise BlockingIOError("the journal is in the middle of a sync")
                return self._sync_stretches()
        except BaseException:
            if not is_at_work(_AT_WORK, self, outside=1):
                free(self._lock)
            raise

    def _sync_stretches(self) -> int:
        appender = self._appender
        # Ends and positions of one moment: what comes now is of the next sync.
        begun, stretches, lost = appender.alone(self._unsynced)
        for stretch in stretches:
            try:
                self._make_durable(stretch)
            except OSError as error:
                if is_from_handler(error):
                    raise
                self._failed(stretch, error)
                raise
        self._failures, self._no_try_before = 0, 0.0
        appender.alone(lambda: self._forget(begun))
        return lost

    def _unsynced(self) -> tuple[float, list[Stretch], int]:
        appender = self._appender
        return time.monotonic(), list(appender.stretches()), appender.end[5]

    def _make_durable(self, stretch: Stretch) -> None:
        segment = stretch.segment
        if segment.synced_end >= stretch.end:
            return
        if segment.held is not None and self._rotation.run is not None and segment.has_name:
            segment.mend(self._rotation.run)
        else:
            segment.sync()
        if not segment.has_name:
            raise FileNotFoundError(f"segment {segment.number} was removed before it was synced")
        # In this order: a segment that is known to be synced is passed over.
        self.synced = stretch.position
        segment.synced_end = stretch.end

    def _failed(self, stretch: Stretch, error: OSError) -> None:
        self._failures += 1
        # Full jitter: many processes share a disk.
        most = min(_MAX_BACKOFF_SECONDS, _LEAST_BACKOFF_SECONDS * 2.0**self._failures)
        wait = max(_LEAST_BACKOFF_SECONDS, most * random.random())  # noqa: S311 - no secret
        self._no_try_before = time.monotonic() + wait
        self._tell("sync", f"not synced: {error}")
        if stretch.segment.has_name:
            self._appender.alone(lambda: self._leave(stretch))
        else:
            self._appender.alone(self._give_up)

    def _leave(self, failed: Stretch) -> None:
        appender = self._appender
        if appender.end[0] is failed.segment:
            appender.leave_segment()
        for stretch in appender.full:
            if stretch.segment is failed.segment:
                stretch.segment.fail(stretch.end)

    def _give_up(self) -> None:
        """Count what somebody removed, before it was synced, as lost."""
        appender = self._appender
        segment = appender.end[0]
        if segment is not None and not segment.has_name:
            appender.leave_segment()
        while appender.full and not appender.full[0].segment.has_name:
            gone = appender.full[0]
            if gone.segment.synced_end < gone.end:
                appender.count_lost(_events_in(gone), gone)
            self.synced = gone.position
            gone.segment.close()
            appender.full.popleft()
        self._rotation.leave_run_if_gone()

    def _forget(self, begun: float) -> None:
        appender = self._appender
        # One that became full meanwhile may hold more than was synced.
        while appender.full and appender.full[0].segment.synced_end >= appender.full[0].end:
            done = appender.full[0]
            done.segment.close(trim_to=done.end)
            appender.full.popleft()
        segment, end = appender.end[:2]
        behind = appender.full or (segment is not None and segment.synced_end < end)
        appender.unsynced_since = begun if behind and end > HEADER_BYTES else None


def _events_in(stretch: Stretch) -> int:
    """Count the events of a stretch that the disk is not known to hold."""
    data = stretch.segment.read(0, stretch.end)
    offset, events = max(HEADER_BYTES, stretch.segment.synced_end), 0
    while offset < len(data):
        try:
            record = record_at(data, offset)
        except BadBytesError:
            break
        if record is None:
            break
        events += record.kind == EVENT
        offset += record.size
    return events


_AT_WORK = frozenset({Syncing._sync_stretches.__code__})
"""The method in which a sync must not be entered again."""
