"""Cursors, and the streams in which they are: a process goes on where another was cut off."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.streams.cursor_files import CursorFile, Saved, read_cursor
from hypervisor_journal.streams.delivered_runs import DeliveredRuns
from hypervisor_journal.streams.journalled_log import JournalledLog
from hypervisor_journal.streams.rests import cursor_path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.bus.log import EventLog
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.ledger import Place
from hypervisor_observability.errors import StreamUnavailableError
from tests.plugins.journal.journals import numbers_of, write_run


def nothing() -> Mapping[str, Any] | None:
    return None


# Files


def save(
    file: CursorFile,
    path: Path,
    steps: Sequence[tuple[str, int]],
    state: Mapping[str, Any] | None = None,
    *,
    last: bool = False,
) -> bool:
    return file.save(path, steps, lambda: dict(steps), lambda: state, last=last)


def test_cursor_is_what_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cursor.json"
    values = {"a": 1, "b": 2}
    assert save(CursorFile("p"), path, list(values.items()), {"open": [1]}, last=True)

    assert read_cursor(path) == Saved(values, {"open": [1]}, values)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["cursor.json"]


def test_steps_are_appended_behind_a_snapshot_until_the_next_is_due(tmp_path: Path) -> None:
    file, path = CursorFile("p"), tmp_path / "cursor"
    states: list[int] = []

    def state() -> Mapping[str, Any]:
        states.append(1)
        return {"n": len(states)}

    for number in range(1, 5):
        assert file.save(path, [("a", number)], lambda: {"a": 1}, state)
    assert read_cursor(path) == Saved({"a": 4}, {"n": 1}, {"a": 1}, (("a", 2), ("a", 3), ("a", 4)))
    file._due = 0.0
    assert file.save(path, [("a", 5)], lambda: {"a": 5}, state)
    assert read_cursor(path) == Saved({"a": 5}, {"n": 2}, {"a": 5})
    assert len(states) == 2


def test_each_file_begins_with_a_snapshot(tmp_path: Path) -> None:
    file = CursorFile("p")
    for number in range(3):
        assert save(file, tmp_path / str(number % 2), [("a", number)], {"n": number})

    assert read_cursor(tmp_path / "0") == Saved({"a": 2}, {"n": 2}, {"a": 2})


def test_step_that_is_torn_was_not_made(tmp_path: Path) -> None:
    file, path = CursorFile("p"), tmp_path / "cursor"
    for number in range(3):
        save(file, path, [("a", number)])
    whole = path.read_bytes()
    for size in range(len(whole) - 1, whole.index(b"\n"), -1):
        for tail in (b"", bytes(50)):
            path.write_bytes(whole[:size] + tail)
            saved = read_cursor(path)
            assert saved.damage is None
            assert saved.values["a"] < 2


ODD_NUMBERS = ("-1", "1.5", "true", "1e999", "NaN", '"1"', str(2**63))


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_step_to_no_position_is_damage(tmp_path: Path, number: str) -> None:
    path = tmp_path / "cursor"
    step = '[["a", ' + number + "]]\n"
    path.write_text('{"version": 1, "sequences": {"a": 5}, "state": null}\n' + step)
    saved = read_cursor(path)
    assert saved.values == {"a": 5}
    assert saved.damage is not None
    assert saved.damage.offset == 53


@pytest.mark.fault("J21")
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"version": 1}', '{"version": 1, "sequences": []}',
     '{"version": 1, "sequences": {"a": "x"}, "state": null}', "\0" * 100, "[" * 100_000,
     *(f'{{"version": 1, "sequences": {{"a": {one}}}, "state": null}}' for one in ODD_NUMBERS)],
)  # fmt: skip
def test_damaged_cursor_is_told_kept_and_no_position(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "cursor"
    path.write_text(content)
    saved = CursorFile("p").read(path)

    assert (saved.values, saved.state) == ({}, None)
    assert saved.damage is not None
    assert f"the cursor of plugin p is damaged: {path}, byte " in caplog.text
    assert "is delivered again; the file is kept as cursor.damaged" in caplog.text
    assert (tmp_path / "cursor.damaged").read_text() == content
    assert read_cursor(tmp_path / "missing") == Saved()


def test_damage_of_a_state_costs_no_position(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    save(CursorFile("p"), path, [("a", 5)], {"open": [1]})
    path.write_bytes(path.read_bytes().replace(b"[1]", b"[1"))
    saved = CursorFile("p").read(path)

    assert (saved.values, saved.state) == ({"a": 5}, None)
    assert saved.damage is not None
    assert saved.damage.effect == "what was open is lost"


def test_damage_of_a_step_costs_what_was_delivered_since(tmp_path: Path) -> None:
    file, path = CursorFile("p"), tmp_path / "cursor"
    for number in range(5):
        save(file, path, [("a", number)])
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'["a",3]', b'["a"x3]'))
    saved = CursorFile("p").read(path)

    assert saved.values == {"a": 2}
    assert saved.damage is not None
    assert saved.damage.offset == whole.index(b'[["a",3]]')
    assert (tmp_path / "cursor.damaged").exists()


def test_cursor_that_cannot_be_read_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cursor"
    save(CursorFile("p"), path, [("a", 5)])
    opened = os.open

    def busy(name: Any, *arguments: Any, **options: Any) -> int:
        if str(name) == str(path):
            raise OSError(errno.EMFILE, "Too many open files", str(name))
        return opened(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", busy)
        with pytest.raises(StreamUnavailableError, match="cursor: Too many open files"):
            read_cursor(path)
    assert read_cursor(path).values == {"a": 5}


def test_state_that_is_none_is_left_aside(tmp_path: Path) -> None:
    document = {"version": 1, "sequences": {"a": 1}, "state": 5}
    (tmp_path / "cursor").write_text(json.dumps(document))
    assert read_cursor(tmp_path / "cursor").state is None


def test_cursor_that_cannot_be_saved_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = CursorFile("p")
    (tmp_path / "file").write_text("in the way")

    assert not save(file, tmp_path / "file" / "cursor", [("a", 1)])
    assert "the cursor of plugin p is not saved" in caplog.text
    assert not save(file, tmp_path / "cursor", [("a", 1)], {"odd": object()}, last=True)
    assert save(file, tmp_path / "cursor", [("a", 1)], last=True)


def test_snapshot_that_fails_leaves_the_one_before_and_its_steps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, path = CursorFile("p"), tmp_path / "cursor"
    assert save(file, path, [("a", 1)], {"n": 1})
    file._due = 0.0
    assert save(file, path, [("a", 2)], {"odd": object()})  # a step will do until the next try
    assert save(file, path, [("a", 3)], {"odd": object()})

    assert "is not saved" in caplog.text
    assert read_cursor(path) == Saved({"a": 3}, {"n": 1}, {"a": 1}, (("a", 2), ("a", 3)))


def test_nothing_is_appended_behind_a_step_that_was_written_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = CursorFile("p"), tmp_path / "cursor"
    assert save(file, path, [("a", 1)])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:4]))
        assert save(file, path, [("a", 2)])  # with a snapshot in its place
    assert save(file, path, [("a", 3)])

    assert read_cursor(path) == Saved({"a": 3}, None, {"a": 2}, (("a", 3),))


def test_cursor_of_a_run_that_has_gone_is_not_made_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    file, path = CursorFile("p"), run / "cursors" / "p.json"
    assert save(file, path, [("a", 1)])
    shutil.rmtree(run)

    assert save(file, path, [("a", 2)])
    assert save(file, path, [("a", 2)], last=True)
    assert not run.exists()


def test_snapshots_are_synced_each_time_and_steps_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(name: str, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapped(descriptor: int) -> None:
            synced.append(name)
            call(descriptor)

        return wrapped

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, note(name, getattr(os, name)))
    file, path = CursorFile("p"), tmp_path / "cursor"
    save(file, path, [("a", 1)])
    assert synced == ["fsync"] * 3  # what it holds, its name, and that of its folder
    save(file, path, [("a", 2)])
    assert len(synced) == 3
    file._sync_due = 0.0
    save(file, path, [("a", 3)])
    save(file, path, [("a", 4)])
    assert synced[3:] == ["fdatasync"]
    listed = DeliveredRuns(tmp_path / "delivered" / "p")
    listed.note(["20260101T000000.000000Z-" + "ab" * 16])
    assert synced[4:] == ["fdatasync", "fsync", "fsync"]


# What earlier runs have left


def make_log(*events: int) -> EventLog:
    log = EventLog(100, 1 << 20)
    for number in events:
        log.stage(HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"number": number}))
    return log


def save_position(run: Run, sequence: int, state: Mapping[str, Any] | None = None) -> None:
    save(CursorFile("p"), cursor_path(run, "p"), [("sequence", sequence)], state, last=True)


def recovered(
    directory: Path,
    log: EventLog,
    *,
    defers: bool = True,
    run: Callable[[], Run | None] = lambda: None,
    but: Run | None = None,
) -> JournalledLog:
    stream = JournalledLog("p", log, run, defers, directory)
    names = [one.path.name for one in runs_of(directory) if one != but]
    ledger = RunLedger(directory)
    for name in sorted(stream.rests.undelivered(names)):
        one = Run(directory / name)
        saved, end = stream.rests.saved_in(one), end_of(one, ledger)
        stream.skipped += stream.rests.add(one, saved, end, replays=defers) or 0
    stream.begin()
    return stream


def test_rest_of_earlier_runs_stands_before_the_log(tmp_path: Path) -> None:
    first, _ = write_run(tmp_path, range(5))
    save_position(first, 3, {"n": 1})
    done, _ = write_run(tmp_path, [77])
    save_position(done, 1)
    write_run(tmp_path, range(10, 13))
    stream = recovered(tmp_path, make_log(20, 21))

    assert (stream.start, stream.bounds, stream.state) == (-5, (-5, 2), {"n": 1})
    assert numbers_of(stream.read(-5, 2)) == [3, 4]
    assert numbers_of(stream.read(-3, 2)) == [10, 11]
    assert numbers_of(stream.read(-5, 100)) == [3, 4, 10, 11, 12]  # of two runs at once
    assert numbers_of(stream.read(-1, 100)) == [12]
    assert numbers_of(stream.read(0, 100)) == [20, 21]
    assert stream.rests.runs == [first, list(runs_of(tmp_path))[2]]


def test_commit_is_saved_in_the_run_that_it_lies_in(tmp_path: Path) -> None:
    first, _ = write_run(tmp_path, range(5))
    second, _ = write_run(tmp_path, range(10, 13))
    own, writer = write_run(tmp_path, [20], end="living")
    stream = recovered(tmp_path, make_log(20, 21), run=lambda: own, but=own)

    def saved(run: Run) -> int | None:
        return read_cursor(cursor_path(run, "p")).values.get("sequence")

    def delivered() -> set[str]:
        listed = DeliveredRuns(tmp_path / "delivered" / "p")
        listed.read([run.path.name for run in runs_of(tmp_path)])
        return listed.names

    stream.commit(-6, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [2, None, None]
    stream.commit(-2, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [2, 1, None]
    assert delivered() == {first.path.name}
    stream.commit(1, nothing, last=True)
    assert [saved(run) for run in (first, second, own)] == [2, 1, 1]
    assert delivered() == {first.path.name, second.path.name}
    writer.close()


def test_state_survives_the_runs_that_it_comes_from(tmp_path: Path) -> None:
    write_run(tmp_path, range(5))
    write_run(tmp_path, range(10, 13))
    stream = recovered(tmp_path, make_log())
    stream.commit(0, lambda: {"open": 1}, last=True)

    again = recovered(tmp_path, make_log())
    assert (again.start, again.state) == (0, {"open": 1})
    assert list(again.since_state()) == []


def test_what_came_since_the_state_is_read_again_for_it(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(20))
    stream = recovered(tmp_path, make_log())
    for position in (-16, -12, -10):
        stream.commit(position, lambda: {"at": 4}, last=False)
    again = recovered(tmp_path, make_log())

    assert (again.start, again.state) == (-10, {"at": 4})
    replayed = [event.payload["number"] for events in again.since_state() for event in events]
    assert replayed == list(range(4, 10))
    assert numbers_of(again.read(-10, 100)) == list(range(10, 20))
    run.remove()
    assert list(recovered(tmp_path, make_log()).since_state()) == []


def test_list_of_what_was_delivered_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, range(5))
    recovered(tmp_path, make_log()).commit(0, nothing, last=True)
    opened = os.open

    def busy(name: Any, *arguments: Any, **options: Any) -> int:
        if "delivered" in str(name):
            raise OSError(errno.EIO, "Input/output error", str(name))
        return opened(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", busy)
        with pytest.raises(StreamUnavailableError, match="Input/output error"):
            recovered(tmp_path, make_log())
    assert recovered(tmp_path, make_log()).start == 0


def test_finished_runs_that_cannot_be_noted_are_noted_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path, range(5))
    write_run(tmp_path, range(10, 13))
    stream = recovered(tmp_path, make_log())
    (tmp_path / "delivered").write_text("in the way")
    stream.commit(-3, nothing, last=False)
    assert "it is not noted what plugin p has" in caplog.text
    (tmp_path / "delivered").unlink()
    stream.commit(0, nothing, last=False)

    assert recovered(tmp_path, make_log()).start == 0


def test_plugin_that_does_not_replay_skips_what_was_left_and_counts_it(tmp_path: Path) -> None:
    write_run(tmp_path, range(5))
    stream = recovered(tmp_path, make_log(20), defers=False)
    account = Account(stream, stream)

    assert numbers_of(account.read(10)) == [20]
    account.ledger.settle_offered(Place.DELIVERED)
    counts = account.counts()
    assert (counts.emitted, counts.delivered, counts.dropped) == (6, 1, {"not_replayed": 5})
    assert account.ledger.lost == 0
    assert recovered(tmp_path, make_log(), defers=False).skipped == 0


def test_part_of_a_run_that_is_gone_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(900))
    segments = run.segments()
    assert len(segments) > 2
    segments[0][1].unlink()
    stream = recovered(tmp_path, make_log(20))
    account = Account(stream, stream)
    got: list[int] = []
    while events := account.read(100).events:
        got += [event.payload["number"] for event in events]
        account.ledger.settle_offered(Place.DELIVERED)

    counts = account.counts()
    assert got == [*range(got[0], 900), 20]
    assert (counts.emitted, counts.dropped) == (901, {"expired": got[0]})
    assert counts.delivered == 901 - got[0]


def test_run_that_goes_while_it_is_delivered_is_counted_as_expired(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(5))
    stream = recovered(tmp_path, make_log(20))
    run.remove()
    account = Account(stream, stream)

    assert numbers_of(account.read(10)) == [20]
    assert account.counts().dropped == {"expired": 5}
    stream.commit(1, nothing, last=True)  # there is no run to save it in


def test_who_is_behind_the_log_in_memory_goes_on_from_the_disk(tmp_path: Path) -> None:
    run, writer = write_run(tmp_path, range(300), end="living")
    log = make_log(*range(300))
    stream = JournalledLog("p", log, lambda: run)
    account = Account(stream, stream)
    got: list[int] = []
    while events := account.read(64).events:
        got += [event.payload["number"] for event in events]
        account.ledger.settle_offered(Place.DELIVERED)

    assert log.bounds == (200, 300)
    assert got == list(range(300))
    assert account.counts().dropped == {}
    writer.close()
    run.remove()
    assert stream.read(0, 10).skipped == 200


def test_forks_child_leaves_earlier_runs_to_its_parent(tmp_path: Path) -> None:
    write_run(tmp_path, range(5))
    stream = recovered(tmp_path, make_log())
    account = Account(stream, stream)
    account.begin_anew()

    assert (stream.start, stream.rests.runs) == (0, [])
    assert account.counts().emitted == 0
