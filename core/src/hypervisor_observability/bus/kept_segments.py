"""The segments that a log keeps: events are added at one end, and dropped at the other.

Invariants, whatever a signal handler raises between two steps:

* An event is in one place: it moves here from where it waits in one step.
* Where the log begins and what was dropped for memory are one value, replaced by one store.
* ``weigh_again`` repairs the weights that an interrupted ``append`` left.
"""

import sys
from collections import deque
from collections.abc import Sequence
from itertools import repeat, starmap

from ..events.event import HypervisorEvent
from .event_memory import Scales
from .segments import SEGMENT_EVENTS, Segment, place_of


class KeptSegments:
    """The events that a log keeps, in the order of their sequence numbers, under the log's lock.

    Args:
        max_events: How many of the newest events are kept; None for no bound.
        max_bytes: Memory that may be held, in bytes; None for no bound.

    Attributes:
        bytes: Memory that is held.
        cut_values: How many payload values were tagged or cut in all events so far.

    Raises:
        ValueError: A bound below 1.
    """

    def __init__(self, max_events: int | None, max_bytes: int | None) -> None:
        if min(1 if bound is None else bound for bound in (max_events, max_bytes)) < 1:
            raise ValueError("the log's bounds must be at least 1")
        self._max_events = max_events
        self._max_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._scales = Scales()
        self._segments = [Segment(0)]
        # Sequence number of the oldest event that is visible, and how many went for memory.
        self._begin_at = 0, 0
        self.bytes = 0
        self.cut_values = 0

    @property
    def first(self) -> int:
        """Sequence number of the oldest event that is visible."""
        return self._begin_at[0]

    @property
    def end(self) -> int:
        """Sequence number behind the last event."""
        return self._segments[-1].end

    @property
    def dropped_for_memory(self) -> int:
        """How many events went because of ``max_bytes``."""
        return self._begin_at[1]

    def segments(self) -> Sequence[Segment]:
        """Give the segments that there are at this moment, oldest first."""
        return self._segments[:]

    def read(self, start: int, max_events: int) -> Sequence[HypervisorEvent]:
        """Give up to *max_events* from sequence number *start* on, which is ``first`` or later."""
        events: list[HypervisorEvent] = []
        for segment in self._segments[place_of(start, self._segments) :]:
            offset = start + len(events) - segment.start
            events += segment.events[offset : offset + max_events - len(events)]
            if len(events) >= max_events:
                break
        return events

    def append(self, waiting: deque[HypervisorEvent], count: int) -> None:
        """Take the first *count* events out of *waiting*; others may append to it meanwhile."""
        # One call copies them, because nobody may append while a deque is iterated over.
        events = list(waiting)
        del events[count:]
        while events:
            segment = self._segments[-1]
            room = SEGMENT_EVENTS - len(segment.events)
            if room == 0 or segment.estimated_bytes * 16 > self._max_bytes:
                segment = Segment(segment.end, segment.number + 1)
                self._segments.append(segment)
                room = SEGMENT_EVENTS
            # A segment's memory is bounded too, because it goes as a whole.
            left = self._max_bytes // 16 - segment.estimated_bytes
            placed, weight = self._scales.fitting(events[:room], left)
            size = weight.bytes
            # One call that no signal can interrupt: an exception that a signal handler
            # raises (KeyboardInterrupt) finds each event in one place.
            segment.events.extend(starmap(waiting.popleft, repeat((), len(placed))))
            segment.estimated_bytes += size
            self.bytes += size
            self.cut_values += weight.cuts
            del events[: len(placed)]
            self._drop_oldest()

    def weigh_again(self) -> None:
        """Repair the weights after an ``append`` that was interrupted."""
        for segment in self._segments[-2:]:
            held = segment.events
            segment.estimated_bytes = self._scales.weigh(held).bytes if held else 0
        self.bytes = sum(segment.estimated_bytes for segment in self._segments)

    def clear(self) -> None:
        """Drop all events; sequence numbers go on."""
        newest = self._segments[-1]
        self._begin_at = newest.end, self._begin_at[1]
        self._segments = [Segment(newest.end, newest.number + 1)]
        self.bytes = 0

    def _drop_oldest(self) -> None:
        if self._max_events is not None:
            first = max(self.first, self.end - self._max_events)
            self._begin_at = first, self._begin_at[1]
        gone = 0
        while gone < len(self._segments) - 1:
            oldest = self._segments[gone]
            if oldest.end > self.first:
                if self.bytes <= self._max_bytes:
                    break
                first, dropped = self._begin_at
                self._begin_at = oldest.end, dropped + oldest.end - first
            self.bytes -= oldest.estimated_bytes
            gone += 1
        if gone:
            self._segments = self._segments[gone:]
