"""Where a run ends, and where its segments do: what is published of appending."""

from attrs import frozen

from hypervisor_journal.writing.entries import Entry
from hypervisor_journal.writing.segment_files import SegmentFile


@frozen
class Position:
    """A place in a run.

    Attributes:
        sequence: Sequence number behind it.
        chain: Chain value before it.
    """

    sequence: int
    chain: bytes


@frozen
class Stretch:
    """A segment, up to some moment.

    Attributes:
        segment: The segment.
        end: Byte behind its last record.
        position: What stood there.
    """

    segment: SegmentFile
    end: int
    position: Position


End = tuple[SegmentFile | None, int, bytes, int, int, int, Entry | Stretch | None]
"""The segment that is written, None if there is none; the byte behind its last record; the chain
value there; sequence number behind what is stored; sequence number of the next event: between the
two, all were lost and no record says so yet; how many were lost so far; the last entry, or the
last stretch that was counted as lost."""
