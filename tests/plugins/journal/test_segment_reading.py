"""How a segment ends: what is damage, what a killed process left, and what only the system says."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_journal.format.frames import CHECKSUM_BYTES, HEADER_BYTES, RECORD_BYTES
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from tests.commands import run_hvobs
from tests.plugins.journal.journals import SEGMENT, End, offsets, write_run

EVENTS = 8
REAL_PREAD = os.pread


def write(directory: Path, count: int = EVENTS, *, text: str = "", close: bool = True) -> Run:
    end: End = "closed" if close else "killed"
    return write_run(directory, range(count), end=end, text=text)[0]


def damages_of(run: Run) -> list[Damage]:
    damages: list[Damage] = []
    for _ in RunReader(run, damages.append).records(0):
        pass
    return damages


def expect_sound(run: Run, events: int, *, torn: bool) -> None:
    found = verify(run)
    assert (found.verdict, found.events, found.torn) == (Verdict.UNANCHORED, events, torn)
    notices: list[str] = []
    history = JournalHistory(run.path.parent, notices.append)
    assert [entry.sequence for entry in history.events()] == list(range(events))
    assert (notices, len(history.torn)) == ([], torn)
    assert damages_of(run) == []


def expect_damage(run: Run, path: Path, offset: int) -> None:
    assert verify(run).verdict is Verdict.BAD
    notices: list[str] = []
    list(JournalHistory(run.path.parent, notices.append).events())
    assert len(notices) == 1
    assert f"{path}, byte {offset}" in notices[0]


# What a killed process leaves


@pytest.mark.fault("J23")
@pytest.mark.parametrize("room", [0, 10_000], ids=["trimmed", "untrimmed"])
def test_record_whose_storing_ended_at_any_byte_is_torn_and_no_damage(
    tmp_path: Path, room: int
) -> None:
    run = write(tmp_path)
    path = run.segment_path(0)
    data = path.read_bytes()
    last = offsets(path)[-1]
    size = len(data) - last
    for stored in range(1, size - CHECKSUM_BYTES + 1):
        # Forwards, and backwards: a copy of memory may begin at either end.
        for begin in (CHECKSUM_BYTES, size - stored):
            record = bytearray(size)
            record[begin : begin + stored] = data[last + begin : last + begin + stored]
            path.write_bytes(data[:last] + record + bytes(room))
            reader = SegmentReader(path)
            assert len(list(reader.records())) == EVENTS - 1
            assert reader.damage is None
            assert (reader.torn is not None) == any(record)
    expect_sound(run, EVENTS - 1, torn=True)


@pytest.mark.fault("J23")
@pytest.mark.parametrize("command", ["query", "tree", "report"])
def test_torn_end_makes_no_command_fail(tmp_path: Path, command: str) -> None:
    run = write(tmp_path)
    path = run.segment_path(0)
    data = path.read_bytes()
    last = offsets(path)[-1]
    path.write_bytes(data[:last] + bytes(CHECKSUM_BYTES) + data[last + CHECKSUM_BYTES : -20])

    found = run_hvobs(command, "--journal", tmp_path)
    assert found.exit_code == 0, found.output
    assert found.stderr.count("the process was killed") == 1

    told = run_hvobs("journal", "verify", "--journal", tmp_path)
    assert told.exit_code == 3
    assert "torn at the end" in told.output


@pytest.mark.fault("J23")
def test_torn_record_before_another_segment_is_no_damage(tmp_path: Path) -> None:
    run = write(tmp_path, 300, text="x" * 200)
    first = run.segment_path(0)
    begun = bytes(CHECKSUM_BYTES) + first.read_bytes()[-200:]
    with first.open("ab") as file:
        file.write(begun)
    expect_sound(run, 300, torn=False)


@pytest.mark.fault("J23")
@pytest.mark.parametrize("number", range(200, 230))
def test_note_at_the_end_of_a_segment_belongs_to_it(tmp_path: Path, number: int) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    for count in range(300):
        event = HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"text": "x" * 60})
        writer.append(event, lambda _: None)
        if count >= number:
            writer.note(step_seconds=1.0)
    writer.close()
    (run,) = runs_of(tmp_path)
    assert len(run.segments()) == 2
    expect_sound(run, 300, torn=False)


@pytest.mark.fault("J23")
@pytest.mark.parametrize("torn", [False, True])
def test_records_missing_before_another_segment_are_damage(tmp_path: Path, torn: bool) -> None:
    run = write(tmp_path, 300, text="x" * 200)
    first = run.segment_path(0)
    data, offset = first.read_bytes(), offsets(first)[-1]
    rest = bytes(CHECKSUM_BYTES) + data[offset + CHECKSUM_BYTES :] if torn else b""
    first.write_bytes(data[:offset] + rest)
    expect_damage(run, first, offset)
    assert len(damages_of(run)) == 1


@pytest.mark.fault("J23")
def test_segment_missing_in_the_middle_is_damage(tmp_path: Path) -> None:
    run = write(tmp_path, 600, text="x" * 200)
    assert len(run.segments()) > 2
    run.segment_path(1).unlink()
    (damage,) = damages_of(run)
    assert damage.path == run.segment_path(0)
    assert "are missing" in damage.reason
    assert run_hvobs("query", "--journal", tmp_path).exit_code == 1


@pytest.mark.fault("J23")
def test_segment_that_the_machine_did_not_live_to_fill_is_torn(tmp_path: Path) -> None:
    run = write(tmp_path)
    run.segment_path(1).write_bytes(bytes(SEGMENT))
    found = verify(run)
    assert (found.verdict, found.events, found.torn) == (Verdict.UNANCHORED, EVENTS, True)
    assert damages_of(run) == []


KILLED = """
import sys
from pathlib import Path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.writing.writer import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), segment_bytes=262_144)
event = HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"text": "a" * 200})
print("ready", flush=True)
while True:
    writer.append(event, lambda _: None)
"""


@pytest.mark.fault("J23")
@pytest.mark.fault("J9")
@pytest.mark.slow
def test_no_query_fails_after_kills_at_any_moment(tmp_path: Path) -> None:
    for _ in range(25):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            with process.stdout as ready:
                ready.readline()
            while not any(run.segment_path(0).exists() for run in runs_of(tmp_path)):
                assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        for run in runs_of(tmp_path):
            assert verify(run).verdict is Verdict.UNANCHORED
        found = run_hvobs("query", "--journal", tmp_path, "--limit", "1", "--no-index")
        assert found.exit_code == 0, found.stderr
        for run in list(runs_of(tmp_path)):
            run.remove()


# Damage


@pytest.mark.fault("J23")
@pytest.mark.parametrize("size", [RECORD_BYTES, 4_096, 400_000])
def test_zeros_in_the_middle_are_damage(tmp_path: Path, size: int) -> None:
    run = write(tmp_path)
    path = run.segment_path(0)
    data, starts = path.read_bytes(), offsets(path)
    path.write_bytes(data[: starts[3]] + bytes(size) + data[starts[3] :] + bytes(100_000))
    expect_damage(run, path, starts[3])


@pytest.mark.fault("J23")
def test_what_no_unfinished_record_can_explain_is_damage(tmp_path: Path) -> None:
    run = write(tmp_path)
    path = run.segment_path(0)
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(CHECKSUM_BYTES) + b"x" * 3_000_000)
    expect_damage(run, path, end)


@pytest.mark.fault("J23")
@pytest.mark.parametrize("place", [0, 20, 90])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_damaged_header_is_told_with_file_and_byte(tmp_path: Path, number: int, place: int) -> None:
    run = write(tmp_path, 600, text="x" * 200)
    path = run.segment_path(number)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert f"{path}, byte 0: " in "\n".join(map(str, damages_of(run)))
    found = run_hvobs("query", "--journal", tmp_path, "--no-index")
    assert found.exit_code == 1
    assert f"{path}, byte 0: " in found.stderr.replace("\n", "")
    assert run_hvobs("tree", "--journal", tmp_path).exit_code == 1


# A writer that goes on meanwhile


class LiveFile:
    """A segment whose writer stores a few bytes more between any two reads, or within one."""

    def __init__(self, path: Path, steps: Iterator[int]) -> None:
        whole = path.read_bytes()
        starts = [*offsets(path), len(whole)]
        self._path, self._steps = path, steps
        self._stores: list[tuple[int, bytes]] = []
        for start, end in pairwise(starts):
            middle = (start + CHECKSUM_BYTES + end) // 2
            self._stores += [
                (start + CHECKSUM_BYTES, whole[start + CHECKSUM_BYTES : middle]),
                (middle, whole[middle:end]),
                (start, whole[start : start + CHECKSUM_BYTES]),
            ]
        path.write_bytes(whole[:HEADER_BYTES] + bytes(len(whole)))

    def _store(self) -> None:
        with self._path.open("r+b") as file:
            for _ in range(next(self._steps, 3)):
                if self._stores:
                    offset, data = self._stores.pop(0)
                    file.seek(offset)
                    file.write(data)

    @property
    def finished(self) -> bool:
        return not self._stores

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        self._store()
        first = REAL_PREAD(descriptor, size // 3, offset)
        self._store()
        return first + REAL_PREAD(descriptor, size - len(first), offset + len(first))


@pytest.mark.fault("J23")
@given(st.lists(st.integers(0, 7), max_size=60), st.booleans())
def test_record_read_while_it_is_stored_is_no_damage(steps: list[int], to_end: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder), 12).segment_path(0)
        live = LiveFile(path, iter(steps))
        patch.setattr(os, "pread", live.pread)
        found: list[int] = []
        offset, last_look = HEADER_BYTES, False
        while not last_look:
            last_look = live.finished
            reader = SegmentReader(path, to_end=to_end)
            for at, record in reader.records(offset):
                found.append(record.sequence)
                offset = at + record.size
            assert reader.damage is None
        assert found == list(range(12))


LIVE = """
import sys, time
from pathlib import Path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.writing.writer import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), segment_bytes=4_194_304)
writer.open()
event = HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"text": "x" * 200})
end = time.monotonic() + 3
while time.monotonic() < end:
    writer.append(event, lambda _: None)
writer.close()
"""


@pytest.mark.fault("J23")
@pytest.mark.slow
def test_journal_that_is_being_written_shows_no_damage(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", LIVE, str(tmp_path)])
    position, looks, damages = 0, 0, list[Damage]()
    reader: RunReader | None = None
    try:
        while child.poll() is None:
            for run in runs_of(tmp_path):
                reader = reader or RunReader(run, damages.append)
                for record in reader.records(position):
                    assert record.sequence == position
                    position += 1
                if looks % 100 == 0:
                    notices: list[str] = []
                    for _ in JournalHistory(tmp_path, notices.append).events():
                        pass
                    assert notices == []
                looks += 1
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    assert damages == []
    assert looks > 1
    assert position > 0


# What only the system says


def failing(error: int, path: Path) -> Callable[..., int]:
    real = os.open

    def opened(name: str | Path, *args: int, **options: int) -> int:
        if Path(name) == path:
            raise OSError(error, os.strerror(error), str(path))
        return real(name, *args, **options)

    return opened


@pytest.mark.fault("J24")
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_segment_that_cannot_be_read_is_neither_gone_nor_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, number: int
) -> None:
    run = write(tmp_path, 600, text="x" * 200)
    other = write(tmp_path / "other", 3)
    other.path.rename(tmp_path / other.path.name)
    path = run.segment_path(number)
    monkeypatch.setattr(os, "open", failing(error, path))
    with pytest.raises(OSError, match=os.strerror(error)):
        _ = RunReader(run).bounds
    found = verify(run)
    assert (found.verdict, found.bad_sequence) == (Verdict.UNREADABLE, None)
    assert str(path) in found.reason

    query = run_hvobs("query", "--journal", tmp_path, "--json")
    assert query.exit_code == 1
    assert f"{run.path}" in query.stderr
    assert os.strerror(error) in query.stderr
    assert query.stdout.count(other.path.name) == 3
    assert run_hvobs("journal", "verify", "--journal", tmp_path).exit_code == 1
    monkeypatch.undo()
    assert verify(run).events == 600
    assert run_hvobs("query", "--journal", tmp_path).exit_code == 0


@pytest.mark.fault("J24")
def test_reading_without_a_descriptor_left_is_an_error_and_no_end(tmp_path: Path) -> None:
    run = write(tmp_path)
    reader = RunReader(run)
    assert reader.bounds == (0, EVENTS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            reader.read(0, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(reader.read(0, 10).events) == EVENTS
