"""Cursors, and the sources in which they are: a process goes on where another was cut off."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.journal.reader import RunReader
from hypervisor_observability.journal.runs import Run, runs_of
from hypervisor_observability.journal.writer import JournalWriter
from hypervisor_observability.log import EventLog, Reading
from hypervisor_observability.sources.cursor_files import CursorFile, Saved, read_cursor
from hypervisor_observability.sources.followed_runs import FollowedRuns
from hypervisor_observability.sources.journalled_log import JournalledLog, cursor_path

SEGMENT = 65_536


def nothing() -> Mapping[str, Any] | None:
    return None


def write_run(
    directory: Path, numbers: Sequence[int], *, close: bool = True
) -> tuple[Run, JournalWriter]:
    known = set(runs_of(directory))
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in numbers:
        event = HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"number": number})
        writer.append(event, lambda _: None)
    if close:
        writer.close()
    (run,) = set(runs_of(directory)) - known
    return run, writer


def numbers(reading: Reading) -> list[int]:
    return [event.payload["number"] for event in reading.events]


# Files


def test_cursor_is_what_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cursor.json"
    assert CursorFile("p").save(path, {"a": 1, "b": 2}, lambda: {"open": [1]}, last=True)

    assert read_cursor(path) == Saved({"a": 1, "b": 2}, {"open": [1]})
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["cursor.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"version": 1}', '{"version": 1, "sequences": []}',
     '{"version": 1, "sequences": {"a": "x"}, "state": null}', "\0" * 100],
)  # fmt: skip
def test_damaged_cursor_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "cursor").write_text(content)
    assert read_cursor(tmp_path / "cursor") == Saved()
    assert read_cursor(tmp_path / "missing") == Saved()


def test_state_that_is_none_is_left_aside(tmp_path: Path) -> None:
    document = {"version": 1, "sequences": {"a": 1}, "state": 5}
    (tmp_path / "cursor").write_text(json.dumps(document))
    assert read_cursor(tmp_path / "cursor") == Saved({"a": 1}, None)


def test_cursor_that_cannot_be_saved_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = CursorFile("p")
    (tmp_path / "file").write_text("in the way")

    assert not file.save(tmp_path / "file" / "cursor", {}, nothing, last=False)
    assert "the cursor of plugin p is not saved" in caplog.text
    assert not file.save(tmp_path / "cursor", {}, lambda: {"odd": object()}, last=False)
    assert file.save(tmp_path / "cursor", {}, nothing, last=False)


def test_cursor_is_saved_no_more_often_than_it_is_worth(tmp_path: Path) -> None:
    file = CursorFile("p")
    assert file.save(tmp_path / "c", {"a": 1}, nothing, last=False)  # synced: not counted
    assert file.save(tmp_path / "c", {"a": 2}, nothing, last=False)
    file._due = float("inf")
    assert not file.save(tmp_path / "c", {"a": 3}, nothing, last=False)
    assert file.save(tmp_path / "c", {"a": 4}, nothing, last=True)
    assert read_cursor(tmp_path / "c").values == {"a": 4}


# What earlier runs have left


def make_log(*events: int) -> EventLog:
    log = EventLog(100, 1 << 20)
    for number in events:
        log.stage(HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"number": number}))
    return log


def recovered(directory: Path, log: EventLog, *, defers: bool = True) -> JournalledLog:
    source = JournalledLog("p", log, lambda: None, defers)
    readers = [RunReader(run) for run in runs_of(directory)]
    source.recover([(reader, reader.bounds[1]) for reader in readers])
    return source


def test_rest_of_earlier_runs_stands_before_the_log(tmp_path: Path) -> None:
    first, _ = write_run(tmp_path, range(5))
    CursorFile("p").save(cursor_path(first, "p"), {"sequence": 3}, lambda: {"n": 1}, last=True)
    done, _ = write_run(tmp_path, [77])
    CursorFile("p").save(cursor_path(done, "p"), {"sequence": 1}, nothing, last=True)
    write_run(tmp_path, range(10, 13))
    source = recovered(tmp_path, make_log(20, 21))

    assert (source.start, source.bounds, source.state) == (-5, (-5, 2), {"n": 1})
    assert numbers(source.read(-5, 100)) == [3, 4]
    assert numbers(source.read(-3, 2)) == [10, 11]
    assert numbers(source.read(-1, 100)) == [12]
    assert numbers(source.read(0, 100)) == [20, 21]
    assert source.earlier_runs == [first, list(runs_of(tmp_path))[2]]


def test_commit_is_saved_in_the_run_that_it_lies_in(tmp_path: Path) -> None:
    first, _ = write_run(tmp_path, range(5))
    second, _ = write_run(tmp_path, range(10, 13))
    own, writer = write_run(tmp_path, [20], close=False)
    source = JournalledLog("p", make_log(20, 21), lambda: own)
    source.recover([(RunReader(first), 5), (RunReader(second), 3)])

    def saved(run: Run) -> int | None:
        return read_cursor(cursor_path(run, "p")).values.get("sequence")

    source.commit(-6, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [2, None, None]
    source.commit(-2, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [5, 1, None]
    source.commit(1, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [5, 3, 1]
    writer.close()


def test_plugin_that_does_not_replay_skips_what_was_left_and_counts_it(tmp_path: Path) -> None:
    write_run(tmp_path, range(5))
    source = recovered(tmp_path, make_log(20), defers=False)
    account = Account(source, source)

    assert numbers(account.read(10)) == [20]
    account.deliver(1)
    counts = account.counts()
    assert (counts.emitted, counts.delivered, counts.dropped) == (6, 1, {"not_replayed": 5})
    assert account.lost == 0
    assert recovered(tmp_path, make_log(), defers=False).skipped == 0


def test_part_of_a_run_that_is_gone_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(900))
    segments = run.segments()
    assert len(segments) > 2
    segments[0][1].unlink()
    source = recovered(tmp_path, make_log(20))
    account = Account(source, source)
    got: list[int] = []
    while events := account.read(100).events:
        got += [event.payload["number"] for event in events]
        account.deliver(len(events))

    counts = account.counts()
    assert got == [*range(got[0], 900), 20]
    assert (counts.emitted, counts.dropped) == (901, {"expired": got[0]})
    assert counts.delivered == 901 - got[0]


def test_run_that_goes_while_it_is_delivered_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(5))
    source = recovered(tmp_path, make_log(20))
    run.remove()
    account = Account(source, source)

    assert numbers(account.read(10)) == [20]
    assert account.counts().dropped == {"expired": 5}
    source.commit(1, nothing, last=True)  # there is no run to save it in


def test_who_is_behind_the_log_in_memory_goes_on_from_the_disk(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, range(300), close=False)
    log = make_log(*range(300))
    source = JournalledLog("p", log, lambda: run)
    account = Account(source, source)
    got: list[int] = []
    while events := account.read(64).events:
        got += [event.payload["number"] for event in events]
        account.deliver(len(events))

    assert log.bounds == (200, 300)
    assert got == list(range(300))
    assert account.counts().dropped == {}
    writer.close()
    run.remove()
    assert source.read(0, 10).skipped == 200


def test_forks_child_leaves_earlier_runs_to_its_parent(tmp_path: Path) -> None:
    write_run(tmp_path, range(5))
    source = recovered(tmp_path, make_log())
    account = Account(source, source)
    account.begin_anew()

    assert (source.start, source.earlier_runs) == (0, [])
    assert account.counts().emitted == 0


# Many runs


def followed(directory: Path, *, defers: bool = True) -> FollowedRuns:
    source = FollowedRuns("p", directory, directory / "agent" / "p.json", defers)
    source.open()
    return source


def read_all(account: Account) -> list[int]:
    got: list[int] = []
    while events := account.read(2).events:
        got += [event.payload["number"] for event in events]
        account.deliver(len(events))
    return got


def test_all_runs_are_read_in_turn_and_new_ones_are_found(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    _, living = write_run(tmp_path, [11, 12, 13], close=False)
    source = followed(tmp_path)
    account = Account(source, source)

    assert source.bounds == (0, 6)
    assert read_all(account) == [1, 2, 11, 12, 3, 13]
    assert len(source.unfinished) == 1
    write_run(tmp_path, [21])
    living.append(HypervisorEvent(payload={"number": 14}), lambda _: None)
    assert account.counts().pending == 2
    assert sorted(read_all(account)) == [14, 21]
    living.close()
    assert read_all(account) == []
    assert source.unfinished == set()
    assert account.counts().delivered == account.counts().emitted == 8


def test_agent_goes_on_where_it_was(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    source = followed(tmp_path)
    account = Account(source, source)
    account.read(2)
    account.deliver(2)
    account.commit(lambda: {"totals": 2}, last=True)
    again = followed(tmp_path)

    assert again.state == {"totals": 2}
    assert read_all(Account(again, again)) == [3]


def test_agent_plugin_that_does_not_replay_begins_with_the_present(tmp_path: Path) -> None:
    write_run(tmp_path, [1, 2, 3])
    source = followed(tmp_path, defers=False)
    account = Account(source, source)
    write_run(tmp_path, [4])

    assert read_all(account) == [4]
    assert account.counts().dropped == {"not_replayed": 3}


def test_what_goes_while_it_is_followed_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(5))
    source = followed(tmp_path)
    account = Account(source, source)
    assert source.bounds == (0, 5)
    run.path.rename(tmp_path / "elsewhere")

    assert read_all(account) == []
    counts = account.counts()
    assert (counts.emitted, counts.dropped) == (5, {"expired": 5})
    assert read_all(account) == []
    source.begin_anew_after_fork()
    assert source.unfinished == set()
