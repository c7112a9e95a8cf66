"""The stretches of which the log consists, and the index over them by which it is asked."""

from bisect import bisect, bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import define, field, frozen

from ..events.event import HypervisorEvent, raw_timestamp

SEGMENT_EVENTS = 1_024
"""Most events of a segment: a segment goes as a whole, in an emitting thread."""

BLOCK_SEGMENTS = 16
"""Segments that share an index: the more, the fewer indexes a question has to look into."""

_SHIFT = SEGMENT_EVENTS.bit_length() - 1
_OFFSET = SEGMENT_EVENTS - 1


@define(eq=False)
class Segment:
    """A stretch of the log.

    Attributes:
        start: Sequence number of its first event.
        number: Its own place among the log's segments, counted from 0.
        events: Its events; only appended to, and only while it is the newest segment.
        estimated_bytes: Memory that its events hold.
    """

    start: int
    number: int = 0
    events: list[HypervisorEvent] = field(factory=list)
    estimated_bytes: int = 0
    _times: "_Times | None" = field(default=None, init=False)
    _index: "Index | None" = field(default=None, init=False)
    _shared_index: "Index | None" = field(default=None, init=False)

    @property
    def end(self) -> int:
        """Sequence number behind its last event."""
        return self.start + len(self.events)

    def index(self) -> "Index":
        """Give the index of its events, made now if it is not up to date."""
        index = self._index
        if index is None or index.size != len(self.events):
            index = self._index = Index.of((self,))
        return index

    def shared_index(self, segments: Sequence["Segment"]) -> "Index":
        """Give the index of *segments*, of which it is the last, and all of which are full.

        It stays as it is when the oldest of them have gone.
        """
        shared = self._shared_index
        if shared is None:
            shared = self._shared_index = Index.of(segments)
            for segment in segments:
                segment._index = None
        return shared

    def between(
        self, start_ns: int, end_ns: int | None, first: int, end: int
    ) -> Sequence[HypervisorEvent]:
        """Give its events of a stretch of time.

        Args:
            start_ns: The first moment, in nanoseconds since the epoch.
            end_ns: The last moment, included too; None: no end.
            first: Sequence number of the first event that is visible.
            end: Sequence number behind the last one.
        """
        times = self._times
        if times is None or len(times.all) != len(self.events):
            times = self._times = _Times.of(self.events)
        if times.greatest < start_ns or (end_ns is not None and times.least > end_ns):
            return ()
        low, high = max(0, first - self.start), min(end - self.start, len(times.all))
        if times.ordered:
            low = bisect_left(times.all, start_ns, low, max(low, high))
            if end_ns is not None:
                high = bisect_right(times.all, end_ns, low, max(low, high))
            return self.events[low:high]
        return [
            event
            for event, time in zip(self.events[low:high], times.all[low:high], strict=True)
            if start_ns <= time and (end_ns is None or time <= end_ns)
        ]


@define(eq=False)
class _Times:
    all: Sequence[int]
    least: int
    greatest: int
    ordered: bool

    @classmethod
    def of(cls, events: Sequence[HypervisorEvent]) -> "_Times":
        times = list(map(raw_timestamp, events[:]))
        # Nothing but a stepped clock and given times disorders them: sorting is one pass.
        in_order = sorted(times)
        return cls(times, in_order[0], in_order[-1], in_order == times)


@frozen(eq=False)
class Index:
    """Where in some segments each type, session and agent stands.

    A position is the place of a segment among those that may share an index, and the place
    of an event in it, in one number: it holds however short memory has cut the segments.

    Attributes:
        start: Sequence number of the first event that is indexed.
        size: How many events are indexed.
        by_type: Positions by type, ascending; so are the other two.
        by_session: By session, and by None.
        by_agent: By agent, and by None.
    """

    start: int
    size: int
    by_type: Mapping[str, list[int]]
    by_session: Mapping[str | None, list[int]]
    by_agent: Mapping[str | None, list[int]]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "Index":
        """Index the events of *segments*."""
        events: list[HypervisorEvent] = []
        positions: list[int] = []
        for segment in segments:
            known = len(events)
            events += segment.events  # another thread may append to the newest segment
            first = _place(segment) << _SHIFT
            positions += range(first, first + len(events) - known)
        return cls(
            segments[0].start,
            len(events),
            _positions([event.event_type for event in events], positions),
            _positions([event.session_id for event in events], positions),
            _positions([event.agent_did for event in events], positions),
        )


def _place(segment: Segment) -> int:
    return segment.number % BLOCK_SEGMENTS


def _positions(keys: Iterable[Any], positions: Iterable[int]) -> dict[Any, list[int]]:
    result: defaultdict[Any, list[int]] = defaultdict(list)
    for key, position in zip(keys, positions, strict=True):
        result[key].append(position)
    return dict(result)


def visible(
    positions: Sequence[int], index: Index, segments: Sequence[Segment], first: int, end: int
) -> Sequence[int]:
    """Give those of *positions* at which events from *first* to before *end* stand.

    Args:
        positions: Ascending positions of *index*.
        index: The index.
        segments: Those of its segments that are there.
        first: A sequence number.
        end: A sequence number.
    """
    if index.start < first:
        positions = positions[bisect_left(positions, _position(segments, first)) :]
    if segments[-1].end > end:
        positions = positions[: bisect_left(positions, _position(segments, end))]
    return positions


def events_at(positions: Iterable[int], segments: Sequence[Segment]) -> Iterator[HypervisorEvent]:
    """Give the events of *segments*, which share an index, at *positions* of it."""
    gone = _place(segments[0])
    return (
        segments[(position >> _SHIFT) - gone].events[position & _OFFSET] for position in positions
    )


def _position(segments: Sequence[Segment], sequence: int) -> int:
    segment = segments[place_of(sequence, segments)]
    return (_place(segment) << _SHIFT) + sequence - segment.start


def place_of(sequence: int, segments: Sequence[Segment]) -> int:
    """Give which of *segments* event *sequence* is in, which is not before the first of them."""
    return bisect(segments, sequence, key=_start) - 1


_start = attrgetter("start")


def newest_first(segments: Sequence[Segment]) -> Iterator[tuple[Index, Sequence[Segment]]]:
    """Give indexes, and for each those of *segments* that share it, the newest first.

    They are made when they are asked for, and kept with their segments.
    """
    end = len(segments)
    while end:
        last = segments[end - 1]
        # The log's newest segment may still grow.
        if end < len(segments) and _place(last) == BLOCK_SEGMENTS - 1:
            start = max(0, end - BLOCK_SEGMENTS)
            sharing = segments[start:end]
            yield last.shared_index(sharing), sharing
        else:
            start = end - 1
            if last.events:
                yield last.index(), (last,)
        end = start
