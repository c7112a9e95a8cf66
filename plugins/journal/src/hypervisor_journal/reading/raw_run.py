"""The records of a run, of all kinds and in order, for a sender that forwards them unchanged.

A place in a run is a number and a chain value. So it remains valid when a segment repeats records,
is replaced by a copy, or is removed.
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
        offset: Its byte in the segment.
    """

    sequence: int = 0
    chain: bytes = bytes(DIGEST_BYTES)
    segment: int = field(default=-1, eq=False)
    offset: int = field(default=HEADER_BYTES, eq=False)


class Raw(NamedTuple):
    """A record, and where it is.

    Attributes:
        before: The place before it. If its chain value is not that of the place behind the previous
            record, the records between the two cannot be read.
        record: The record.
        behind: The place behind it.
    """

    before: Place
    record: Record
    behind: Place


def number_behind(record: Record) -> int:
    """Return the sequence number of the event behind a record."""
    if record.kind == EVENT:
        return record.sequence + 1
    if record.kind == GAP:
        try:
            return record.sequence + gap_count(record)
        except BadBytesError:  # no writer leaves this: a verification reports it
            return record.sequence + 1
    return record.sequence


@define(eq=False)
class RawRun:
    """Reads a run, dead or alive, from any place.

    It skips damage. Its methods raise ``OSError``: ``FileNotFoundError`` if the run or a segment
    was removed meanwhile.

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
        """Sequence number behind the newest event. Each call reads only what is new.

        Raises:
            OSError: It cannot be read.
        """
        return self._reader.bounds[1]

    def may_go_on(self, place: Place) -> bool:
        """Return, at little cost, whether there may be records behind *place*.

        Raises:
            OSError: The run cannot be read.
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
        """Find where *place* is; None if no record there has that chain value.

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
        """Yield the records behind *place*; if it cannot be found, those with later numbers.

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
        """Return the index of the segment that *place* names, unless the segments have changed."""
        for index, stretch in enumerate(stretches):
            if stretch.number == place.segment:
                # If the next segment repeats records before the place, the next one counts.
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
    """Return the index of the first segment in which *place* can be."""
    start = bisect_right(stretches, place.sequence, key=_first_sequence) - 1
    if start > 0 and not _is_begin(stretches[start], place):
        # Notes, which take no number, may follow it at the end of the segment before.
        start -= stretches[start].header.first_sequence == place.sequence
    return max(0, start)


def _is_begin(stretch: Stretch, place: Place) -> bool:
    header = stretch.header
    return header.chain == place.chain and header.first_sequence == place.sequence


def _first_sequence(stretch: Stretch) -> int:
    return stretch.header.first_sequence
