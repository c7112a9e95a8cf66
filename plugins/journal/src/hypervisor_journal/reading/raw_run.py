"""The records of a run of all kinds, one behind the other, for who sends them on as they stand.

A place in a run is a number and a chain value: so it is the same place still where a segment
repeats records, was replaced by a copy, or has gone.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from attrs import define, evolve, field, frozen

from hypervisor_journal.format.frames import (
    DIGEST_BYTES,
    EVENT,
    GAP,
    HEADER_BYTES,
    BadBytesError,
    Record,
    gap_count,
)
from hypervisor_journal.reading.reader import RunReader, Stretch
from hypervisor_journal.reading.segment_bytes import NO_CHECKSUM, read_at
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import Run


@frozen
class Place:
    """A place between two records of a run.

    Attributes:
        sequence: Sequence number of the next event.
        chain: Chain value of the record before.
        segment: Number of the segment in which it was found; -1: it was not looked for.
        offset: Byte in that.
    """

    sequence: int = 0
    chain: bytes = bytes(DIGEST_BYTES)
    segment: int = field(default=-1, eq=False)
    offset: int = field(default=HEADER_BYTES, eq=False)


class Raw(NamedTuple):
    """A record, and where it stands.

    Attributes:
        before: The place before it. Where that has another chain value than the place behind the
            record that was given before, what stood between the two cannot be read.
        record: The record.
        behind: The place behind it.
    """

    before: Place
    record: Record
    behind: Place


def number_behind(record: Record) -> int:
    """Give the sequence number of the event behind a record."""
    if record.kind == EVENT:
        return record.sequence + 1
    if record.kind == GAP:
        try:
            return record.sequence + gap_count(record)
        except BadBytesError:  # nothing that a writer leaves: a verification tells of it
            return record.sequence + 1
    return record.sequence


@define(eq=False)
class RawRun:
    """Reads a run, dead or alive, from any place on.

    Damage is passed over. An ``OSError`` is raised: ``FileNotFoundError`` where the run, or a
    segment, has gone meanwhile.

    Attributes:
        run: The run.
    """

    run: Run
    _reader: RunReader = field(init=False)
    _tell: Callable[[Damage], object] = field(default=lambda _: None)

    def __attrs_post_init__(self) -> None:
        self._reader = RunReader(self.run, self._tell)

    @property
    def end(self) -> int:
        """Sequence number behind the newest event; what was looked at before is not read again.

        Raises:
            OSError: It cannot be read.
        """
        return self._reader.bounds[1]

    def may_go_on(self, place: Place) -> bool:
        """Tell at little cost whether anything may stand behind *place*.

        Raises:
            OSError: It cannot be told.
        """
        if place.segment < 0:
            return True
        path = self.run.segment_path(place.segment)
        try:
            if read_at(path, place.offset, len(NO_CHECKSUM)) not in (NO_CHECKSUM, b""):
                return True
        except FileNotFoundError:  # the bounds of the directory removed it
            return True
        return self.run.segment_path(place.segment + 1).exists()

    def find(self, place: Place) -> Place | None:
        """Find where *place* is; None where no record with that chain value stands there.

        Raises:
            OSError: The run cannot be read.
        """
        stretches = self._reader.stretches()
        start = _start_of(stretches, place)
        if start < len(stretches) and _is_begin(stretches[start], place):
            return evolve(place, segment=stretches[start].number, offset=HEADER_BYTES)
        for raw in self._walk(stretches[start:], None):
            if raw.behind.chain == place.chain and raw.behind.sequence == place.sequence:
                return raw.behind
            if raw.behind.sequence > place.sequence:
                break
        return None

    def records(self, place: Place) -> Iterator[Raw]:
        """Give the records behind *place*; where it is not to be found, those that follow.

        Raises:
            OSError: The run cannot be read.
        """
        stretches = self._reader.stretches()
        known = self._known(stretches, place)
        if known is None:
            found = self.find(place)
            if found is not None:
                stretches, place = self._reader.stretches(), found
                known = self._known(stretches, found)
        if known is not None:
            yield from self._walk(stretches[known:], place)
            return
        for raw in self._walk(stretches[_start_of(stretches, place) :], None):
            if raw.behind.sequence > place.sequence:
                yield raw

    def _known(self, stretches: Sequence[Stretch], place: Place) -> int | None:
        """Give which of the segments *place* is in, if it says so and nothing has changed."""
        for index, stretch in enumerate(stretches):
            if stretch.number == place.segment:
                # Where the next one repeats what stands before the place, it counts.
                return index if stretch.until >= place.sequence else None
        return None

    def _walk(self, stretches: Sequence[Stretch], place: Place | None) -> Iterator[Raw]:
        for stretch in stretches:
            if place is None:
                header = stretch.header
                before = Place(header.first_sequence, header.chain, stretch.number)
            else:
                before, place = place, None
            segment = SegmentReader(stretch.path, stretch.following, to_end=False)
            for at, record in segment.records(before.offset, before.chain):
                behind = Place(
                    number_behind(record), record.chain, stretch.number, at + record.size
                )
                yield Raw(before, record, behind)
                before = behind
            if segment.damage is not None:
                self._tell(segment.damage)


def _start_of(stretches: Sequence[Stretch], place: Place) -> int:
    """Give the first segment in which *place* can be."""
    start = bisect_right(stretches, place.sequence, key=_first_sequence) - 1
    if start > 0 and not _is_begin(stretches[start], place):
        # Notes, which take no number, may stand behind it at the end of the one before.
        start -= stretches[start].header.first_sequence == place.sequence
    return max(0, start)


def _is_begin(stretch: Stretch, place: Place) -> bool:
    header = stretch.header
    return header.chain == place.chain and header.first_sequence == place.sequence


def _first_sequence(stretch: Stretch) -> int:
    return stretch.header.first_sequence
