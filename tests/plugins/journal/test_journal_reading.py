"""What a reader makes of a journal, whatever was done to it."""

import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_journal.format import frames
from hypervisor_journal.format.encoding import BadEventError, EventEncoder, event_of
from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    EVENT,
    HEADER_BYTES,
    BadBytesError,
    Record,
    SegmentHeader,
    UnfinishedRecordError,
    new_record,
    record_at,
)
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event import raw_payload
from hypervisor_observability.gate import Gate

SEGMENT = 65_536
SEED = 20261126


def make_event(number: int) -> HypervisorEvent:
    return HypervisorEvent(
        event_id=f"{number:016x}",
        event_type=EventType.VFS_WRITE,
        agent_did="did:mesh:a",
        payload={"number": number},
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Of 600 events in three segments, closed."""
    writer = JournalWriter(tmp_path / "journal", segment_bytes=SEGMENT)
    for number in range(600):
        writer.append(make_event(number), lambda _: None)
    writer.close()
    (run,) = runs_of(tmp_path / "journal")
    assert len(run.segments()) == 3
    return run


def encoders() -> tuple[EventEncoder, EventEncoder]:
    """One that uses msgspec, where that is installed, and one that does not."""
    with mock.patch.dict(sys.modules, {"msgspec": None}):
        without = EventEncoder()
    return EventEncoder(), without


def small_run(directory: Path, count: int = 8) -> Run:
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in range(count):
        writer.append(make_event(number), lambda _: None)
    writer.close()
    (run,) = runs_of(directory)
    return run


def read(run: Run) -> tuple[list[int], list[Damage]]:
    damages: list[Damage] = []
    found = []
    for record in RunReader(run, damages.append).records(0):
        event = event_of(record)
        assert event == make_event(record.sequence)
        assert event.payload == {"number": record.sequence}
        found.append(record.sequence)
    return found, damages


def offsets(path: Path) -> list[int]:
    return [offset for offset, _ in SegmentReader(path).records()]


# The format, by its page alone


def second_reader(run: Path) -> Iterator[dict[str, Any]]:
    """Written from docs/journal-format.md, to be its oracle."""
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


HEAD = EventEncoder().parts_of(make_event(0))[0]


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
    run = small_run(tmp_path)
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


# Damage


@pytest.mark.slow
@pytest.mark.fault("J9")
def test_no_flipped_bit_is_taken_for_what_was_written(run: Run) -> None:
    dice = random.Random(SEED)
    whole = {path: path.read_bytes() for _, path in run.segments()}
    for _ in range(400):
        path = dice.choice(list(whole))
        data = bytearray(whole[path])
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        found, _ = read(run)

        assert found == sorted(set(found))
        assert verify(run).verdict is Verdict.BAD
        path.write_bytes(whole[path])
    assert read(run) == (list(range(600)), [])


@pytest.mark.fault("J9")
def test_file_that_ends_at_any_byte_is_read_up_to_there(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    path = run.segment_path(0)
    data = path.read_bytes()
    starts = [*offsets(path), len(data)]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        found, _ = read(run)
        whole = sum(end <= length for end in starts[1:])
        assert found == list(range(whole if length >= HEADER_BYTES else 0))


@pytest.mark.fault("J9")
@pytest.mark.parametrize("tail", [bytes(5_000), b"\0" * 79, b"garbage" * 100, b"\xff" * 5_000])
def test_tails_of_zeros_are_room_and_others_damage(tmp_path: Path, tail: bytes) -> None:
    run = small_run(tmp_path)
    with run.segment_path(0).open("ab") as file:
        file.write(tail)
    found, damages = read(run)

    assert found == list(range(8))
    assert bool(damages) == any(tail)
    assert (verify(run).verdict is Verdict.BAD) == any(tail)
    if damages:
        assert f"{run.segment_path(0)}, byte " in str(damages[0])
        assert "sequence 8: " in str(damages[0])


@pytest.mark.fault("J9")
def test_unfinished_record_is_an_end_and_damage_only_where_more_follows(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    last = offsets(path)[-1]
    data[last : last + CHECKSUM_BYTES] = bytes(CHECKSUM_BYTES)
    path.write_bytes(data)
    assert read(run) == (list(range(7)), [])
    assert verify(run).verdict is Verdict.UNANCHORED
    middle = offsets(path)[3]
    data[middle : middle + CHECKSUM_BYTES] = bytes(CHECKSUM_BYTES)
    path.write_bytes(data)
    found, (damage,) = read(run)
    assert (found, damage.sequence) == ([0, 1, 2], 3)
    assert verify(run).bad_sequence == 3
    with pytest.raises(UnfinishedRecordError, match="not finished"):
        record_at(bytes(data), middle)


@pytest.mark.fault("J10")
@pytest.mark.parametrize(
    "length", [0xFFFFFFFF, 0x80000000, 1 << 21, (1 << 20) + 1], ids=lambda value: f"{value:x}"
)
def test_length_that_no_record_has_is_refused_at_once(tmp_path: Path, length: int) -> None:
    run = small_run(tmp_path)
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, offsets(path)[2] + 8, length)
    path.write_bytes(data)
    found, (damage,) = read(run)

    assert found == [0, 1]
    assert "a record of" in damage.reason


@pytest.mark.fault("J10")
@pytest.mark.fault("J18")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "no segment of a journal"),
        (lambda data: b"other\r\n\0" + data[8:], "no segment of a journal"),
        (lambda data: data[:8] + b"\2\0" + data[10:], "format version 2; this release reads 1"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "header is damaged"),
        (lambda data: data[:50], "no segment of a journal"),
    ],
)
def test_file_that_is_no_segment_is_passed_over_and_named(
    run: Run, change: Callable[[bytes], bytes], message: str
) -> None:
    path = run.segment_path(1)
    path.write_bytes(change(path.read_bytes()))
    found, _ = read(run)

    assert 0 in found
    assert 599 in found
    assert len(found) < 600
    assert message in verify(run).reason


@pytest.mark.fault("J10")
@pytest.mark.fault("J8")
def test_what_is_no_regular_file_is_left_alone(run: Run, tmp_path: Path) -> None:
    os.mkfifo(run.segment_path(7))
    run.segment_path(8).mkdir()
    (tmp_path / "target").write_bytes(run.segment_path(0).read_bytes())
    run.segment_path(9).symlink_to(tmp_path / "target")
    (run.path / "notes.txt").write_text("foreign")
    (run.path.parent / "folder").mkdir()
    (run.path.parent / "file").write_text("foreign")
    (run.path.parent / "link-20261126").symlink_to(run.path)

    assert list(runs_of(run.path.parent)) == [run]
    assert read(run)[0] == list(range(600))
    assert list(runs_of(tmp_path / "nowhere")) == []
    with pytest.raises(ValueError, match="is no run of a journal"):
        _ = Run(tmp_path / "folder").id
    assert not Run(tmp_path).is_alive()


@pytest.mark.fault("J18")
def test_unknown_kinds_are_skipped_where_they_say_so(tmp_path: Path) -> None:
    run = small_run(tmp_path, 2)
    path = run.segment_path(0)
    records = [record for _, record in SegmentReader(path).records()]
    header = path.read_bytes()[:HEADER_BYTES]
    reasons = []
    for kind, verdict in ((200, Verdict.UNANCHORED), (7, Verdict.BAD)):
        rest, chain = new_record(
            records[-1].chain, kind, 2, records[-1].time_ns, b"s" * 16, b"{}", b" " * 32
        )
        extra = Record(kind, 0, 2, records[-1].time_ns, b"s" * 16, chain, b"{}", b" " * 32)
        assert extra.to_bytes()[CHECKSUM_BYTES:] == rest
        path.write_bytes(header + b"".join(one.to_bytes() for one in (*records, extra)))

        assert read(run)[0] == [0, 1]
        found = verify(run)
        assert found.verdict is verdict
        reasons.append(found.reason)
    assert "unknown kind 7" in reasons[1]


# Tampering


def rewritten(path: Path, change: Callable[[list[Record]], list[Record]]) -> None:
    """Change the records of a segment, their checksums made right again."""
    records = [record for _, record in SegmentReader(path).records()]
    header = path.read_bytes()[:HEADER_BYTES]
    path.write_bytes(header + b"".join(record.to_bytes() for record in change(records)))


@pytest.mark.fault("J12")
def test_first_record_that_was_tampered_with_is_named(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    run = small_run(tmp_path, 30)
    path = run.segment_path(0)
    whole = path.read_bytes()

    def edit(records: list[Record], at: int) -> list[Record]:
        old = records[at]
        payload = old.payload.replace(b"number", b"nunber")
        records[at] = Record(
            old.kind, old.flags, old.sequence, old.time_ns, old.salt, old.chain, old.head, payload
        )
        return records

    def swap(records: list[Record], at: int) -> list[Record]:
        records[at], records[at + 1] = records[at + 1], records[at]
        return records

    changes: dict[str, Callable[[list[Record], int], list[Record]]] = {
        "edit": edit,
        "delete": lambda records, at: records[:at] + records[at + 1 :],
        "repeat": lambda records, at: records[: at + 1] + records[at:],
        "swap": swap,
    }
    for name, change in changes.items():
        for _ in range(75):
            at = dice.randrange(28)
            rewritten(path, lambda records, at=at, change=change: change(records, at))  # type: ignore[misc]  # bound now
            found = verify(run)

            expected = at + 1 if name == "repeat" else at
            assert (found.verdict, found.bad_sequence) == (Verdict.BAD, expected), name
            path.write_bytes(whole)
    assert verify(run).verdict is Verdict.UNANCHORED


@pytest.mark.fault("J12")
def test_segments_that_were_removed_or_moved_are_named(run: Run) -> None:
    paths = [path for _, path in run.segments()]
    middle = paths[1].read_bytes()
    paths[1].unlink()
    assert "segment 1 is missing" in verify(run).reason
    paths[1].write_bytes(paths[2].read_bytes())
    assert "the segment belongs elsewhere" in verify(run).reason
    paths[1].write_bytes(middle)
    paths[0].unlink()  # by retention, perhaps: what is there is proven by itself
    found = verify(run)
    assert found.verdict is Verdict.UNANCHORED
    assert found.bad_sequence is None


def anchor_at(run: Run, sequence: int) -> Anchor:
    for record in RunReader(run).records(0):
        if record.sequence == sequence - 1:
            return Anchor(run.id.hex(), sequence, record.chain.hex())
    raise AssertionError(sequence)


@pytest.mark.fault("J13")
def test_chain_that_was_written_anew_is_caught_by_an_anchor_alone(run: Run) -> None:
    anchors = [anchor_at(run, 100), anchor_at(run, 600), Anchor("00" * 16, 5, "00")]
    assert verify(run, anchors).verdict is Verdict.PROVEN
    chain = bytes(32)
    for _, path in run.segments():
        records = [record for _, record in SegmentReader(path).records()]
        header = SegmentHeader.from_bytes(path.read_bytes()[:HEADER_BYTES])
        first = chain
        forged = b""
        for record in records:
            payload = record.payload.replace(b"number", b"nunber")
            rest, chain = new_record(
                chain, EVENT, record.sequence, record.time_ns, record.salt, record.head, payload
            )
            forged += struct.pack("<I", frames.checksum_of(rest)) + rest
        new_header = SegmentHeader(
            header.run, header.number, header.first_sequence, first, header.created_ns
        )
        path.write_bytes(new_header.to_bytes() + forged)

    assert verify(run).verdict is Verdict.UNANCHORED
    found = verify(run, anchors)
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 99)
    assert "written anew" in found.reason


@pytest.mark.fault("J14")
def test_end_that_was_cut_off_is_caught_by_an_anchor(run: Run) -> None:
    anchors = [anchor_at(run, 600)]
    last = run.segments()[-1][1]
    rewritten(last, lambda records: records[:-3])
    found = verify(run, anchors)
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 597)
    assert "before the anchor at 600" in found.reason
    last.unlink()
    assert verify(run, anchors).verdict is Verdict.BAD
    assert verify(run).verdict is Verdict.UNANCHORED


# Size


BIG = """
import sys
from pathlib import Path

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.proof.verification import verify
from hypervisor_journal.writing.writer import JournalWriter

directory, what = Path(sys.argv[1]), sys.argv[2]
if what == "write":
    writer = JournalWriter(directory, segment_bytes=65_536)
    for number in range(100_000):
        event = HypervisorEvent(
            event_type=EventType.VFS_WRITE, payload={"number": number, "text": "x" * 640}
        )
        writer.append(event, lambda event: None)
    writer.close()
elif what == "verify":
    (run,) = runs_of(directory)
    print(verify(run).verdict.value, verify(run).events, len(run.segments()))
else:
    opened = []
    sys.addaudithook(lambda name, args: name == "open" and opened.append(str(args[0])))
    writer = JournalWriter(directory, segment_bytes=65_536)
    writer.append(HypervisorEvent(event_type=EventType.VFS_WRITE), lambda event: None)
    writer.close()
    print(len([path for path in opened if path.endswith(".hvj")]), len(list(runs_of(directory))))
# ru_maxrss would be that of the parent, where it was more.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.fault("J17")
@pytest.mark.slow
def test_big_journal_is_verified_in_little_memory_and_opened_without_being_read(
    tmp_path: Path,
) -> None:
    def run(what: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", BIG, str(tmp_path), what],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        return done.stdout.split()

    run("write")
    verdict, events, segments, kibibytes = run("verify")
    assert (verdict, events) == ("unanchored", "100000")
    assert int(segments) > 1_000
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.hvj"))
    assert size > 80 * 1024 * 1024
    assert int(kibibytes) <= 64 * 1024
    read, runs, kibibytes = run("append")
    assert (read, runs) == ("0", "2")
    assert int(kibibytes) <= 64 * 1024


def test_records_longer_than_what_is_read_at_once_are_given_whole(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    sizes = [dice.choice((0, 10, 130_000, 262_000, 900_000)) for _ in range(40)]
    writer = JournalWriter(tmp_path, segment_bytes=4 * 1024 * 1024)
    for number, size in enumerate(sizes):
        texts = ["x" * 16_000 for _ in range(size // 16_000)]
        event = HypervisorEvent(
            event_type=EventType.VFS_WRITE,
            payload={"number": number, "texts": texts, "rest": "x" * (size % 16_000)},
        )
        writer.append(event, lambda _: None)
    writer.close()
    (run,) = runs_of(tmp_path)
    records = list(RunReader(run).records(0))
    assert [event_of(record).payload["number"] for record in records] == list(range(40))
    for _, path in run.segments():
        found = list(SegmentReader(path).records())
        again = SegmentReader(path).records_at([offset for offset, _ in found])
        assert list(again) == [record for _, record in found]


# Following


def test_reader_follows_a_run_that_is_being_written(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    writer.open()
    (run,) = runs_of(tmp_path)
    reader = RunReader(run)
    assert reader.bounds == (0, 0)
    position = 0
    for number in range(1_000):
        writer.append(make_event(number), lambda _: None)
        if number % 7 == 0:
            reading = reader.read(position, 5)
            assert [event.payload["number"] for event in reading.events] == list(
                range(position, min(position + 5, number + 1))
            )
            position = reading.next_position
    assert reader.bounds == (0, 1_000)
    writer.close()


def test_reading_from_where_nothing_is_gives_nothing(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    reader = RunReader(run)
    assert reader.read(8, 5).events == []
    assert reader.read(100, 5).events == []
    run.segment_path(0).unlink()
    assert reader.read(3, 5).events == []
    assert RunReader(run).bounds == (0, 0)


def test_header_is_what_is_read_back() -> None:
    header = SegmentHeader(bytes(range(16)), 3, 4, b"c" * 32, 5)
    assert SegmentHeader.from_bytes(header.to_bytes()) == header
    with pytest.raises(BadBytesError):
        SegmentHeader.from_bytes(header.to_bytes()[:-1])
