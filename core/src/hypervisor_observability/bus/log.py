"""The event log in memory: segments of events, the oldest dropped when the bound is passed.

Emitting threads append to a *staging* list, one call that nothing can interrupt. The list is
*drained* into segments in bulk, under a lock: when it is full, and before every read. The
position in drain order is an event's sequence number; it counts from 0 and never restarts.
A fork's child starts with an empty log.

Invariants, whatever a signal handler raises between two steps of a drain:

* An event is in one place: staged, or in a segment. It moves in one step.
* Where the log begins and what was dropped for memory are one value, replaced by one store.
* Who drains next mends what an interrupted drain left: its mark, and the weights.
"""

import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat, starmap
from typing import TypeVar

from attrs import frozen

from ..events.event import HypervisorEvent
from ..threads.interruptions import free, is_at_work
from .event_memory import Scales
from .segments import SEGMENT_EVENTS, Segment

STAGED_EVENTS = 1_024

Result = TypeVar("Result")

# Threads that emit faster than one of them drains wait for it, in the end: for the lock, and
# no longer than this, because the thread that holds it may run a finaliser that waits for us.
_BACKLOG_EVENTS = 8 * STAGED_EVENTS
_BACKLOG_WAIT_SECONDS = 0.01
_RETRY_EVENTS = 256


@frozen
class Reading:
    """What a reader got from a position on.

    Attributes:
        events: Oldest first; empty at the end of the log.
        position: Sequence number of the first of them (of the next one, if there is none).
        skipped: How many events between the position asked for and this one are gone.
    """

    events: Sequence[HypervisorEvent]
    position: int
    skipped: int

    @property
    def next_position(self) -> int:
        """Where to go on reading."""
        return self.position + len(self.events)


@frozen
class Kept:
    """What the log holds at one moment.

    Attributes:
        segments: They may grow and may reach back before the first event that is visible:
            who reads them keeps to the numbers.
        first: Sequence number of the first event that is visible.
        end: Sequence number behind the last one.
    """

    segments: Sequence[Segment]
    first: int
    end: int


class EventLog:
    """Events in the order of their sequence numbers, bounded by count and by memory.

    Args:
        max_events: How many of the newest events are kept; None for no bound.
        max_bytes: Memory that may be held, in bytes; None for no bound.

    Raises:
        ValueError: A bound below 1.
    """

    def __init__(self, max_events: int | None, max_bytes: int | None) -> None:
        if min(1 if bound is None else bound for bound in (max_events, max_bytes)) < 1:
            raise ValueError("the log's bounds must be at least 1")
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._most_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._scales = Scales()
        self.staged: deque[HypervisorEvent] = deque()
        # Re-entrant: a signal handler or finaliser may emit, or ask, while its own thread
        # holds it. _draining then keeps the inner call from draining in the middle.
        self._listeners: tuple[Callable[[int], object], ...] = ()
        self._start_empty()
        _logs.add(self)
        self.stage = self.staged.append
        """Append an event; the caller then calls ``drain_if_full`` if it is."""

    def _start_empty(self) -> None:
        self.lock = threading.RLock()
        """Guards the log, and the list of its bus's subscribers. Replaced in a fork's child."""
        self._draining = False
        self.staged.clear()
        self._segments = [Segment(0)]
        # Sequence number of the oldest event that is visible, and how many went for memory.
        self._begin_at = 0, 0
        self._bytes = 0
        self._cut_values = 0

    def drain_if_full(self) -> int:
        """Drain if the staging list is full and nobody else is draining.

        Waits only where threads emit faster than one of them drains, and then shortly.

        Returns:
            How many events may be staged before it is worth calling this again. Whoever
            holds the lock may have lost the interpreter's: then that is a while.
        """
        staged = len(self.staged)
        if staged < STAGED_EVENTS:
            return STAGED_EVENTS
        lock = self.lock
        try:
            if lock.acquire(timeout=0 if staged < _BACKLOG_EVENTS else _BACKLOG_WAIT_SECONDS):
                self._drain()
                lock.release()
                return STAGED_EVENTS
        except BaseException:
            self._free()
            raise
        return min(staged + _RETRY_EVENTS, _BACKLOG_EVENTS)

    def on_drain(self, listener: Callable[[int], object]) -> None:
        """Call *listener* with the log's end after each drain, under the lock.

        It may be called in an emitting thread, even in a signal handler: it must neither
        wait nor take a lock that is not re-entrant.
        """

        def add() -> None:
            self._listeners = (*self._listeners, listener)

        self.alone(add)

    @property
    def first(self) -> int:
        """Sequence number of the oldest event that is kept."""
        return self._drained(lambda: self._first)

    @property
    def end(self) -> int:
        """Sequence number that the next event will get: how many were emitted so far."""
        return self._drained(lambda: self._segments[-1].end)

    @property
    def bounds(self) -> tuple[int, int]:
        """``first`` and ``end`` of one moment."""
        return self._drained(lambda: (self._first, self._segments[-1].end))

    @property
    def dropped_for_memory(self) -> int:
        """How many events went because of ``max_bytes``: those that ``max_events`` alone would
        still have kept when they went.
        """
        return self._begin_at[1]

    @property
    def cut_values(self) -> int:
        """How many payload values were tagged or cut in all events so far."""
        return self._cut_values

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from sequence number *position* on."""

        def read() -> Reading:
            start = max(position, self._first)
            events: list[HypervisorEvent] = []
            for segment in self._segments[self._segment_of(start) :]:
                offset = start + len(events) - segment.start
                events += segment.events[offset : offset + max_events - len(events)]
                if len(events) >= max_events:
                    break
            return Reading(events, start, start - position)

        return self._drained(read)

    def kept(self) -> Kept:
        """Give what is there at this moment."""
        return self._drained(lambda: Kept(self._segments[:], self._first, self._segments[-1].end))

    def clear(self) -> None:
        """Drop all events; sequence numbers go on."""

        def clear() -> None:
            newest = self._segments[-1]
            self._begin_at = newest.end, self._begin_at[1]
            self._segments = [Segment(newest.end, newest.number + 1)]
            self._bytes = 0

        self._drained(clear)

    def alone(self, work: Callable[[], Result]) -> Result:
        """Do *work* under the lock, which no exception leaves held."""
        try:
            with self.lock:
                return work()
        except BaseException:
            self._free()
            raise

    # Inside

    def _drained(self, work: Callable[[], Result]) -> Result:
        def drained() -> Result:
            self._drain()
            return work()

        return self.alone(drained)

    def _free(self) -> None:
        if not is_at_work(_HOLDING, self, outside=2):
            free(self.lock)

    @property
    def _first(self) -> int:
        return self._begin_at[0]

    def _segment_of(self, position: int) -> int:
        # All segments but those cut short by memory are equally long: start from there.
        low, high = 0, len(self._segments) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._segments[middle].start <= position:
                low = middle
            else:
                high = middle - 1
        return low

    def _drain(self) -> None:
        if self._draining:
            if is_at_work(_DRAINING, self, outside=1):
                return
            self._weigh_anew()
        self._draining = True
        # What is there now, and no more: others may emit faster than this thread drains.
        if self._append(len(self.staged)):
            end = self._segments[-1].end
            for listener in self._listeners:
                listener(end)
            # What the listeners had to say themselves.
            self._append(min(len(self.staged), STAGED_EVENTS))
        # An exception leaves it: who drains next sees by it that there is something to mend.
        self._draining = False

    def _weigh_anew(self) -> None:
        for segment in self._segments[-2:]:
            held = segment.events
            segment.estimated_bytes = self._scales.weigh(held).bytes if held else 0
        self._bytes = sum(segment.estimated_bytes for segment in self._segments)

    def _append(self, staged: int) -> int:
        # Whoever stages meanwhile appends behind: these first ones are ours. One call copies
        # them, because nobody may append while a deque is iterated over.
        waiting = list(self.staged)
        del waiting[staged:]
        while waiting:
            segment = self._segments[-1]
            room = SEGMENT_EVENTS - len(segment.events)
            if room == 0 or segment.estimated_bytes * 16 > self._most_bytes:
                segment = Segment(segment.end, segment.number + 1)
                self._segments.append(segment)
                room = SEGMENT_EVENTS
            # A segment's memory is bounded too, because it goes as a whole.
            left = self._most_bytes // 16 - segment.estimated_bytes
            placed, weight = self._scales.fitting(waiting[:room], left)
            size = weight.bytes
            # One call that no signal can interrupt: an exception that a signal handler
            # raises (KeyboardInterrupt) finds each event in one place.
            segment.events.extend(starmap(self.staged.popleft, repeat((), len(placed))))
            segment.estimated_bytes += size
            self._bytes += size
            self._cut_values += weight.cuts
            del waiting[: len(placed)]
            self._drop_oldest()
        return staged

    def _drop_oldest(self) -> None:
        if self.max_events is not None:
            first = max(self._first, self._segments[-1].end - self.max_events)
            self._begin_at = first, self._begin_at[1]
        gone = 0
        while gone < len(self._segments) - 1:
            oldest = self._segments[gone]
            if oldest.end > self._first:
                if self._bytes <= self._most_bytes:
                    break
                first, dropped = self._begin_at
                self._begin_at = oldest.end, dropped + oldest.end - first
            self._bytes -= oldest.estimated_bytes
            gone += 1
        if gone:
            self._segments = self._segments[gone:]


_DRAINING = frozenset({EventLog._drain.__code__})
_HOLDING = frozenset({EventLog.alone.__code__, EventLog.drain_if_full.__code__})
_logs: "weakref.WeakSet[EventLog]" = weakref.WeakSet()


def _empty_after_fork() -> None:
    # Another thread may have held a lock that nobody in the child would ever release, and
    # the parent delivers what it had.
    for log in list(_logs):
        log._start_empty()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_empty_after_fork)
