"""Prove a run: every record is what was written, where it was written, and none is missing."""

from collections.abc import Iterable, Mapping
from enum import Enum
from errno import ENOENT
from itertools import zip_longest
from pathlib import Path

from attrs import frozen

from hypervisor_journal.format.frames import (
    CHECKPOINT,
    DIGEST_BYTES,
    EVENT,
    GAP,
    SKIPPABLE,
    BadBytesError,
    Record,
    SegmentHeader,
    gap_count,
)
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.reading.reader import in_force
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run

_TRIES = 5


class Verdict(Enum):
    """What was found."""

    PROVEN = "proven"
    UNANCHORED = "unanchored"
    BAD = "bad"
    UNREADABLE = "unreadable"


@frozen(kw_only=True)
class Verification:
    """What is known of a run.

    Attributes:
        verdict: ``PROVEN``: an anchor shows that the run is whole up to it. ``UNANCHORED``: all
            records follow each other, but nothing outside the run says that none was cut off at
            the end, or that all were not written anew. ``BAD``: something is wrong.
            ``UNREADABLE``: the system did not let it be read, so nothing was found out.
        events: Events that were read.
        erased: Those of them whose payload is gone.
        lost: Events that the writer could not write, as it said itself.
        anchored: Events that an anchor vouches for.
        bad_sequence: Sequence number of the first record that is wrong.
        reason: What is wrong with it, or what is not proven.
        torn: Whether it ends in the middle of a record, because its process was killed while
            writing it. The event was never accepted, so nothing is wrong.
    """

    verdict: Verdict
    events: int = 0
    erased: int = 0
    lost: int = 0
    anchored: int = 0
    bad_sequence: int | None = None
    reason: str = ""
    torn: bool = False


class _BadRecordError(Exception):
    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(reason)
        self.sequence = sequence


class _Walk:
    """One walk over a run, with what is known so far."""

    def __init__(self, run: Run, anchors: Mapping[int, str]) -> None:
        self.run = run
        self.anchors = anchors
        self.chain = bytes(DIGEST_BYTES)
        self.sequence = 0
        self.start = 0
        self.events = self.erased = self.lost = self.anchored = 0
        self.torn = False

    def walk(self) -> None:
        segments = self.run.segments()
        while segments and SegmentReader(segments[-1][1]).is_blank():
            segments.pop()  # it was begun when the machine stopped
            self.torn = True
        headers = [self._header(path) for _, path in segments]
        for place, (number, _) in enumerate(segments):
            if number != segments[0][0] + place:
                raise _BadRecordError(self.sequence, f"segment {number - 1} is missing")
            if headers[place].run != self.run.id or headers[place].number != number:
                raise _BadRecordError(self.sequence, "the segment belongs elsewhere")
        if segments and segments[0][0] != 0:
            self._begin_later(headers[0])
        valid = in_force(headers)
        paths = dict(segments)
        for header, following in zip_longest(valid, valid[1:]):
            self._enter(header)
            reader = SegmentReader(paths[header.number], following)
            for _, record in reader.records():
                self._take(record)
            if reader.damage is not None:
                raise _BadRecordError(self.sequence, reader.damage.reason)
            self.torn = self.torn or reader.torn is not None
        self._leave_number()

    def _header(self, path: Path) -> SegmentHeader:
        try:
            return SegmentReader(path).header()
        except BadBytesError as error:
            raise _BadRecordError(self.sequence, f"{path}: {error}") from error

    def result(self, verdict: Verdict, bad_sequence: int | None, reason: str) -> Verification:
        return Verification(
            verdict=verdict,
            events=self.events,
            erased=self.erased,
            lost=self.lost,
            anchored=self.anchored,
            bad_sequence=bad_sequence,
            reason=reason,
            torn=self.torn and verdict is not Verdict.BAD and not self.run.is_alive(),
        )

    def _begin_later(self, header: SegmentHeader) -> None:
        # The segments before went by retention; what they held is not proven.
        self.sequence = self.start = header.first_sequence
        self.chain = header.chain

    def _enter(self, header: SegmentHeader) -> None:
        if header.first_sequence < self.sequence:
            raise _BadRecordError(header.first_sequence, "the record stands twice")
        if header.chain != self.chain:
            raise _BadRecordError(self.sequence, "a record before this segment is missing")
        self.lost += header.first_sequence - self.sequence
        self.sequence = header.first_sequence

    def _take(self, record: Record) -> None:
        if record.kind not in (EVENT, CHECKPOINT) and record.kind < SKIPPABLE:
            raise _BadRecordError(self.sequence, f"a record of the unknown kind {record.kind}")
        if record.sequence != self.sequence:
            if record.sequence < self.sequence or not record.follows(self.chain):
                reason = f"number {record.sequence} stands where {self.sequence} should"
                raise _BadRecordError(self.sequence, reason)
            self.lost += record.sequence - self.sequence
            self.sequence = record.sequence
        if not record.follows(self.chain):
            raise _BadRecordError(record.sequence, "the record is not what was written")
        if record.kind in (EVENT, GAP):
            self._leave_number()
        self.chain = record.chain
        if record.kind == EVENT:
            self.events += 1
            self.erased += record.erased
            self.sequence += 1
        elif record.kind == GAP:
            count = self._count_of(record)
            self.lost += count
            self.sequence += count
        if self.anchors.get(self.sequence) == self.chain.hex():
            self.anchored = self.sequence

    def _leave_number(self) -> None:
        """Check the anchor of the number that is left, once all records that carry it are known.

        Records that take no number of their own change the chain value too.
        """
        if (
            self.sequence > self.start
            and self.sequence in self.anchors
            and self.anchored != self.sequence
        ):
            raise _BadRecordError(
                self.sequence - 1, "an anchor has another chain value: all was written anew"
            )

    def _count_of(self, gap: Record) -> int:
        try:
            return gap_count(gap)
        except BadBytesError as error:
            raise _BadRecordError(self.sequence, str(error)) from error


def verify(run: Run, anchors: Iterable[Anchor] = ()) -> Verification:
    """Prove *run*.

    Args:
        run: The run.
        anchors: Kept elsewhere, and genuine; those of other runs are passed over.

    Raises:
        FileNotFoundError: It has gone.
    """
    ours = {one.sequence: one.chain for one in anchors if one.run == run.id.hex()}
    for _ in range(_TRIES):
        walk = _Walk(run, ours)
        bad: tuple[int, str] | None = None
        try:
            walk.walk()
        except FileNotFoundError:
            continue  # the bounds of the directory removed a segment meanwhile
        except OSError as error:
            return walk.result(Verdict.UNREADABLE, None, str(error))
        except _BadRecordError as error:
            bad = error.sequence, str(error)
        break
    else:
        raise FileNotFoundError(ENOENT, "the run goes while it is read", str(run.path))
    latest = max(ours, default=0)
    if bad is None and latest > walk.sequence:
        bad = walk.sequence, f"the run ends here, before the anchor at {latest}"
    if bad is not None:
        return walk.result(Verdict.BAD, *bad)
    if walk.anchored == walk.sequence and walk.sequence:
        return walk.result(Verdict.PROVEN, None, "")
    unproven = walk.sequence - walk.anchored
    reason = f"no anchor vouches for the last {unproven} events"
    return walk.result(Verdict.UNANCHORED, None, reason)
