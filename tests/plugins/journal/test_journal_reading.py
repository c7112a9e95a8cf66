"""What a reader makes of a journal that is damaged, or being written."""

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    HEADER_BYTES,
    Record,
    UnfinishedRecordError,
    new_record,
    record_at,
)
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from tests.plugins.journal.journals import SEED, SEGMENT, numbered, offsets, write_run


def read(run: Run) -> tuple[list[int], list[Damage]]:
    damages: list[Damage] = []
    found = []
    for record in RunReader(run, damages.append).records(0):
        event = event_of(record)
        assert event == numbered(record.sequence)
        assert event.payload == {"number": record.sequence}
        found.append(record.sequence)
    return found, damages


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
    run = write_run(tmp_path, range(8))[0]
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
    run = write_run(tmp_path, range(8))[0]
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
    run = write_run(tmp_path, range(8))[0]
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
    run = write_run(tmp_path, range(8))[0]
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
    run = write_run(tmp_path, range(2))[0]
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
        writer.append(numbered(number), lambda _: None)
        if number % 7 == 0:
            reading = reader.read(position, 5)
            assert [event.payload["number"] for event in reading.events] == list(
                range(position, min(position + 5, number + 1))
            )
            position = reading.next_position
    assert reader.bounds == (0, 1_000)
    writer.close()


def test_reading_from_where_nothing_is_gives_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path, range(8))[0]
    reader = RunReader(run)
    assert reader.read(8, 5).events == []
    assert reader.read(100, 5).events == []
    run.segment_path(0).unlink()
    assert reader.read(3, 5).events == []
    assert RunReader(run).bounds == (0, 0)
