"""Read a run, dead or alive: record by record, with little memory."""

import contextlib
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import define, field, frozen

from ..events import HypervisorEvent
from ..log import Reading
from .encoding import BadEventError, event_of
from .frames import (
    EVENT,
    HEADER_BYTES,
    BadBytesError,
    Record,
    SegmentHeader,
    UnfinishedRecordError,
    record_at,
)
from .runs import Run

_STEP_BYTES = 3 * 1024 * 1024  # no record is longer
_GLANCE_BYTES = 4096  # most records are shorter
_AHEAD_BYTES = 128 * 1024  # read at once; a thousand runs are read side by side
_MAX_PLACES = 16  # those that were used last; a reader leaves one, and takes it up again
_NEVER = 1 << 64
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)


@frozen
class Damage:
    """A place where a run cannot be read.

    Attributes:
        path: The segment.
        offset: Byte in it.
        sequence: Sequence number of the record that should stand there.
        reason: What is wrong.
    """

    path: Path
    offset: int
    sequence: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, byte {self.offset}, sequence {self.sequence}: {self.reason}"


@define(eq=False)
class SegmentReader:
    """The records of one segment, in their order.

    Attributes:
        path: The file.
        damage: Set when the records end before the file does, and not as they should.
    """

    path: Path
    damage: Damage | None = field(default=None, init=False)

    def header(self) -> SegmentHeader:
        """Read the header.

        Raises:
            BadBytesError: There is none.
            OSError: The file cannot be read.
        """
        with self.path.open("rb") as file:
            return SegmentHeader.from_bytes(file.read(HEADER_BYTES))

    def records(self, offset: int = HEADER_BYTES) -> Iterator[tuple[int, Record]]:
        """Give each record with the byte at which it begins.

        Args:
            offset: Byte at which a record begins, to go on from.

        Raises:
            OSError: The file cannot be read.
        """
        # A mapping would make of a file that shrinks a signal; reading makes an end of it.
        sequence = -1
        start, data, more, least = offset, b"", True, _AHEAD_BYTES
        while True:
            if more and len(data) - (offset - start) < least:
                try:
                    data = self._read(offset, 2 * least)
                except FileNotFoundError:
                    if not data:
                        raise
                    return  # the bounds of the directory removed it meanwhile
                start, more = offset, len(data) == 2 * least
            try:
                record = record_at(data, offset - start) if data else None
            except BadBytesError as error:
                if more and least < _STEP_BYTES:
                    least = _STEP_BYTES  # it may be a long one, which goes on behind
                    continue
                if self._is_damage(error, offset):
                    self.damage = Damage(self.path, offset, sequence + 1, str(error))
                return
            if record is None:
                return
            yield offset, record
            least = _AHEAD_BYTES
            sequence = record.sequence
            offset += record.size

    def records_at(self, offsets: Iterable[int]) -> Iterator[Record]:
        """Give the records at these bytes, up to the first that is damaged.

        Raises:
            OSError: The file cannot be read.
        """
        descriptor = os.open(self.path, _FLAGS)
        try:
            for offset in offsets:
                record = self._record_at(descriptor, offset)
                if record is None:
                    return
                yield record
        finally:
            os.close(descriptor)

    def _record_at(self, descriptor: int, offset: int) -> Record | None:
        with contextlib.suppress(BadBytesError):
            return record_at(os.pread(descriptor, _GLANCE_BYTES, offset), 0)
        try:
            return record_at(os.pread(descriptor, _STEP_BYTES, offset), 0)
        except BadBytesError as error:
            self.damage = Damage(self.path, offset, -1, str(error))
            return None

    def _read(self, offset: int, size: int) -> bytes:
        # Opened each time: there may be more runs than a process may open files.
        descriptor = os.open(self.path, _FLAGS)
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    def _is_damage(self, error: BadBytesError, offset: int) -> bool:
        """Tell whether that stands in the middle: where a process has died, zeros follow."""
        if not isinstance(error, UnfinishedRecordError):
            return True
        offset += error.size
        while data := self._read(offset, _STEP_BYTES):
            if data.count(0) < len(data):
                return True
            offset += len(data)
        return False


@frozen
class _Known:
    number: int
    path: Path
    first_sequence: int


@frozen
class Stretch:
    """A segment, as far as its records are in force.

    Attributes:
        number: Of the segment in its run.
        path: Its file.
        until: Records from this sequence number on stand in the next one.
        last: Whether none follows, so that more may be appended.
    """

    number: int
    path: Path
    until: int
    last: bool


class RunReader:
    """The events of a run by sequence number. It follows a run that is being written.

    What is damaged or holds no event is passed over, and counted by who reads as gone.

    Args:
        run: What is read.
        on_damage: Told of each damaged place that is come across.
    """

    def __init__(self, run: Run, on_damage: Callable[[Damage], object] | None = None) -> None:
        self.run = run
        self._on_damage = on_damage
        self._segments: list[_Known] = []
        self._end = 0
        # Where reading may go on: sequence number to segment and byte.
        self._places: dict[int, tuple[int, int]] = {}

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
                one.number,
                one.path,
                _NEVER if following is None else following.first_sequence,
                last=following is None,
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
            known = place, HEADER_BYTES
        else:
            self._remember(start, *known)
        place, offset = known
        reached: tuple[int, int, int] | None = None
        try:
            for number in range(max(0, place), len(self._segments)):
                last = number + 1 == len(self._segments)
                # A segment that follows an error repeats the last records of the one before.
                until = _NEVER if last else self._segments[number + 1].first_sequence
                segment = SegmentReader(self._segments[number].path)
                for at, record in segment.records(offset):
                    if record.sequence >= until:
                        break
                    if record.kind == EVENT and record.sequence >= start:
                        reached = record.sequence + 1, number, at + record.size
                        yield record
                else:
                    if segment.damage is not None and self._on_damage is not None:
                        self._on_damage(segment.damage)
                offset = HEADER_BYTES
        finally:
            if reached is not None:
                self._remember(*reached)

    def _remember(self, sequence: int, number: int, offset: int) -> None:
        self._end = max(self._end, sequence)
        self._places.pop(sequence, None)
        self._places[sequence] = (number, offset)
        while len(self._places) > _MAX_PLACES:
            del self._places[next(iter(self._places))]

    def _look_for_segments(self) -> None:
        known = {one.path: one for one in self._segments}
        found = []
        for number, path in self.run.segments():
            if path in known:
                found.append(known[path])
                continue
            try:
                header = SegmentReader(path).header()
            except (BadBytesError, OSError):
                continue
            if header.run == self.run.id and header.number == number:
                found.append(_Known(number, path, header.first_sequence))
        valid = in_force(found)
        if [one.path for one in valid] != [one.path for one in self._segments]:
            self._places.clear()
            self._segments = valid


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
