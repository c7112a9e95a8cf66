"""Read a segment record by record, and say truthfully how it ends.

Invariants:

- An ``OSError`` is no ending: it is raised.
- The writer stores one record behind the other, and the checksum of each last. So what was seen
  of a record before something behind it was seen proves nothing: damage is reported only after
  looking behind, and then looking again.
- A record without a checksum, behind which no finished record stands, was never accepted: it is
  *torn*, and no damage.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field, frozen

from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    EVENT,
    GAP,
    HEADER_BYTES,
    MAX_PART_BYTES,
    RECORD_BYTES,
    BadBytesError,
    Record,
    SegmentHeader,
    gap_count,
    record_at,
)
from hypervisor_journal.reading.segment_bytes import (
    GLANCE_BYTES,
    NO_CHECKSUM,
    STEP_BYTES,
    has_data,
    holds_record,
    not_zero,
    read_at,
)
from hypervisor_observability.files.regular_file import open_regular

_MAX_RECORD_BYTES = RECORD_BYTES + 2 * MAX_PART_BYTES
_AHEAD_BYTES = 128 * 1024  # read at once; a thousand runs are read side by side

_LOOKS = 4
_PAUSE_SECONDS = 0.002
"""Between two looks at a record whose checksum is wrong: another process may be replacing it."""


@frozen
class Damage:
    """A place where a run cannot be read.

    Attributes:
        path: The segment.
        offset: Byte in it.
        sequence: Sequence number of the record that should stand there; None: not known.
        reason: What is wrong.
    """

    path: Path
    offset: int
    sequence: int | None
    reason: str

    def __str__(self) -> str:
        sequence = "" if self.sequence is None else f", sequence {self.sequence}"
        return f"{self.path}, byte {self.offset}{sequence}: {self.reason}"


@define(eq=False)
class SegmentReader:
    """The records of one segment, in their order.

    Attributes:
        path: The file.
        following: Header of the segment that goes on behind this one; records from its first
            sequence number on stand there, and are not given. None: there is none.
        to_end: Whether to make sure that nothing stands behind the last record. That reads the
            rest of the file; who comes back for more again and again does without.
        damage: Set when the records end before the file does, and not as they should.
        torn: Set when they end with one that its process did not finish, or has not yet.
    """

    path: Path
    following: SegmentHeader | None = None
    to_end: bool = True
    damage: Damage | None = field(default=None, init=False)
    torn: Damage | None = field(default=None, init=False)

    def header(self) -> SegmentHeader:
        """Read the header.

        Raises:
            BadBytesError: There is none.
            OSError: The file cannot be read.
        """
        return SegmentHeader.from_bytes(read_at(self.path, 0, HEADER_BYTES))

    def is_blank(self) -> bool:
        """Tell whether it holds zeros alone: the machine stopped before the disk had it.

        Raises:
            OSError: The file cannot be read.
        """
        return not has_data(self.path, 0)

    def records(
        self, offset: int = HEADER_BYTES, chain: bytes | None = None
    ) -> Iterator[tuple[int, Record]]:
        """Give each record with the byte at which it begins.

        Args:
            offset: Byte at which a record begins, to go on from.
            chain: Chain value before that; None: that of the header, or not known.

        Raises:
            OSError: The file cannot be read.
        """
        # A mapping would make of a file that shrinks a signal; reading makes an end of it.
        following, last = self.following, None
        if following is not None and offset == HEADER_BYTES:
            chain = self.header().chain
        start, data, more = offset, b"", True
        try:
            while following is None or chain != following.chain:
                if more and len(data) - (offset - start) < _AHEAD_BYTES:
                    data = read_at(self.path, offset, 2 * _AHEAD_BYTES)
                    start, more = offset, len(data) == 2 * _AHEAD_BYTES
                try:
                    record = record_at(data, offset - start)
                    doubtful = record is None and self._is_doubtful(data, offset - start, more)
                except BadBytesError:
                    record, doubtful = None, True
                if doubtful:
                    record = self._settle(offset, last)
                if record is None or self._is_repeated(record):
                    self._check_end(offset, last, chain)
                    return
                yield offset, record
                last, chain = record, record.chain
                offset += record.size
        except FileNotFoundError:
            if last is None:
                raise
            # The bounds of the directory removed it meanwhile.

    def _is_repeated(self, record: Record) -> bool:
        """Tell whether it stands again in the following segment, after an error."""
        following = self.following
        return (
            following is not None
            and record.sequence >= following.first_sequence
            and record.kind in (EVENT, GAP)
        )

    def records_at(self, offsets: Iterable[int]) -> Iterator[Record]:
        """Give the records at these bytes, up to the first that is damaged.

        Raises:
            OSError: The file cannot be read.
        """
        with open_regular(self.path) as file:
            for offset in offsets:
                record = self._record_at(file.fileno(), offset)
                if record is None:
                    return
                yield record

    def _record_at(self, descriptor: int, offset: int) -> Record | None:
        with contextlib.suppress(BadBytesError):
            record = record_at(os.pread(descriptor, GLANCE_BYTES, offset), 0)
            if record is not None:
                return record
        return self._settle(offset, None)

    def _is_doubtful(self, data: bytes, place: int, more: bool) -> bool:  # noqa: FBT001 - private
        """Tell whether something may stand behind the zeros at *place*."""
        if more and (self.to_end or self.following is not None):
            return True
        return not_zero(data[place:])

    def _settle(self, offset: int, last: Record | None) -> Record | None:
        """Say what stands at *offset*, where the first look found no whole record."""
        reason = ""
        for look in range(_LOOKS):
            if look:
                time.sleep(_PAUSE_SECONDS)
            # First behind it, then it: a record was finished before the next one was begun.
            begun, finished_behind = self._look_behind(offset)
            found = self._look(offset)
            if isinstance(found, Record):
                return found
            if found is None and not begun:
                return None
            unfinished = read_at(self.path, offset, CHECKSUM_BYTES) == NO_CHECKSUM
            if unfinished and not finished_behind:
                self.torn = Damage(self.path, offset, _next_of(last), "it was not finished")
                return None
            reason = "zeros stand where a record should" if found is None else str(found)
        self.damage = Damage(self.path, offset, _next_of(last), reason)
        return None

    def _look(self, offset: int) -> Record | BadBytesError | None:
        with contextlib.suppress(BadBytesError):
            return record_at(read_at(self.path, offset, GLANCE_BYTES), 0)
        try:
            return record_at(read_at(self.path, offset, STEP_BYTES), 0)
        except BadBytesError as error:
            return error

    def _look_behind(self, offset: int) -> tuple[bool, bool]:
        """Tell whether any byte from *offset* on is set, and whether more is than an unfinished
        record can explain.
        """
        if not has_data(self.path, offset):
            return False, False
        data = read_at(self.path, offset, STEP_BYTES)
        too_long = has_data(self.path, offset + _MAX_RECORD_BYTES)
        return True, too_long or holds_record(data)

    def _check_end(self, offset: int, last: Record | None, chain: bytes | None) -> None:
        """Compare the end with what the following segment says that came before it."""
        following = self.following
        if self.damage is None and following is not None and chain is not None:
            reason = f"the records from here to {following.first_sequence} are missing"
            self.damage = Damage(self.path, offset, _next_of(last), reason)
        if self.damage is not None:
            self.torn = None


def _next_of(last: Record | None) -> int | None:
    if last is None:
        return None
    if last.kind == GAP:
        with contextlib.suppress(BadBytesError):
            return last.sequence + gap_count(last)
    return last.sequence + (last.kind == EVENT)
