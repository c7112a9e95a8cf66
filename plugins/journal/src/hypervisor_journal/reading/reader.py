"""Read a run, dead or alive: record by record, with little memory."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import frozen

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_journal.format.frames import (
    EVENT,
    HEADER_BYTES,
    BadBytesError,
    Record,
    SegmentHeader,
)
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import Run
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.stores import Entry

_MAX_PLACES = 16  # those that were used last; a reader leaves one, and takes it up again
_NEVER = 1 << 64

Notice = Callable[[str], object]
"""Takes a line on what cannot be read."""


@frozen
class _Known:
    path: Path
    header: SegmentHeader

    @property
    def first_sequence(self) -> int:
        return self.header.first_sequence


@frozen
class Stretch:
    """A segment, as far as its records are in force.

    Attributes:
        number: Of the segment in its run.
        path: Its file.
        header: Its own header.
        following: Header of the next one; None: more may be appended.
    """

    number: int
    path: Path
    header: SegmentHeader
    following: SegmentHeader | None

    @property
    def until(self) -> int:
        """Records from this sequence number on stand in the next one."""
        return _NEVER if self.following is None else self.following.first_sequence

    def reader(self) -> SegmentReader:
        """Give a reader of the records that are in force."""
        return SegmentReader(self.path, self.following)


class RunReader:
    """The events of a run by sequence number. It follows a run that is being written.

    What is damaged or holds no event is passed over, and counted by who reads as gone. An
    ``OSError`` is raised: ``FileNotFoundError`` where the run, or a segment, has gone meanwhile;
    any other says nothing about what the run holds.

    Args:
        run: What is read.
        on_damage: Told of each damaged place that is come across.
    """

    def __init__(self, run: Run, on_damage: Callable[[Damage], object] | None = None) -> None:
        self.run = run
        self._on_damage = on_damage
        self._segments: list[_Known] = []
        self._bad: set[Path] = set()
        self._end = 0
        # Where reading may go on: sequence number to segment, byte, and chain value.
        self._places: dict[int, tuple[int, int, bytes | None]] = {}

    @property
    def bounds(self) -> tuple[int, int]:
        """Sequence numbers of the oldest event, and behind the newest one."""
        self._look_for_segments()
        if not self._segments:
            return self._end, self._end
        for _ in self._walk(max(self._end, self._segments[-1].first_sequence)):
            pass
        first = self._segments[0].first_sequence
        return first, max(first, self._end)

    @property
    def starts(self) -> list[int]:
        """Sequence numbers with which the segments begin, that of the first one first."""
        self._look_for_segments()
        return [one.first_sequence for one in self._segments]

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from *position* on, telling how many were gone."""
        self._look_for_segments()
        first = self._segments[0].first_sequence if self._segments else position
        start = following = max(position, first)
        events: list[HypervisorEvent] = []
        for record in self._walk(following):
            if events and record.sequence != following:
                break  # a gap: the next reading begins behind it, and counts it
            try:
                event = event_of(record)
            except BadEventError:
                if events:
                    break
                start = following = record.sequence + 1
                continue
            if not events:
                start = record.sequence
            events.append(event)
            following = record.sequence + 1
            if len(events) >= max_events:
                break
        return Reading(events, start, start - position)

    def stretches(self) -> list[Stretch]:
        """Give the segments, the first one first."""
        self._look_for_segments()
        return [
            Stretch(
                one.header.number,
                one.path,
                one.header,
                None if following is None else following.header,
            )
            for one, following in zip_longest(self._segments, self._segments[1:])
        ]

    def records(self, start: int) -> Iterator[Record]:
        """Give the event records from sequence number *start* on, each number once."""
        self._look_for_segments()
        return self._walk(start)

    def _walk(self, start: int) -> Iterator[Record]:
        known = self._places.get(start)
        if known is None:
            place = bisect_right(self._segments, start, key=_first_sequence) - 1
            known = place, HEADER_BYTES, None
        else:
            self._remember(start, *known)
        place, offset, chain = known
        reached: tuple[int, int, int, bytes] | None = None
        try:
            for number in range(max(0, place), len(self._segments)):
                last = number + 1 == len(self._segments)
                following = None if last else self._segments[number + 1].header
                segment = SegmentReader(self._segments[number].path, following, to_end=False)
                for at, record in segment.records(offset, chain):
                    if record.kind == EVENT and record.sequence >= start:
                        reached = record.sequence + 1, number, at + record.size, record.chain
                        yield record
                if segment.damage is not None:
                    self._tell(segment.damage)
                offset, chain = HEADER_BYTES, None
        finally:
            if reached is not None:
                self._remember(*reached)

    def _remember(self, sequence: int, number: int, offset: int, chain: bytes | None) -> None:
        self._end = max(self._end, sequence)
        self._places.pop(sequence, None)
        self._places[sequence] = (number, offset, chain)
        while len(self._places) > _MAX_PLACES:
            del self._places[next(iter(self._places))]

    def _look_for_segments(self) -> None:
        known = {one.path: one for one in self._segments}
        found = []
        for number, path in self.run.segments():
            one = known.get(path) or self._known(number, path)
            if one is not None:
                found.append(one)
        valid = in_force(found)
        if [one.path for one in valid] != [one.path for one in self._segments]:
            self._places.clear()
            self._segments = valid

    def _known(self, number: int, path: Path) -> _Known | None:
        if path in self._bad:
            return None
        segment = SegmentReader(path)
        try:
            header = segment.header()
            if header.run == self.run.id and header.number == number:
                return _Known(path, header)
            reason = "the segment belongs elsewhere"
        except FileNotFoundError:
            return None  # the bounds of the directory removed it meanwhile
        except BadBytesError as error:
            reason = str(error)
        self._bad.add(path)
        if not segment.is_blank():
            self._tell(Damage(path, 0, None, reason))
        return None

    def _tell(self, damage: Damage) -> None:
        if self._on_damage is not None:
            self._on_damage(damage)


def entry_of(run: Run, record: Record, notice: Notice) -> Entry | None:
    """Give the entry of a record; None, after telling so, if it holds no event."""
    try:
        return Entry(run.path.name, record.sequence, event_of(record))
    except BadEventError as error:
        notice(f"no event: {run.path}, sequence {record.sequence}: {error}")
        return None


def _first_sequence(known: _Known) -> int:
    return known.first_sequence


class _Numbered(Protocol):
    @property
    def first_sequence(self) -> int: ...


Segment = TypeVar("Segment", bound=_Numbered)


def in_force(segments: Sequence[Segment]) -> list[Segment]:
    """Leave out segments all of whose records stand in later ones.

    A segment that follows an error repeats what the disk was not known to hold: then it, and
    no segment before it, is what holds from its first sequence number on.
    """
    found: list[Segment] = []
    least: int | None = None
    for segment in reversed(segments):
        if least is None or segment.first_sequence < least:
            found.append(segment)
            least = segment.first_sequence
    return found[::-1]
