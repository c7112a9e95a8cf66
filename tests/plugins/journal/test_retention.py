"""The bounds of a directory of many runs: what goes, in which order, and who does it."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run, new_run, runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent
from tests.plugins.journal.calls import counting
from tests.plugins.journal.journals import SEGMENT, End, append, leave

ALL = Retention(1 << 40)
DAY = 86_400.0


def write(directory: Path, events: int, *, end: End = "closed") -> JournalWriter:
    """Write a run that is closed, killed or living."""
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in range(events):
        append(writer, number, text="x" * 200)
        if number % 50 == 49:
            writer.sync()
    leave(writer, end)
    return writer


def newest(directory: Path) -> Run:
    return list(runs_of(directory))[-1]


def set_times(run: Run, first: float, step: float = 1.0) -> None:
    for number, path in run.segments():
        os.utime(path, (first + number * step, first + number * step))


def numbers(run: Run) -> list[int]:
    return [number for number, _ in run.segments()]


def used(directory: Path) -> int:
    """What ``du`` says of the runs, in bytes."""
    return sum(
        path.lstat().st_blocks * 512
        for run in runs_of(directory)
        for path in [run.path, *run.path.rglob("*")]
    )


@pytest.mark.fault("J16")
def test_what_was_written_longest_ago_goes_first_over_all_runs(tmp_path: Path) -> None:
    service = write(tmp_path, 1, end="living")
    first = newest(tmp_path)
    write(tmp_path, 900, end="killed")
    job = newest(tmp_path)
    for number in range(900):
        payload = {"number": number, "text": "x" * 200}
        service.append(HypervisorEvent(payload=payload), lambda _: None)
    service.sync()
    set_times(job, time.time() - 5 * DAY)
    before = numbers(first), numbers(job)
    total = ALL.apply(tmp_path)
    Retention(total - 2 * SEGMENT).apply(tmp_path)

    assert numbers(first) == before[0]
    assert numbers(job) == before[1][2:]
    Retention(1).apply(tmp_path)
    assert list(runs_of(tmp_path)) == [first]
    assert numbers(first) == before[0][-1:]  # it is being written
    service.close()


def test_run_loses_its_oldest_events_first_whatever_was_done_to_them_later(tmp_path: Path) -> None:
    write(tmp_path, 900)
    run = newest(tmp_path)
    set_times(run, time.time() - 5 * DAY)
    os.utime(run.segment_path(0))  # such as by an erasure
    (tmp_path / "ended").unlink()
    count = len(numbers(run))
    total = ALL.apply(tmp_path)
    Retention(total - SEGMENT).apply(tmp_path)

    assert numbers(run) == list(range(1, count))


def test_bounds_count_what_is_really_held(tmp_path: Path) -> None:
    for end in ("closed", "killed"):
        write(tmp_path, 20, end=end)
    living = write(tmp_path, 20, end="living")
    for _ in range(30):
        write(tmp_path, 2)
    counted, held = ALL.apply(tmp_path), used(tmp_path)
    living.close()

    assert held / 1.1 <= counted <= held * 1.1


def test_unused_blocks_of_a_killed_process_are_given_back(tmp_path: Path) -> None:
    write(tmp_path, 20, end="killed")
    run = newest(tmp_path)
    path = run.segment_path(0)
    set_times(run, 1_000.0)
    (run.path / "0123456789abcdef.new").write_bytes(bytes(SEGMENT))
    before = [record.sequence for record in RunReader(run).records(0)]
    ALL.apply(tmp_path)

    assert path.stat().st_size < SEGMENT / 4
    assert path.stat().st_mtime == 1_000.0
    assert [record.sequence for record in RunReader(run).records(0)] == before
    assert sorted(one.name for one in run.path.iterdir()) == ["00000000.hvj", "lock"]


def test_torn_record_stays_where_the_rest_is_given_back(tmp_path: Path) -> None:
    write(tmp_path, 20, end="killed")
    path = newest(tmp_path).segment_path(0)
    data = path.read_bytes().rstrip(b"\0")
    torn = data + bytes(4) + b"what was begun"
    path.write_bytes(torn.ljust(SEGMENT, b"\0"))
    ALL.apply(tmp_path)

    assert path.read_bytes() == torn


def test_runs_without_an_event_go_when_their_process_is_dead(tmp_path: Path) -> None:
    living, writing = new_run(tmp_path)
    dead, held = new_run(tmp_path)
    held.close()
    ALL.apply(tmp_path)

    assert list(runs_of(tmp_path)) == [living]
    assert not dead.path.exists()
    writing.close()
    ALL.apply(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_process_keeps_the_bounds_at_a_time(tmp_path: Path) -> None:
    write(tmp_path, 20)
    total = ALL.apply(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    assert Retention(1).apply(tmp_path) == total
    assert len(list(runs_of(tmp_path))) == 1
    os.close(descriptor)
    assert Retention(1).apply(tmp_path) == 0


@pytest.mark.fault("J19")
def test_pass_does_not_look_into_runs_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(100):
        write(tmp_path, 2)
    write(tmp_path, 2, end="killed")
    ALL.apply(tmp_path)
    living = write(tmp_path, 2, end="living")
    calls = counting(monkeypatch, os, ["open", "stat", "scandir", "lstat", "listdir", "pread"])
    ALL.apply(tmp_path)

    assert calls() < 30
    living.close()


def test_what_cannot_be_looked_at_keeps_nothing_else_from_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 400)
    write(tmp_path, 400, end="killed")
    bad = newest(tmp_path)
    scandir = os.scandir

    def failing(path: Any = ".") -> Any:
        if str(path) == str(bad.path):
            raise OSError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(PermissionError):
        Retention(1).apply(tmp_path)
    monkeypatch.undo()

    assert list(runs_of(tmp_path)) == [bad]


def test_end_of_a_dead_run_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 20, end="killed")
    run = newest(tmp_path)
    assert end_of(run, RunLedger(tmp_path)) == 20
    ledger = RunLedger(tmp_path)
    ledger.look()
    calls = counting(monkeypatch, os, ["open"])

    assert end_of(run, ledger) == 20
    assert calls() == 0
