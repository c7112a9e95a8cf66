"""All runs of a directory as one stream: turns, ends, readings of many runs, and what they cost."""

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_journal.reading.dead_runs import RunLivesError, end_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.streams.followed_runs import FollowedRuns
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.ledger import Place
from hypervisor_observability.errors import StreamUnavailableError
from tests.plugins.journal.calls import calls_of
from tests.plugins.journal.journals import SEGMENT, append, numbers_of, write_run


def nothing() -> Mapping[str, Any] | None:
    return None


def followed(directory: Path, *, defers: bool = True) -> FollowedRuns:
    (directory / "agent").mkdir(exist_ok=True)
    stream = FollowedRuns("p", directory, directory / "agent" / "p.json", defers)
    stream.open()
    return stream


def read_all(account: Account) -> list[int]:
    got: list[int] = []
    while events := account.read(2).events:
        got += [event.payload["number"] for event in events]
        account.ledger.settle_offered(Place.DELIVERED)
    return got


def test_all_runs_are_read_in_turn_and_new_ones_are_found(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    _, living = write_run(tmp_path, [11, 12, 13], end="living")
    stream = followed(tmp_path)
    account = Account(stream, stream)

    assert stream.bounds == (0, 6)
    assert read_all(account) == [1, 2, 11, 12, 3, 13]
    assert len(stream.unfinished) == 1
    write_run(tmp_path, [21])
    append(living, 14)
    assert account.counts().pending == 2
    assert sorted(read_all(account)) == [14, 21]
    living.close()
    assert read_all(account) == []
    assert stream.unfinished == set()
    assert account.counts().delivered == account.counts().emitted == 8


def test_agent_goes_on_where_it_was(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    stream = followed(tmp_path)
    account = Account(stream, stream)
    account.read(2)
    account.ledger.settle_offered(Place.DELIVERED)
    account.commit(lambda: {"totals": 2}, last=True)
    again = followed(tmp_path)

    assert again.state == {"totals": 2}
    assert read_all(Account(again, again)) == [3]


def test_agent_plugin_that_does_not_replay_begins_with_the_present(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    stream = followed(tmp_path, defers=False)
    account = Account(stream, stream)
    write_run(tmp_path, [4])

    assert read_all(account) == [4]
    assert account.counts().dropped == {"not_replayed": 3}


def test_what_goes_while_it_is_followed_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(5))
    stream = followed(tmp_path)
    account = Account(stream, stream)
    assert stream.bounds == (0, 5)
    run.path.rename(tmp_path / "elsewhere")

    assert read_all(account) == []
    counts = account.counts()
    assert (counts.emitted, counts.dropped) == (5, {"expired": 5})
    assert read_all(account) == []
    stream.begin_anew_after_fork()
    assert stream.unfinished == set()


@pytest.mark.fault("J19")
def test_busy_run_does_not_hold_up_the_others(tmp_path: Path) -> None:
    _, busy = write_run(tmp_path, range(100), end="living")
    write_run(tmp_path, [1_000, 1_001])
    _, other = write_run(tmp_path, [2_000], end="living")
    stream = followed(tmp_path)
    account = Account(stream, stream)
    got: list[list[int]] = []
    for number in range(4):
        got.append(numbers_of(account.read(10)))
        append(busy, *range(100 * number, 100 * number + 10))  # it always has more
        append(other, 2_001 + number)

    assert got[0] == list(range(10))
    assert got[1][:4] == [1_000, 1_001, 2_000, 2_001]
    assert got[2][0] == 2_002  # behind the one that was read last
    busy.close()
    other.close()


def test_one_reading_holds_events_of_many_runs(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, [10 * number, 10 * number + 1])[0] for number in range(5)]
    stream = followed(tmp_path)

    assert numbers_of(stream.read(0, 7)) == [0, 1, 10, 11, 20, 21, 30]
    assert [(name, len(events)) for name, events in stream.in_flight] == [
        (runs[0].path.name, 2), (runs[1].path.name, 2), (runs[2].path.name, 2),
        (runs[3].path.name, 1),
    ]  # fmt: skip
    stream.commit(3, nothing, last=False)
    assert [len(events) for _, events in stream.in_flight] == [1, 2, 1]
    assert numbers_of(stream.read(7, 100)) == [40, 41, 31]


def test_what_was_read_and_not_taken_is_read_again(tmp_path: Path) -> None:
    """An account takes of a reading what fits into its bound of bytes."""
    for start in (0, 100, 200):
        write_run(tmp_path, range(start, start + 30), text="x" * 1_000)
    stream = followed(tmp_path)
    account = Account(stream, stream)
    got: list[int] = []
    while events := account.read(50, 10_000).events:
        got += [event.payload["number"] for event in events]
        account.ledger.settle_offered(Place.DELIVERED)
        account.commit(nothing)
    counts = account.counts()

    assert sorted(got) == [*range(30), *range(100, 130), *range(200, 230)]
    assert (counts.emitted, counts.delivered, counts.pending) == (90, 90, 0)
    assert read_all(Account(followed(tmp_path), None)) == []


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    living=st.sets(st.integers(0, 4)),
    steps=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12), st.booleans()), max_size=12),
)
def test_each_event_is_read_once_however_it_is_taken(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    living: set[int],
    steps: list[tuple[int, int, bool]],
) -> None:
    """Whatever part of each reading is taken, and wherever another process goes on."""
    directory = tmp_path_factory.mktemp("runs")
    writers: list[JournalWriter] = []
    written: list[int] = []
    for place, size in enumerate(sizes):
        events = list(range(100 * place, 100 * place + size))
        writer = JournalWriter(directory, segment_bytes=SEGMENT)
        writer.open()
        append(writer, *events)
        written += events
        if place in living:
            writers.append(writer)
        else:
            writer.close()
    stream, position = followed(directory), 0
    got: list[int] = []
    for asked, taken, restart in [*steps, *[(20, 20, False)] * 4]:
        reading = stream.read(position, asked)
        events = numbers_of(reading)[:taken]
        got += events
        position = reading.position + len(events)
        assert reading.skipped == 0
        assert stream.bounds == (0, position + len(written) - len(got))
        stream.commit(position, nothing, last=False)
        if restart:
            stream, position = followed(directory), 0
            written = [number for number in written if number not in got]
            assert stream.bounds == (0, len(written))
            everything, got = got, []
            assert len(set(everything)) == len(everything)
    for writer in writers:
        writer.close()

    assert sorted(got) == sorted(written)


def test_state_goes_on_from_what_was_read_since_in_the_same_order(tmp_path: Path) -> None:
    write_run(tmp_path, range(4))
    write_run(tmp_path, range(10, 14))
    stream = followed(tmp_path)
    account = Account(stream, stream)
    for _ in range(3):
        account.read(2)
        account.ledger.settle_offered(Place.DELIVERED)
        account.commit(lambda: {"n": 1})
    again = followed(tmp_path)

    assert again.state == {"n": 1}
    replayed = [event.payload["number"] for some in again.since_state() for event in some]
    assert replayed == [10, 11, 2, 3]
    assert read_all(Account(again, again)) == [12, 13]


def test_run_that_cannot_be_read_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _ = write_run(tmp_path, [1, 2, 3])
    write_run(tmp_path, [11, 12])
    stream = followed(tmp_path)
    account = Account(stream, stream)
    opened = os.open

    def busy(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(bad.path)):
            raise OSError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", busy)
        assert numbers_of(account.read(10)) == [11, 12]
        with pytest.raises(StreamUnavailableError, match="Permission denied"):
            account.read(10)
        assert account.counts().emitted == 5
    assert numbers_of(account.read(10)) == [1, 2, 3]


def test_negative_counts_do_not_come_of_what_was_delivered_before(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(100))
    stream = followed(tmp_path)
    account = Account(stream, stream)
    account.read(100)
    account.ledger.settle_offered(Place.DELIVERED)
    account.commit(nothing, last=True)
    for known in (True, False):
        if not known:  # such as of a process that was killed
            (tmp_path / "ended").unlink()
        again = followed(tmp_path)
        rest = Account(again, again)
        assert not rest.read(10).events
        counts = rest.counts()
        assert (counts.emitted, counts.pending, counts.delivered) == (0, 0, 0)
    run.remove()


def test_runs_that_are_over_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        write_run(tmp_path, [number])
    stream = followed(tmp_path)
    account = Account(stream, stream)
    assert sorted(read_all(account)) == list(range(100))
    account.commit(nothing, last=True)

    assert calls_of(monkeypatch, lambda: account.read(10)) < 10
    assert calls_of(monkeypatch, account.counts) < 10
    again = followed(tmp_path)
    assert calls_of(monkeypatch, lambda: Account(again, again).read(10)) < 15


@pytest.mark.fault("J19")
def test_reading_many_runs_costs_each_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(count: int) -> float:
        directory = tmp_path / str(count)
        directory.mkdir()
        for number in range(count):
            write_run(directory, [number])
        stream = followed(directory)
        account = Account(stream, stream)

        def work() -> None:
            while account.read(16).events:
                account.ledger.settle_offered(Place.DELIVERED)
                account.commit(nothing)

        return calls_of(monkeypatch, work) / count

    assert cost(200) < 1.5 * cost(50)


def test_step_names_only_the_runs_that_were_read(tmp_path: Path) -> None:
    for number in range(50):
        write_run(tmp_path, [number, number])
    stream = followed(tmp_path)
    account = Account(stream, stream)
    for _ in range(4):
        account.read(4)
        account.ledger.settle_offered(Place.DELIVERED)
        account.commit(nothing)
    lines = stream.path.read_bytes().splitlines()

    assert [len(json.loads(line)) for line in lines[1:]] == [2, 2, 2]


def test_runs_that_have_gone_leave_the_cursor(tmp_path: Path) -> None:
    for number in range(3):
        write_run(tmp_path, [number])
    stream = followed(tmp_path)
    account = Account(stream, stream)
    assert sorted(read_all(account)) == [0, 1, 2]
    account.commit(nothing, last=True)
    Retention(1).apply(tmp_path)
    write_run(tmp_path, [7])
    again = followed(tmp_path)
    rest = Account(again, again)
    assert read_all(rest) == [7]
    rest.commit(nothing, last=True)

    (run,) = runs_of(tmp_path)
    assert json.loads(stream.path.read_bytes())["sequences"] == {run.path.name: 1}


def test_agent_notes_where_a_killed_run_ends(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, [1, 2, 3], end="living")
    writer.begin_anew_after_fork()  # lets go without a word, as a kill does
    stream = followed(tmp_path)
    account = Account(stream, stream)
    assert read_all(account) == [1, 2, 3]
    assert read_all(account) == []
    ledger = RunLedger(tmp_path)
    ledger.look()

    assert ledger.runs[run.path.name].end == 3
    assert run.segment_path(0).stat().st_size < SEGMENT / 4


def test_living_run_stays_followed_and_whole_where_a_segment_goes_during_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, writer = write_run(tmp_path, [1, 2, 3], end="living")
    stream = followed(tmp_path)
    account = Account(stream, stream)
    assert read_all(account) == [1, 2, 3]

    def gone(_: RunReader) -> tuple[int, int]:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    with monkeypatch.context() as patch:
        patch.setattr(RunReader, "bounds", property(gone))
        account.counts()
    append(writer, 4)  # into memory that is mapped: were the file cut, the process would die
    assert read_all(account) == [4]
    assert run.path.name in stream.unfinished
    writer.close()


@pytest.mark.parametrize("locked", [True, False])
def test_only_what_is_proven_to_be_dead_is_tidied_up(tmp_path: Path, locked: bool) -> None:
    run, writer = write_run(tmp_path, [1, 2, 3], end="living")
    ledger = RunLedger(tmp_path)
    size = run.segment_path(0).stat().st_size
    if locked:
        with pytest.raises(RunLivesError):
            end_of(run, ledger)
    else:
        (run.path / "lock").unlink()  # by somebody who took it for a stale one
        end_of(run, ledger)
    assert run.segment_path(0).stat().st_size == size
    append(writer, 4)
    writer.close()


@pytest.mark.fault("J23")
@pytest.mark.parametrize("place", ["header", "last record"])
def test_damage_of_a_dead_run_is_told_to_each_process_that_comes_by(
    tmp_path: Path, place: str
) -> None:
    run, writer = write_run(tmp_path, range(100), end="living")
    writer.begin_anew_after_fork()  # lets go without a word, as a kill does
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    data[0 if place == "header" else data.index(b'"number":99') + 1] ^= 1
    path.write_bytes(data)
    told: list[Damage] = []
    end = end_of(run, RunLedger(tmp_path), told.append)
    assert end == (0 if place == "header" else 99)
    assert [damage.path for damage in told] == [path]
    for _ in range(2):
        stream = followed(tmp_path)
        account = Account(stream, stream)
        read_all(account)
        account.commit(nothing, last=True)
        assert stream.damaged
