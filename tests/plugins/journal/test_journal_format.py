"""The format is what its page says, and events are what is read back."""

import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_journal.format.encoding import BadEventError, EventEncoder, event_of
from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    EVENT,
    BadBytesError,
    Record,
    SegmentHeader,
    new_record,
    record_at,
)
from hypervisor_journal.proof import erasure
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.directory import BESIDE_RUNS
from hypervisor_journal.runs.runs import LOCK_NAME, Run
from hypervisor_journal.streams.rests import CURSORS
from hypervisor_journal.writing.segment_files import AHEAD, COPY, NEXT
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event import raw_payload
from hypervisor_observability.gate import Gate
from tests.plugins.journal.journals import (
    numbered,
    offsets,
    write_run,
)

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "journal-format.md"
FILES = (NEXT, AHEAD, COPY)


def encoders() -> tuple[EventEncoder, EventEncoder]:
    """One that uses msgspec, where that is installed, and one that does not."""
    with mock.patch.dict(sys.modules, {"msgspec": None}):
        without = EventEncoder()
    return EventEncoder(), without


# The format, by its page alone


def second_reader(run: Path) -> Iterator[dict[str, Any]]:
    """Written from docs/reference/journal-format.md, to be its oracle."""
    segments = []
    for path in sorted(run.glob("*.hvj")):
        data = path.read_bytes()
        magic, version, size, _, number, first, chain, _ = struct.unpack_from(
            "<8sHH4x16sQQ32sq", data
        )
        (crc,) = struct.unpack_from("<I", data, 88)
        assert (magic, version, size, crc) == (b"hvjrnl\r\n", 1, 92, zlib.crc32(data[:88]))
        assert number == int(path.stem)
        segments.append((first, data, chain))
    for place, (_, data, first_chain) in enumerate(segments):
        chain = first_chain
        end, offset = min([first for first, *_ in segments[place + 1 :]], default=1 << 64), 92
        while offset + 80 <= len(data) and any(data[offset : offset + 80]):
            crc, heads, payloads, kind, flags, sequence, time_ns, salt, link = struct.unpack_from(
                "<IIIBB2xQq16s32s", data, offset
            )
            stop = offset + 80 + heads + payloads
            assert crc == (zlib.crc32(data[offset + 4 : stop]) or 1)
            head, payload = data[offset + 80 : offset + 80 + heads], data[stop - payloads : stop]
            digest = payload[:32] if flags & 1 else sha256(salt + payload).digest()
            packed = struct.pack("<32sB7xQq32s", chain, kind, sequence, time_ns, digest)
            assert link == sha256(packed + head).digest()
            offset, chain = stop, link
            if sequence < end:
                body = {} if flags & 1 else json.loads(payload)
                yield {**json.loads(head), "payload": body, "time": time_ns, "sequence": sequence}


def test_second_reader_written_from_the_page_reads_the_same(run: Run) -> None:
    erase(run, lambda event: event.payload["number"] % 7 == 0)
    ours = [
        {
            **{name: value for name, value in event_of(record).to_dict().items()
               if name != "timestamp"},
            "time": record.time_ns,
            "sequence": record.sequence,
        }
        for record in RunReader(run).records(0)
    ]  # fmt: skip
    assert list(second_reader(run.path)) == ours
    assert sum(not entry["payload"] for entry in ours) == 86


# Encoding

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(st.characters(exclude_categories=()))
)
payloads = st.dictionaries(
    st.text(st.characters(exclude_categories=()), max_size=5),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    max_size=5,
)
ids = st.none() | st.text(st.characters(exclude_categories=()), max_size=8)


@given(payloads, ids, ids, st.integers(-(10**15), 10**15))
def test_event_is_what_is_read_back(
    payload: dict[str, Any], session: str | None, agent: str | None, microseconds: int
) -> None:
    admitted = Gate(enabled=False).admit(
        HypervisorEvent(
            event_type=EventType.custom("acme.paid"),
            timestamp=microseconds / 1e6,
            session_id=session,
            agent_did=agent,
            payload=payload,
        )
    )
    first, second = encoders()
    for encoder in (first, second, first):
        head, body = encoder.parts_of(admitted)
        rest, chain = new_record(b"\0" * 32, EVENT, 0, admitted.timestamp_ns, b"s" * 16, head, body)
        record = Record(EVENT, 0, 0, admitted.timestamp_ns, b"s" * 16, chain, head, body)
        assert len(body) >= 32
        assert record.follows(b"\0" * 32)
        assert record.to_bytes()[CHECKSUM_BYTES:] == rest
        assert event_of(record).to_dict() == admitted.to_dict()
        assert event_of(record).timestamp_ns == admitted.timestamp_ns


def test_encoder_forgets_names_before_they_are_too_many() -> None:
    encoder = EventEncoder()
    for number in range(12_000):
        event = HypervisorEvent(agent_did=f"agent-{number}")
        assert json.loads(encoder.parts_of(event)[0])["agent_did"] == f"agent-{number}"
    assert len(encoder._quoted) <= 10_003


@pytest.mark.parametrize("payload", [{"x": float("nan")}, {"x": [{"y": float("-inf")}]}])
def test_what_json_cannot_say_is_refused(payload: dict[str, object]) -> None:
    event = HypervisorEvent(payload=payload)
    for encoder in encoders():
        with pytest.raises(ValueError, match="JSON"):
            encoder.parts_of(event)


def test_payload_of_plain_values_comes_to_the_encoder_as_it_is() -> None:
    assert type(raw_payload(HypervisorEvent(payload={"x": float("nan")}))) is dict


def test_what_msgspec_cannot_write_is_written_without() -> None:
    event = HypervisorEvent(payload={"x": [10**30, None]})
    for encoder in encoders():
        assert json.loads(encoder.parts_of(event)[1]) == {"x": [10**30, None]}


def record_of(head: bytes, payload: bytes, **fields: Any) -> Record:
    values = {
        "kind": EVENT, "flags": 0, "sequence": 0, "time_ns": 1, "salt": b"", "chain": b"", **fields
    }  # fmt: skip
    return Record(head=head, payload=payload, **values)


HEAD = EventEncoder().parts_of(numbered(0))[0]


@pytest.mark.fault("J11")
@pytest.mark.parametrize(
    ("head", "payload", "message"),
    [
        (HEAD, b"[" * 2_000 + b"]" * 2_000, "nested too deeply"),
        (HEAD, b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deeply"),
        (HEAD, b'{"a": NaN}', "NaN"),
        (HEAD, b'{"a": -Infinity}', "Infinity"),
        (HEAD, b'{"a": ' + b"9" * 10_000 + b"}", "no JSON"),
        (HEAD, b'{"a": 1', "no JSON"),
        (HEAD, b"\xff", "no JSON"),
        (HEAD, b"[]", "no object"),
        (b"[]", b"{}", "other keys"),
        (b"{}", b"{}", "other keys"),
        (HEAD.replace(b'"vfs.write"', b"5"), b"{}", "no string"),
        (HEAD.replace(b'"did:mesh:a"', b"5"), b"{}", "neither a string nor null"),
    ],
)
def test_valid_record_that_holds_no_event_is_refused(
    head: bytes, payload: bytes, message: str
) -> None:
    with pytest.raises(BadEventError, match=message):
        event_of(record_of(head, payload))


@pytest.mark.fault("J11")
def test_brackets_in_text_are_no_depth() -> None:
    payload = json.dumps({"a": "[{" * 500, "b": '\\"[' * 100}).encode()
    assert event_of(record_of(HEAD, payload)).payload["a"] == "[{" * 500


@pytest.mark.fault("J11")
def test_reading_goes_on_behind_a_record_that_holds_no_event(tmp_path: Path) -> None:
    run = write_run(tmp_path, range(8))[0]
    path = run.segment_path(0)
    data = path.read_bytes()
    _, third = [offset for offset in offsets(path) if offset][1:3]
    record = record_at(data, third)
    assert record is not None
    payload = b'{"a":' + b"9" * (len(record.payload) - 6) + b"]"
    bad = Record(EVENT, 0, 2, record.time_ns, record.salt, record.chain, record.head, payload)
    path.write_bytes(data[:third] + bad.to_bytes() + data[third + record.size :])
    reader = RunReader(run)

    first = reader.read(0, 100)
    rest = reader.read(2, 100)
    assert [event.payload["number"] for event in first.events] == [0, 1]
    assert [event.payload["number"] for event in rest.events] == [3, 4, 5, 6, 7]
    assert (rest.position, rest.skipped) == (3, 1)


def test_header_is_what_is_read_back() -> None:
    header = SegmentHeader(bytes(range(16)), 3, 4, b"c" * 32, 5)
    assert SegmentHeader.from_bytes(header.to_bytes()) == header
    with pytest.raises(BadBytesError):
        SegmentHeader.from_bytes(header.to_bytes()[:-1])


def test_page_names_every_file_of_a_journals_directory() -> None:
    page = PAGE.read_text("utf-8")
    of_runs = {LOCK_NAME, CURSORS, erasure._UNFINISHED, *(f"{name}.new" for name in FILES)}
    for name in BESIDE_RUNS | of_runs:
        assert re.search(rf"`{re.escape(name)}[`/]", page), name
