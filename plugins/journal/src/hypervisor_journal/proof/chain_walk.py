"""A walk over the records of a run that proves that each is what was written, where it was written.

It takes the records in order, from the segments of a directory or from another machine.
``docs/reference/journal-format.md`` describes the chain.
"""

from collections.abc import Mapping

from attrs import define, field

from hypervisor_journal.format.frames import (
    CHECKPOINT,
    DIGEST_BYTES,
    EVENT,
    GAP,
    SKIPPABLE,
    BadBytesError,
    Record,
    gap_count,
)

BEGINNING = bytes(DIGEST_BYTES)
"""The chain value before the first record of a run."""


class BadRecordError(Exception):
    """A record is not what was written, or not where; the text says how.

    Attributes:
        sequence: Sequence number of the record.
    """

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(reason)
        self.sequence = sequence


@define(eq=False)
class ChainWalk:
    """What is known of a run from the records taken so far.

    Attributes:
        sequence: Sequence number that comes next.
        chain: Chain value behind the last record.
        start: Sequence number from which on records are proven.
        anchors: Chain values that were kept elsewhere, in hexadecimal digits, by sequence number.
        events: Events that were taken.
        erased: Those of them whose payload is gone.
        lost: Events that the writer could not write, as it said itself.
        anchored: The last sequence number for which an anchor has this chain value.
    """

    sequence: int = 0
    chain: bytes = BEGINNING
    start: int = 0
    anchors: Mapping[int, str] = field(factory=dict)
    events: int = field(default=0, init=False)
    erased: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    anchored: int = field(default=0, init=False)

    def begin_at(self, sequence: int, chain: bytes) -> None:
        """Begin here, or continue behind missing records: nothing before is proven."""
        self.sequence = self.start = sequence
        self.chain = chain

    def enter(self, sequence: int, chain: bytes, part: str) -> None:
        """Continue in the next part of the run, which says what came before it.

        Args:
            sequence: Sequence number with which it begins.
            chain: Chain value before its first record.
            part: What to call it in messages.

        Raises:
            BadRecordError: Something else came before it.
        """
        if sequence < self.sequence:
            raise BadRecordError(sequence, "the record appears twice")
        if chain != self.chain:
            raise BadRecordError(self.sequence, f"a record before this {part} is missing")
        self.lost += sequence - self.sequence
        self.sequence = sequence

    def take(self, record: Record) -> None:
        """Take the next record.

        Raises:
            BadRecordError: It is not the one that was written here; it was not taken.
        """
        kind = record.kind
        if kind not in (EVENT, CHECKPOINT) and kind < SKIPPABLE:
            raise BadRecordError(self.sequence, f"a record of the unknown kind {kind}")
        if record.sequence != self.sequence:
            if record.sequence < self.sequence or not record.follows(self.chain):
                reason = f"number {record.sequence} is in the place of {self.sequence}"
                raise BadRecordError(self.sequence, reason)
            self.lost += record.sequence - self.sequence
            self.sequence = record.sequence
        if not record.follows(self.chain):
            raise BadRecordError(record.sequence, "the record is not what was written")
        if kind in (EVENT, GAP):
            self.leave_number()
        if kind == EVENT:
            self.events += 1
            self.erased += record.erased
            self.sequence += 1
        elif kind == GAP:
            count = self._count_of(record)
            self.lost += count
            self.sequence += count
        self.chain = record.chain
        if self.anchors.get(self.sequence) == self.chain.hex():
            self.anchored = self.sequence

    def leave_number(self) -> None:
        """Check the anchor of the present number, once all records that carry it were taken.

        Records that take no number of their own change the chain value too.

        Raises:
            BadRecordError: The anchor has another chain value.
        """
        if (
            self.sequence > self.start
            and self.sequence in self.anchors
            and self.anchored != self.sequence
        ):
            raise BadRecordError(
                self.sequence - 1, "an anchor has another chain value: the run was rewritten"
            )

    def _count_of(self, gap: Record) -> int:
        try:
            return gap_count(gap)
        except BadBytesError as error:
            raise BadRecordError(self.sequence, str(error)) from error
