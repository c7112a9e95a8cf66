"""Following a journal: what stands there first, then each event once, whatever comes and goes."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from hypervisor_journal.format.frames import HEADER_BYTES
from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability.stores import EVERYTHING, Entry, Wanted
from tests.plugins.journal.journals import make_event, write, write_two_runs


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path / "journal")


def test_follower_gives_each_event_among_the_first_or_as_news(journal: Path) -> None:
    for wanted in (EVERYTHING, Wanted(agent_did="did:mesh:a")):
        notices: list[str] = []
        followed = JournalHistory(journal, notices.append).follow()
        writer = JournalWriter(journal, segment_bytes=65_536)
        (first, second, *_) = runs_of(journal)
        # Between looking where the journal ends and reading what stands there.
        writer.append(make_event(100), lambda _: None)

        def shown(entries: Iterable[Entry]) -> list[int]:
            return [entry.event.payload["number"] for entry in entries]

        first_ones = shown(followed.newest(wanted, 3))
        assert 100 not in first_ones
        assert first_ones == sorted(first_ones)
        assert len(first_ones) == 3
        assert shown(followed.news()) == [100]
        writer.append(make_event(101), lambda _: None)
        assert shown(followed.news()) == [101]
        assert shown(followed.news()) == []
        writer.close()
        for run in set(runs_of(journal)) - {first, second}:
            run.remove()


def test_follower_reads_only_the_end_of_a_long_run(tmp_path: Path) -> None:
    run = write(tmp_path, *(make_event(number) for number in range(1_000)))
    notices: list[str] = []
    followed = JournalHistory(tmp_path, notices.append).follow()
    for _, path in run.segments()[:-1]:
        path.write_bytes(path.read_bytes()[:HEADER_BYTES])  # whoever reads them finds nothing
    found = followed.newest(EVERYTHING, 5)
    assert [entry.sequence for entry in found] == [995, 996, 997, 998, 999]
    assert notices == []


def test_follower_goes_on_when_a_run_that_it_follows_goes(journal: Path) -> None:
    notices: list[str] = []
    followed = JournalHistory(journal, notices.append).follow()
    first, second = runs_of(journal)
    first.remove()
    for _, path in second.segments():
        path.unlink()
    assert list(followed.newest(EVERYTHING, 5)) == []
    assert list(followed.news()) == []
    write(journal, make_event(9))
    assert [entry.event.payload["number"] for entry in followed.news()] == [9]


def test_follower_waits_for_a_directory_that_cannot_be_listed(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []
    followed = JournalHistory(journal, notices.append).follow()

    def busy(path: object = ".") -> object:
        raise OSError(24, "Too many open files", str(path))

    write(journal, make_event(9))
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", busy)
        for _ in range(3):
            assert list(followed.news()) == []
    assert len([notice for notice in notices if str(journal) + ":" in notice]) == 1
    assert [entry.event.payload["number"] for entry in followed.news()] == [9]


def test_follower_does_not_open_runs_that_ended_before_the_newest_began(tmp_path: Path) -> None:
    runs = [write(tmp_path, *(make_event(10 * run + one) for one in range(10))) for run in range(5)]
    ledger = RunLedger(tmp_path)
    for run in runs:
        end_of(run, ledger)
    for run in runs[:3]:
        for _, path in run.segments():
            path.write_bytes(b"not a segment any more")
            os.utime(path, (run.begun, run.begun))
    notices: list[str] = []
    followed = JournalHistory(tmp_path, notices.append).follow()

    newest = followed.newest(EVERYTHING, 15)
    recent = list(followed.recent(15))

    numbers = [entry.event.payload["number"] for entry in newest]
    assert numbers == list(range(35, 50))
    assert recent[-15:] == newest
    assert list(followed.news()) == []
    assert notices == []


def test_follower_looks_no_more_at_a_run_whose_process_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = JournalHistory(tmp_path, lambda _: None).follow()
    writer = JournalWriter(tmp_path)
    writer.append(make_event(1), lambda _: None)
    assert len(list(followed.news())) == 1
    writer.append(make_event(2), lambda _: None)
    writer.close()
    assert len(list(followed.news())) == 1  # what came last, although it is dead

    def fail(*_: object) -> NoReturn:
        raise AssertionError("a run that has ended is read again")

    monkeypatch.setattr(RunReader, "records", fail)
    assert list(followed.news()) == []
