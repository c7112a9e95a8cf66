"""Runs as messages of the stream, written by hand: whole, repeated, forged."""

import json
import os
from collections.abc import Iterable, Sequence

from attrs import evolve
from nats.js.client import JetStreamContext

from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    DIGEST_BYTES,
    EVENT,
    GAP,
    NOTE,
    Record,
    checksum_of,
    erased,
    gap_count,
    gap_head,
    new_record,
    record_at,
)
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import ID_HEADER, Head
from hypervisor_nats.names import subject_of
from tests.plugins.nats.servers import ask_server

Message = tuple[Head, bytes]
RUN = "20261128T101112.123456Z-" + "0f" * 16
BEGINNING = bytes(DIGEST_BYTES)
EPOCH_NS = 1_700_000_000_000_000_000
_BLANK = b" " * DIGEST_BYTES


class RunWriter:
    """Makes the records of a run, one behind the other."""

    def __init__(self, chain: bytes = BEGINNING, sequence: int = 0) -> None:
        self.chain, self.sequence = chain, sequence
        self.records: list[Record] = []

    def event(
        self,
        time_ns: int | None = None,
        payload: dict[str, object] | None = None,
        *,
        escaped: bool = False,
        **head: object,
    ) -> "RunWriter":
        values = {
            "event_id": f"{self.sequence:016x}",
            "event_type": "vfs.write",
            "session_id": None,
            "agent_did": "did:mesh:a",
            "causal_trace_id": None,
            "parent_event_id": None,
            **head,
        }
        written = json.dumps(values, separators=(",", ":"), ensure_ascii=escaped).encode()
        body = json.dumps(payload or {"number": self.sequence}).encode().ljust(DIGEST_BYTES)
        at = EPOCH_NS + self.sequence if time_ns is None else time_ns
        return self._write(EVENT, written, body, at, 1)

    def gap(self, count: int) -> "RunWriter":
        return self._write(GAP, gap_head(count), _BLANK, EPOCH_NS, count)

    def note(self) -> "RunWriter":
        return self._write(NOTE, b'{"clock_step":1.0}', _BLANK, EPOCH_NS, 0)

    def erase_last(self) -> "RunWriter":
        self.records[-1] = erased(self.records[-1])
        return self

    def _write(self, kind: int, head: bytes, payload: bytes, at: int, numbers: int) -> "RunWriter":
        salt = os.urandom(16)
        rest, self.chain = new_record(self.chain, kind, self.sequence, at, salt, head, payload)
        record = record_at(checksum_of(rest).to_bytes(CHECKSUM_BYTES, "little") + rest, 0)
        assert record is not None
        self.records.append(record)
        self.sequence += numbers
        return self


def events(count: int, writer: RunWriter | None = None) -> list[Record]:
    """Give the records of a run of so many events."""
    writer = writer or RunWriter()
    for _ in range(count):
        writer.event()
    return writer.records


def numbers_of(record: Record) -> int:
    """Give how many sequence numbers a record takes."""
    return gap_count(record) if record.kind == GAP else int(record.kind == EVENT)


def message(
    records: Sequence[Record],
    *,
    first: int = 0,
    chain: bytes = BEGINNING,
    run: str = RUN,
    ended: bool = False,
) -> Message:
    """Make a message of *records*, which follow the number and the chain value before them."""
    following, then = first, chain
    for record in records:
        if numbers_of(record):
            following, then = record.sequence + numbers_of(record), record.chain
    times = [record.time_ns for record in records if record.kind == EVENT]
    head = Head(
        run=run,
        first=records[0].sequence if records else first,
        next=following,
        count=len(times),
        chain=chain,
        then=then,
        from_ns=min(times, default=0),
        until_ns=max(times, default=0),
        ended=ended,
    )
    return head, b"".join(record.to_bytes() for record in records)


def messages_of(
    records: Sequence[Record], cuts: Iterable[int] = (), *, run: str = RUN, ended: bool = True
) -> list[Message]:
    """Split a run into messages: behind the records at *cuts* that take a number."""
    ends = sorted({cut + 1 for cut in cuts if numbers_of(records[cut])} | {len(records)})
    found: list[Message] = []
    start, first, chain = 0, 0, BEGINNING
    for end in ends:
        last = ended and end == len(records)
        made = message(records[start:end], first=first, chain=chain, run=run, ended=last)
        found.append(made)
        start, first, chain = end, made[0].next, made[0].then
    return found


def forged(made: Message, at: int, payload: bytes) -> Message:
    """Give a message with another payload in its record *at*, its checksum made right."""
    head, data = made
    records = records_in(data)
    records[at] = records[at]._replace(payload=payload.ljust(len(records[at].payload)))
    return head, b"".join(record.to_bytes() for record in records)


def records_in(data: bytes) -> list[Record]:
    found: list[Record] = []
    offset = 0
    while offset < len(data):
        record = record_at(data, offset)
        assert record is not None
        found.append(record)
        offset += record.size
    return found


def renamed(made: Message, run: str) -> Message:
    """Give a message of another run with the same records."""
    return evolve(made[0], run=run), made[1]


def publish(
    config: NatsConfig,
    *messages: Message,
    service: str = "svc",
    partitions: int = 4,
    identified: bool = False,
) -> None:
    """Publish messages, one after the other, as a shipper does.

    :param identified: Whether the server can recognize and refuse a repeat.
    """

    async def send(jetstream: JetStreamContext) -> None:
        for head, data in messages:
            subject = subject_of(config.subject, service, head.run, partitions)
            headers = head.to_headers()
            if not identified:
                del headers[ID_HEADER]
            await jetstream.publish(subject, data, headers=headers)

    ask_server(config, send)


def delete(config: NatsConfig, sequence: int) -> None:
    """Take a message out of the stream."""

    async def remove(jetstream: JetStreamContext) -> None:
        await jetstream.delete_msg(config.stream, sequence)

    ask_server(config, remove)
