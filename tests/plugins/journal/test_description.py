"""What a journal tells of itself: how much there is, who records, what proves it, and damage."""

from pathlib import Path

import pytest

from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.reading.description import JournalDescriber
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run, bytes_in
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import Config, EventType, Observability
from hypervisor_observability.stores import Description
from tests.plugins.journal.journals import append, leave, write_run


def described(directory: Path) -> Description:
    return JournalDescriber(directory).describe()


def contents(directory: Path) -> dict[Path, tuple[int, int]]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_runs_are_told_with_who_records_them(tmp_path: Path) -> None:
    dead, _ = write_run(tmp_path, range(7), end="killed")
    alive, writer = write_run(tmp_path, range(5), end="living")
    before = contents(tmp_path)
    found = described(tmp_path)

    assert (found.runs, found.events) == (2, 12)
    assert found.living == (alive.path.name,)
    assert found.bytes == bytes_in(dead.path) + bytes_in(alive.path)
    assert (found.proven_at, found.problems) == (None, ())
    assert contents(tmp_path) == before  # it only looks
    leave(writer, "closed")
    assert described(tmp_path).living == ()


def test_what_comes_later_is_told_without_reading_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writer = write_run(tmp_path, range(100), end="living")
    describer = JournalDescriber(tmp_path)
    assert describer.describe().events == 100
    begins = []
    records = RunReader.records

    def noting(self: RunReader, start: int) -> object:
        begins.append(start)
        return records(self, start)

    monkeypatch.setattr(RunReader, "records", noting)
    append(writer, *range(100, 130))
    assert describer.describe().events == 130
    leave(writer, "closed")
    assert describer.describe().living == ()
    assert describer.describe().events == 130
    assert begins == [100, 130]  # a run that has ended is not read any more


@pytest.mark.parametrize("noted", [True, False])
def test_events_that_the_bounds_removed_are_not_counted(tmp_path: Path, noted: bool) -> None:
    run, _ = write_run(tmp_path, range(600), end="killed", text="x" * 200)
    (_, oldest), *rest = run.segments()
    assert rest
    oldest.unlink()
    if noted:
        end_of(run, RunLedger(tmp_path))
    describer = JournalDescriber(tmp_path)
    first = RunReader(run).bounds[0]

    assert first > 0
    for _ in range(2):
        assert describer.describe().events == 600 - first


def test_runs_that_the_ledger_knows_are_not_opened_but_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        write_run(tmp_path, range(3))
    looked: list[str] = []
    is_written = Run.is_written

    def noting(self: Run) -> bool:
        looked.append(self.path.name)
        return is_written(self)

    monkeypatch.setattr(Run, "is_written", noting)
    found = described(tmp_path)

    assert (found.runs, found.events, found.living) == (5, 15, ())
    assert len(looked) == 1


def test_newest_anchor_says_until_when_it_is_proven(tmp_path: Path) -> None:
    table = {"directory": tmp_path, "checkpoint_events": 10, "sync_seconds": 0.01}
    with Observability(Config(plugins={"journal": table})) as observability:
        describer = JournalDescriber(tmp_path)
        found = describer.describe()
        assert found.proven_at is None
        for _ in range(600):
            observability.bus.record(EventType.VFS_WRITE)
            observability.bus.sync()
            found = describer.describe()
            if found.proven_at is not None:
                break
        store = observability.status()["store"]

        assert found.proven_at is not None
        assert abs(found.proven_at - store["proven_at"]) < 60
        assert found.proven_run == store["run"]
        assert found.proven_events is not None
        assert 10 <= found.proven_events <= store["events"]
    again = described(tmp_path)  # of a run that has ended, too
    assert again.proven_at is not None
    assert again.proven_at >= found.proven_at


def test_damage_is_told_once(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(50), end="killed")
    (_, path), *_ = run.segments()
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) // 2] ^= 0xFF
    path.write_bytes(data)
    describer = JournalDescriber(tmp_path)

    for _ in range(3):
        (problem,) = describer.describe().problems
        assert str(path) in problem


def test_many_damaged_runs_are_told_in_few_lines(tmp_path: Path) -> None:
    for _ in range(25):
        run, _ = write_run(tmp_path, range(2), end="killed")
        (_, path), *_ = run.segments()
        path.write_bytes(b"no segment" * 10)
    problems = described(tmp_path).problems

    assert len(problems) == 21
    assert problems[-1] == "and 5 more places cannot be read"


def test_run_that_cannot_be_looked_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = write_run(tmp_path, range(5), end="killed")
    gone, _ = write_run(tmp_path, range(5), end="killed")

    def refuse(self: Run) -> bool:
        raise FileNotFoundError if self == gone else PermissionError(13, "Permission denied")

    monkeypatch.setattr(Run, "is_written", refuse)
    found = described(tmp_path)

    assert (found.events, found.living) == (0, ())
    (problem,) = found.problems
    assert problem.startswith(f"cannot be read: {run.path}: ")


def test_journal_that_is_not_there_says_so(tmp_path: Path) -> None:
    place = tmp_path / "never"
    writer = JournalWriter(place)
    describer = JournalDescriber(place)
    assert describer.describe().problems == (f"there is no directory {place}",)
    append(writer, 1)
    leave(writer, "closed")
    assert (describer.describe().events, describer.describe().problems) == (1, ())
