"""Runs: nobody sees one that is not locked yet."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from hypervisor_journal.locks import is_locked
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs import runs
from hypervisor_journal.runs.runs import new_run, remove_half_made, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from tests.plugins.journal.calls import descriptors


def test_run_is_seen_once_itis_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = runs._lock
    seen: list[int] = []

    def look_and_lock(file: FileIO) -> None:
        seen.append(len(list(runs_of(tmp_path))))
        lock(file)

    monkeypatch.setattr(runs, "_lock", look_and_lock)
    run, held = new_run(tmp_path)

    assert seen == [0]
    assert list(runs_of(tmp_path)) == [run]
    assert run.is_alive()
    assert run.is_written()
    held.close()
    assert not run.is_alive()


@pytest.mark.parametrize("refused", ["lock", "name"])
def test_run_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    if refused == "lock":
        monkeypatch.setattr(fcntl, "flock", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    before = descriptors()
    with pytest.raises(OSError, match="no space"):
        new_run(tmp_path)

    assert not list(tmp_path.iterdir())
    assert descriptors() == before


def test_folder_that_was_taken_for_a_dead_process_s_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = runs._lock
    swept: list[list[Path]] = []

    def sweep_before_the_first_lock(file: FileIO) -> None:
        if not swept:
            remove_half_made(tmp_path)
            swept.append(list(tmp_path.iterdir()))
        lock(file)

    monkeypatch.setattr(runs, "_lock", sweep_before_the_first_lock)
    run, held = new_run(tmp_path)

    assert swept == [[]]
    assert list(tmp_path.iterdir()) == [run.path]
    assert run.is_written()
    held.close()


def test_half_made_folders_of_dead_processes_go_and_locked_ones_stay(tmp_path: Path) -> None:
    for name in ("ab" * 16 + ".new", "ef" * 16 + ".gone"):
        folder = tmp_path / f"20260101T000000.000000Z-{name}"
        folder.mkdir()
        (folder / "lock").touch()
    living = tmp_path / ("20260101T000000.000001Z-" + "cd" * 16 + ".new")
    living.mkdir()
    (tmp_path / "notes.new").mkdir()
    with (living / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_half_made(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "notes.new"]


def test_look_at_a_run_that_is_being_made_does_not_keep_it_from_being_made(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as maker, path.open() as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        timer = threading.Timer(0.03, lambda: fcntl.flock(looker, fcntl.LOCK_UN))
        timer.start()
        runs._lock(FileIO(maker.fileno(), "r+", closefd=False))
        timer.join()
        assert is_locked(path)


def test_whether_a_run_lives_is_not_said_where_the_system_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, held = new_run(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    for name in ("open", "scandir"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="Too many"):
                _ = run.is_written() if name == "open" else list(runs_of(tmp_path))
            if name == "scandir":
                with pytest.raises(OSError, match="Too many"):
                    run.segments()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", fail)
        with pytest.raises(OSError, match="Too many"):
            run.is_written()
    held.close()


@pytest.mark.fault("J23")
def test_segment_that_a_listing_leaves_out_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=65_536)
    for _ in range(1_500):
        writer.append(HypervisorEvent(event_type=EventType.VFS_WRITE), lambda _: None)
    (run,) = runs_of(tmp_path)
    whole = run.segments()
    assert len(whole) > 3
    scandir = os.scandir

    @contextlib.contextmanager
    def leaving_out(path: str) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(path) as entries:  # what came while it was read, but for what came last
            yield [entry for entry in entries if entry.name != whole[-2][1].name]

    monkeypatch.setattr(os, "scandir", leaving_out)
    assert run.segments() == whole
    told: list[Damage] = []
    assert RunReader(run, told.append).bounds == (0, 1_500)
    assert len(list(RunReader(run, told.append).records(0))) == 1_500
    assert told == []
    assert verify(run).verdict is Verdict.UNANCHORED
    writer.close()
