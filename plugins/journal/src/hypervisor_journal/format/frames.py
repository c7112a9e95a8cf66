"""The bytes of a segment: its header, and records.

``docs/reference/journal-format.md`` describes them.

All numbers are little-endian. A record's chain value is SHA-256 over the one before, the
record's kind, sequence number and time, a digest of its salt and payload, and its head. So
whoever has one chain value has proof of all that came before, and a payload can be erased: the
proof needs its salted digest alone.
"""

import re
import struct
import zlib
from hashlib import sha256
from typing import NamedTuple

from attrs import frozen

MAGIC = b"hvjrnl\r\n"
VERSION = 1
MAX_PART_BYTES = 1024 * 1024
"""Most bytes of a record's head, and of its payload."""

RUN_BYTES = 16
SALT_BYTES = 16
DIGEST_BYTES = 32

EVENT, CHECKPOINT = 1, 2
"""Kinds of records. Of others those from 128 on may be skipped."""
SKIPPABLE = 128
GAP = 128
"""Kind of a record that accounts for events the writer lost: its sequence number is the first
lost one, its head says how many were lost."""
NOTE = 129
"""Kind of a record about the process, such as a step of its clock. It takes no sequence number:
it carries that of the event behind it."""
ERASED = 1
"""Flag: salt and payload are gone; in place of the payload stand their digest and zeros."""

# magic, version, header's size, run, number of the segment, first sequence number, chain value
# before it, time of its making in nanoseconds; then CRC-32 of all that.
_HEADER = struct.Struct("<8sHH4x16sQQ32sq")
_CRC = struct.Struct("<I")
CHECKSUM_BYTES = _CRC.size
"""Bytes at the beginning of a record that are stored last."""
HEADER_BYTES = _HEADER.size + _CRC.size

# CRC-32 of all that follows, length of the head, of the payload, kind, flags, sequence number,
# time in nanoseconds, salt, chain value; then head and payload.
_RECORD = struct.Struct("<IIIBB2xQq16s32s")
_CHAINED = struct.Struct("<32sB7xQq32s")
_GAP_HEAD = re.compile(rb'\{"count":([1-9][0-9]{0,18})\}')
RECORD_BYTES = _RECORD.size
_REST = struct.Struct("<IIBB2xQq16s32s")
_REST_BYTES = _REST.size


class BadBytesError(ValueError):
    """What was read is no such thing; the text says why."""


class UnfinishedRecordError(BadBytesError):
    """The process that wrote the record died in the middle of it: nobody was told that it stands.

    Attributes:
        size: Bytes that it would have.
    """

    def __init__(self, size: int) -> None:
        super().__init__("the record was not finished")
        self.size = size


@frozen
class SegmentHeader:
    """What stands at the beginning of a segment.

    Attributes:
        run: Random, the same in all segments of a run.
        number: Of the segment in its run, from 0.
        first_sequence: Sequence number of the first record that it may hold.
        chain: Chain value of the record before.
        created_ns: When it was made, in nanoseconds since the epoch.
    """

    run: bytes
    number: int
    first_sequence: int
    chain: bytes
    created_ns: int

    def to_bytes(self) -> bytes:
        """Write it."""
        packed = _HEADER.pack(
            MAGIC,
            VERSION,
            HEADER_BYTES,
            self.run,
            self.number,
            self.first_sequence,
            self.chain,
            self.created_ns,
        )
        return packed + _CRC.pack(zlib.crc32(packed))

    @classmethod
    def from_bytes(cls, data: bytes) -> "SegmentHeader":
        """Read it.

        Raises:
            BadBytesError: It is none, damaged, or of a version to come.
        """
        if len(data) < HEADER_BYTES or data[:8] != MAGIC:
            raise BadBytesError("no segment of a journal")
        packed = data[: _HEADER.size]
        _, version, size, run, number, first, chain, created_ns = _HEADER.unpack(packed)
        if version != VERSION or size != HEADER_BYTES:
            raise BadBytesError(f"format version {version}; this release reads {VERSION}")
        if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(packed):
            raise BadBytesError("the segment's header is damaged")
        return cls(run, number, first, chain, created_ns)


class Record(NamedTuple):  # made for each that is read, in a third of the time of a frozen class
    """A record as it stands in a segment, its checksum checked.

    Attributes:
        kind: ``EVENT``, ``CHECKPOINT``, or one that is not known.
        flags: ``ERASED`` or 0.
        sequence: Sequence number in its run.
        time_ns: Nanoseconds since the epoch.
        salt: Random.
        chain: Its chain value.
        head: What stays for ever.
        payload: What can be erased.
    """

    kind: int
    flags: int
    sequence: int
    time_ns: int
    salt: bytes
    chain: bytes
    head: bytes
    payload: bytes

    @property
    def erased(self) -> bool:
        """Whether its payload is gone."""
        return bool(self.flags & ERASED)

    @property
    def size(self) -> int:
        """Its bytes in the segment."""
        return RECORD_BYTES + len(self.head) + len(self.payload)

    def digest(self) -> bytes:
        """Give the digest of salt and payload, as they were."""
        if self.erased:
            return self.payload[:DIGEST_BYTES]
        return sha256(self.salt + self.payload).digest()

    def follows(self, chain: bytes) -> bool:
        """Tell whether it is what it was when it was written after *chain*."""
        packed = _CHAINED.pack(chain, self.kind, self.sequence, self.time_ns, self.digest())
        return self.chain == sha256(packed + self.head).digest()

    def to_bytes(self) -> bytes:
        """Write it."""
        fixed = _RECORD.pack(
            0,
            len(self.head),
            len(self.payload),
            self.kind,
            self.flags,
            self.sequence,
            self.time_ns,
            self.salt,
            self.chain,
        )
        rest = fixed[CHECKSUM_BYTES:] + self.head + self.payload
        return _CRC.pack(checksum_of(rest)) + rest


def new_record(
    before: bytes, kind: int, sequence: int, time_ns: int, salt: bytes, head: bytes, payload: bytes
) -> tuple[bytes, bytes]:
    """Write a record that follows the chain value *before*.

    Returns:
        Its bytes behind the checksum, and its chain value.
    """
    digest = sha256(salt + payload).digest()
    chain = sha256(_CHAINED.pack(before, kind, sequence, time_ns, digest) + head).digest()
    rest = _REST.pack(len(head), len(payload), kind, 0, sequence, time_ns, salt, chain)
    return rest + head + payload, chain


def gap_head(count: int) -> bytes:
    """Write the head of a ``GAP``: how many events were lost."""
    return b'{"count":%d}' % count


def gap_count(record: Record) -> int:
    """Read how many events a ``GAP`` accounts for.

    Raises:
        BadBytesError: Its head does not say.
    """
    found = _GAP_HEAD.fullmatch(record.head)
    if found is None:
        raise BadBytesError("a gap that does not say how many events it stands for")
    return int(found[1])


def record_at(data: bytes, offset: int) -> Record | None:
    """Read the record at *offset* of a segment.

    Returns:
        None where there is none: the rest is what was reserved and never written.

    Raises:
        UnfinishedRecordError: It has no checksum, which is written last.
        BadBytesError: What stands there is damaged.
    """
    try:
        checksum, heads, payloads, kind, flags, sequence, time_ns, salt, chain = (
            _RECORD.unpack_from(data, offset)
        )
    except struct.error:
        if any(data[offset:]):
            raise BadBytesError("the record is cut off") from None
        return None
    if not checksum:
        if not any(data[offset : offset + RECORD_BYTES]):
            return None
        if heads <= MAX_PART_BYTES and payloads <= MAX_PART_BYTES:
            raise UnfinishedRecordError(RECORD_BYTES + heads + payloads)
    if heads > MAX_PART_BYTES or payloads > MAX_PART_BYTES:
        raise BadBytesError(f"a record of {heads + payloads} bytes")
    size = _REST_BYTES + heads + payloads
    rest = data[offset + CHECKSUM_BYTES : offset + CHECKSUM_BYTES + size]
    if len(rest) < size:
        raise BadBytesError("the record is cut off")
    if checksum_of(rest) != checksum:
        raise BadBytesError("the record's checksum is wrong")
    end_of_head = _REST_BYTES + heads
    head, payload = rest[_REST_BYTES:end_of_head], rest[end_of_head:]
    return Record(kind, flags, sequence, time_ns, salt, chain, head, payload)


def checksum_of(rest: bytes) -> int:
    """Give the checksum of a record from what stands behind it: never 0, which says that the
    record is not finished.
    """
    return zlib.crc32(rest) or 1


def erased(record: Record) -> Record:
    """Give *record* without its salt and payload, as long as before.

    Its payload must have at least the bytes of a digest; the writer sees to that.
    """
    return record._replace(
        flags=record.flags | ERASED,
        salt=bytes(SALT_BYTES),
        payload=record.digest().ljust(len(record.payload), b"\0"),
    )
