"""Appending: entries, in the order in which they were accepted, become records of a segment.

Invariants:

* What waits is accepted. It leaves the queue in one step, with which it is told of, and only when
  it stands in the segment or counts as lost.
* Where the run ends is one tuple, replaced by one store. A record behind the published end is
  none: whoever comes next writes the same entry there again, byte for byte.
* One thread writes at a time. Whatever interrupts it in its own thread leaves its entry in the
  queue (*parked*), and the interrupted one writes it before it returns; also when it is ended by
  an exception, which it finishes its work before handing on.
* Nothing is said under the lock: no logging, no callback but those that are told of events.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import repeat, starmap
from operator import call, itemgetter
from typing import TypeVar

from hypervisor_journal.format.frames import (
    DIGEST_BYTES,
    EVENT,
    GAP,
    HEADER_BYTES,
    NOTE,
    RECORD_BYTES,
    SALT_BYTES,
    gap_head,
    new_record,
)
from hypervisor_journal.writing.ends import End, Position, Stretch
from hypervisor_journal.writing.entries import BLANK, Entry, EntryMaker
from hypervisor_journal.writing.rotation import Rotation
from hypervisor_journal.writing.segment_files import GAP_ROOM_BYTES, SegmentFile
from hypervisor_observability.bus.log import EventLog
from hypervisor_observability.threads.interruptions import free, is_at_work

_AT_ONCE = 512  # events of a log that are taken over

Result = TypeVar("Result")

_NOTHING: Entry = None, id, NOTE, 0, b"", None, b""
"""An entry that is neither written nor told of."""


class Appender:
    """Writes entries, one behind the other.

    Args:
        rotation: Where segments come from.
        tell: Told, under the lock, what is to be logged later.
    """

    def __init__(self, rotation: Rotation, tell: Callable[[str, str], object]) -> None:
        self.lock = threading.RLock()
        self.waiting: deque[Entry] = deque()
        self.end: End = (None, 0, bytes(DIGEST_BYTES), 0, 0, 0, None)
        self.full: deque[Stretch] = deque()
        """Segments before it that the disk is not known to hold, the oldest first."""
        self.unsynced_since: float | None = None
        """When the oldest record was stored that the disk may not have."""
        self._busy = False
        self._rotation = rotation
        self._tell = tell
        self._behind: tuple[EventLog, EntryMaker] | None = None
        # Takes the first entry from the queue and tells of it, in one step.
        self._settled = starmap(
            call, map(itemgetter(1, 0), starmap(self.waiting.popleft, repeat(())))
        )

    # Entered from outside

    def take(self, entry: Entry) -> None:
        """Write *entry*, and what waits before it."""
        try:
            self.waiting.append(entry)
            if self._busy and is_at_work(_AT_WORK, self, outside=1):
                return
            with self.lock:
                self._write()
        except BaseException:
            self._resume()
            raise

    def alone(self, work: Callable[[], Result]) -> Result:
        """Do *work* while nothing is written, not even by what interrupts it.

        Raises:
            OSError: It interrupts this appender itself, which cannot wait for its own thread.
        """
        try:
            if self._busy and is_at_work(_AT_WORK, self, outside=1):
                raise BlockingIOError("the journal is in the middle of an append")
            with self.lock:
                self._write()
                self._busy = True
                result = work()
                self._busy = False
                self._write()
                return result
        except BaseException:
            self._resume()
            raise

    def take_over(self, log: EventLog, maker: EntryMaker, switch: Callable[[], object]) -> None:
        """Write what *log* holds, and call *switch*, from which on entries arrive.

        An exception in the middle costs nothing: whoever comes next goes on from there.
        """

        def begin() -> None:
            self._behind = log, maker
            switch()

        self.alone(begin)

    def leave_to_parent(self) -> None:
        """Write nothing more, in a fork's child.

        A signal handler may have forked in the middle of an append. That goes on in the parent;
        in the child it ends here, and tells nobody.
        """
        accepted, self.waiting = self.waiting, deque(maxlen=0)
        accepted.clear()
        accepted.append(_NOTHING)
        self._behind = None
        for segment in (*(one.segment for one in self.full), self.end[0]):
            if segment is not None:
                segment.leave_to_parent()
        self.full.clear()
        self.end = (None, 0, *self.end[2:])

    # Under the lock

    def _resume(self) -> None:
        """Finish what an exception has interrupted."""
        if is_at_work(_AT_WORK, self, outside=2):
            return  # another one further out, which goes on
        free(self.lock)
        with self.lock:
            self._write()

    def _write(self) -> None:
        waiting = self.waiting
        self._busy = True
        while True:
            if self._behind is not None:
                self._catch_up(*self._behind)
            while waiting:
                entry = waiting[0]
                segment, end, chain, stored, sequence, lost, last = self.end
                if last is not entry:
                    _, _, kind, time_ns, salt, head, payload = entry
                    behind = 0
                    if segment is not None and stored == sequence and head is not None:
                        rest, chain = new_record(
                            chain, kind, sequence, time_ns, salt, head, payload
                        )
                        behind = segment.store(end, rest)
                    if behind:
                        if self.unsynced_since is None:
                            self.unsynced_since = time.monotonic()
                        if kind == EVENT:
                            sequence += 1
                        self.end = segment, behind, chain, sequence, sequence, lost, entry
                    else:
                        self._write_elsewhere(entry)
                next(self._settled)
            self._busy = False
            # What interrupted in between has parked its entry.
            if not waiting and self._behind is None:
                return
            self._busy = True

    def _write_elsewhere(self, entry: Entry) -> None:
        """Write *entry* where a gap or another segment comes before it; else lose it."""
        _, _, kind, _, _, head, payload = entry
        if head is not None:
            if self.end[0] is not None and self._store(entry):
                return
            size = RECORD_BYTES + len(head) + len(payload)
            if self.rotate(size) and self._store(entry):
                return
            if not self._rotation.degraded:  # that has been told, with its reason
                self._tell("segment", "no segment can be written")
        segment, end, chain, stored, sequence, lost, _ = self.end
        taken = int(kind == EVENT)
        self.end = segment, end, chain, stored, sequence + taken, lost + taken, entry

    def _store(self, entry: Entry) -> bool:
        segment, end, _, stored, sequence, _, _ = self.end
        _, _, kind, time_ns, salt, head, payload = entry
        if segment is None or head is None:
            return False
        if stored != sequence:
            # Not without the record: the reserve is for the end of the run.
            size = RECORD_BYTES + len(head) + len(payload) + GAP_ROOM_BYTES
            if not segment.has_room(end, size) or not self.close_gap():
                return False
        record = kind, time_ns, salt, head, payload
        return self._put(segment, record, sequence + (kind == EVENT), entry)

    def close_gap(self) -> bool:
        """Record what was lost behind what is stored; False if it cannot be."""
        segment, _, _, stored, sequence, _, last = self.end
        if stored == sequence:
            return True
        if segment is None:
            return False
        salt, head = os.urandom(SALT_BYTES), gap_head(sequence - stored)
        record = GAP, time.time_ns(), salt, head, BLANK
        return self._put(segment, record, sequence, last, into_reserve=True)

    def _put(
        self,
        segment: SegmentFile,
        record: tuple[int, int, bytes, bytes, bytes],
        following: int,
        last: Entry | Stretch | None,
        *,
        into_reserve: bool = False,
    ) -> bool:
        """Store a record behind what is stored, and publish that; False if it has no room.

        Args:
            segment: The present one.
            record: Its kind, time, salt, head and payload.
            following: The sequence number behind it.
            last: The last entry, then.
            into_reserve: Whether it may take the room that is kept for a gap.
        """
        kind, time_ns, salt, head, payload = record
        _, end, chain, stored, _, lost, _ = self.end
        rest, chain = new_record(chain, kind, stored, time_ns, salt, head, payload)
        behind = segment.store(end, rest, into_reserve=into_reserve)
        if not behind:
            return False
        if self.unsynced_since is None:
            self.unsynced_since = time.monotonic()
        self.end = segment, behind, chain, following, following, lost, last
        return True

    def rotate(self, record_bytes: int) -> bool:
        """Go on in another segment; False if there is none to be had."""
        segment, _, chain, stored, sequence, lost, last = self.end
        if segment is not None:
            self._rotation.settle(segment)
        fresh = self._rotation.next_segment(record_bytes, stored, chain)
        if fresh is None:
            return False
        self.full = self.stretches()
        self.end = fresh, HEADER_BYTES, chain, stored, sequence, lost, last
        self._rotation.settle(fresh)
        return True

    def leave_segment(self) -> None:
        """Write no more into the present segment: what is in it is to be synced, or is gone."""
        segment = self.end[0]
        if segment is None:
            return
        self._rotation.settle(segment)
        self.full = self.stretches()
        self.end = (None, 0, *self.end[2:])

    def stretches(self) -> deque[Stretch]:
        """Give the segments that the disk is not known to hold, the one that is written last."""
        segment, end, chain, stored = self.end[:4]
        found = self.full.copy()
        if segment is not None and not (found and found[-1].segment is segment):
            found.append(Stretch(segment, end, Position(stored, chain)))
        return found

    def count_lost(self, events: int, gone: Stretch) -> None:
        """Count the events of a stretch that is gone as lost; of the last one, once."""
        segment, end, chain, stored, sequence, lost, last = self.end
        if last is not gone:
            self.end = segment, end, chain, stored, sequence, lost + events, gone

    def _catch_up(self, log: EventLog, maker: EntryMaker) -> None:
        """Write what the log holds and the run does not: both count alike."""
        while True:
            segment, end, chain, stored, sequence, lost, last = self.end
            if sequence >= log.end:
                break
            reading = log.read(sequence, _AT_ONCE)
            gone = reading.skipped
            if gone:
                self.end = segment, end, chain, stored, sequence + gone, lost + gone, last
            for event in reading.events:
                self._write_elsewhere(maker.of_event(event, id))
        self._behind = None


_AT_WORK = frozenset({Appender._write.__code__, Appender.alone.__code__})
"""The methods in which an appender must not be entered again."""
