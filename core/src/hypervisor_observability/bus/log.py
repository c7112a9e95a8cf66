"""The event log in memory: segments of events, the oldest dropped when the bound is passed.

Emitting threads append to a *staging* list, one call that nothing can interrupt. The list is
*drained* into segments in bulk, under a lock: when it is full, and before every read. The
position in drain order is an event's sequence number; it counts from 0 and never restarts.
A fork's child starts with an empty log.

A signal handler may raise between any two steps of a drain. Each event is then still in one place,
staged or kept, and the next drain repairs what this one left: its mark, and the weights.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import frozen

from ..events.event import HypervisorEvent
from ..threads.forks import Forked
from ..threads.interruptions import free, is_at_work
from .kept_segments import KeptSegments
from .segments import Segment

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
        self.max_events = max_events
        self.max_bytes = max_bytes
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
        self._kept = KeptSegments(self.max_events, self.max_bytes)

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
        return self._drained(lambda: self._kept.first)

    @property
    def end(self) -> int:
        """Sequence number that the next event will get: how many were emitted so far."""
        return self._drained(lambda: self._kept.end)

    @property
    def bounds(self) -> tuple[int, int]:
        """``first`` and ``end`` of one moment."""
        return self._drained(lambda: (self._kept.first, self._kept.end))

    @property
    def dropped_for_memory(self) -> int:
        """How many events went because of ``max_bytes``: those that ``max_events`` alone would
        still have kept when they went.
        """
        return self._kept.dropped_for_memory

    @property
    def cut_values(self) -> int:
        """How many payload values were tagged or cut in all events so far."""
        return self._kept.cut_values

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from sequence number *position* on."""

        def read() -> Reading:
            start = max(position, self._kept.first)
            return Reading(self._kept.read(start, max_events), start, start - position)

        return self._drained(read)

    def kept(self) -> Kept:
        """Give what is there at this moment."""
        return self._drained(lambda: Kept(self._kept.segments(), self._kept.first, self._kept.end))

    def clear(self) -> None:
        """Drop all events; sequence numbers go on."""
        self._drained(self._kept.clear)

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

    def _drain(self) -> None:
        if self._draining:
            if is_at_work(_DRAINING, self, outside=1):
                return
            self._kept.weigh_again()
        self._draining = True
        # What is there now, and no more: others may emit faster than this thread drains.
        staged = len(self.staged)
        if staged:
            self._kept.append(self.staged, staged)
            end = self._kept.end
            for listener in self._listeners:
                listener(end)
            # What the listeners had to say themselves.
            self._kept.append(self.staged, min(len(self.staged), STAGED_EVENTS))
        # An exception leaves it: who drains next sees by it that there is something to repair.
        self._draining = False


_DRAINING = frozenset({EventLog._drain.__code__})
_HOLDING = frozenset({EventLog.alone.__code__, EventLog.drain_if_full.__code__})
# The parent delivers what it had.
_logs = Forked(EventLog._start_empty)
