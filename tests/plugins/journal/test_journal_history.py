"""What a journal tells of the past: whose events, how many, in which order, and how far it is."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_journal import JournalConfig, JournalPlugin
from hypervisor_journal.format.frames import CHECKSUM_BYTES
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.stores import EVERYTHING, Entry, History, HistoryContext, Wanted
from tests.plugins.journal.journals import damage_second_record, make_event, write, write_two_runs


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path / "journal")


def history_of(directory: Path, context: HistoryContext | None = None) -> History:
    plugin = JournalPlugin(JournalConfig(directory=directory))
    return plugin.open_history(context or HistoryContext(notice=print, indexed=False))


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.event.payload["number"] for entry in entries]


@pytest.mark.parametrize("wanted", [EVERYTHING, Wanted(agent_did="did:mesh:a")])
@pytest.mark.parametrize("indexed", [False, True])
def test_order_and_number_are_those_that_were_asked_for(
    wanted: Wanted, indexed: bool, journal: Path
) -> None:
    history = history_of(journal, HistoryContext(notice=print, indexed=indexed))
    whole = numbers(list(history.events(wanted)))

    assert whole == ([0, 1, 2, 3, 4] if wanted == EVERYTHING else [0, 2, 3, 4])
    assert numbers(list(history.events(wanted, newest_first=True))) == whole[::-1]
    for limit in range(7):
        newest = whole[max(0, len(whole) - limit) :]
        assert numbers(list(history.events(wanted, limit=limit))) == newest
        turned = list(history.events(wanted, limit=limit, newest_first=True))
        assert numbers(turned) == newest[::-1]
    history.close()


def test_runs_are_told_by_their_names(journal: Path) -> None:
    history = history_of(journal)
    first, second = history.runs()

    assert [first, second] == [run.path.name for run in runs_of(journal)]
    assert numbers(list(history.events(runs=[first]))) == [0, 2, 4]
    assert numbers(list(history.events(runs=[second], limit=1))) == [3]
    assert {entry.run for entry in history.events()} == {first, second}
    assert list(history.events(runs=[])) == []
    assert list(history.events(runs=["20260101T000000.000000Z-" + "0" * 32])) == []  # it has gone
    assert history.place == str(journal)


def test_whoever_waits_is_told_how_far_a_reading_is(tmp_path: Path) -> None:
    write(tmp_path, *(make_event(number) for number in range(1_000)))
    write(tmp_path, make_event(1_000))
    segments = sum(len(run.segments()) for run in runs_of(tmp_path))
    expected: list[int] = []
    steps: list[None] = []
    context = HistoryContext(
        notice=print, indexed=False, expect=expected.append, step=lambda: steps.append(None)
    )

    assert len(list(history_of(tmp_path, context).events())) == 1_001
    assert expected == [segments]
    assert len(steps) == segments > 2


def test_damage_is_told_and_what_a_killed_process_left_is_remarked(journal: Path) -> None:
    first, second = runs_of(journal)
    damage_second_record(first)
    path = second.segment_path(0)
    data, last = path.read_bytes(), [offset for offset, _ in SegmentReader(path).records()][-1]
    # Of the last record, neither its checksum nor its end came to be written.
    path.write_bytes(data[:last] + bytes(CHECKSUM_BYTES) + data[last + CHECKSUM_BYTES : -20])
    notices: list[str] = []
    remarks: list[str] = []
    history = history_of(journal, HistoryContext(notice=notices.append, remark=remarks.append))

    assert numbers(list(history.events())) == [0, 1]
    assert (len(notices), remarks) == (1, [])
    assert "checksum" in notices[0]
    history.close()
    history.close()
    assert len(remarks) == 1
    assert "a run ends in the middle of a record" in remarks[0]
    assert str(path) in remarks[0]


def test_directory_without_a_run_has_no_past_and_gets_no_index(tmp_path: Path) -> None:
    gone, empty, file = tmp_path / "gone", tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.touch()
    notices: list[str] = []
    awaiting = HistoryContext(notice=notices.append, may_be_empty=True)
    for directory, context in (
        (gone, HistoryContext(notice=print)),
        (file, awaiting),
        (empty, HistoryContext(notice=print)),
    ):
        with pytest.raises(NoHistoryError, match="there is no journal in"):
            history_of(directory, context)
    for directory, told in ((empty, 0), (gone, 1)):
        history = history_of(directory, awaiting)

        assert (history.runs(), list(history.events())) == ([], [])
        follower = history.follow()
        assert list(follower.newest(EVERYTHING, 5)) == []
        write(directory, make_event(7))
        assert numbers(list(follower.news())) == [7]
        assert not (directory / "index").exists()
        assert len(notices) == told
        history.close()
    assert "waiting for the first process" in notices[0]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("wanted", [EVERYTHING, Wanted(agent_did="did:mesh:a")])
def test_newest_are_found_without_reading_what_is_older(
    wanted: Wanted, indexed: bool, tmp_path: Path
) -> None:
    write(tmp_path, *(make_event(number) for number in range(1_000)))
    steps: list[None] = []
    context = HistoryContext(notice=print, indexed=indexed, step=lambda: steps.append(None))
    history = history_of(tmp_path, context)

    turned = history.events(wanted, newest_first=True)
    assert [next(turned).event.payload["number"] for _ in range(3)] == [999, 998, 997]
    assert numbers(list(history.events(wanted, limit=2))) == [998, 999]
    assert len(steps) == 0  # in neither was a segment read to its beginning
    assert numbers(list(turned)) == list(range(996, -1, -1))
    history.close()


@given(
    runs=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), max_size=4),
    limit=st.integers(0, 20) | st.none(),
    wanted=st.sampled_from([EVERYTHING, Wanted(session_id="s1")]),
    indexed=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_turned_order_is_the_other_one_turned(
    runs: list[list[int]], limit: int | None, wanted: Wanted, indexed: bool
) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        number = 0
        for pauses in runs:
            moment, events = 1_000_000.0, []
            for pause in pauses:
                moment += pause
                session = "s1" if number % 3 else "s2"
                events.append(make_event(number, timestamp=moment, session_id=session))
                number += 1
            write(directory, *events)
        history = history_of(
            directory, HistoryContext(notice=print, indexed=indexed, may_be_empty=True)
        )
        whole = numbers(list(history.events(wanted)))
        for _ in range(2):  # the second time by the index
            newest = whole if limit is None else whole[max(0, len(whole) - limit) :]
            assert numbers(list(history.events(wanted, limit=limit))) == newest
            turned = numbers(list(history.events(wanted, limit=limit, newest_first=True)))
            assert turned == newest[::-1]
        history.close()


@pytest.mark.parametrize(
    ("asked", "forward", "turned"),
    [
        (EVERYTHING, [0, 1, 3], [3, 1, 0]),
        # The index leads behind the damage before anybody meets it.
        (Wanted(agent_did="did:mesh:a"), [0, 3], [4, 3, 0]),
    ],
)
def test_damage_is_told_in_both_orders(
    asked: Wanted, forward: list[int], turned: list[int], journal: Path
) -> None:
    notices: list[str] = []
    context = HistoryContext(notice=notices.append)
    whole = history_of(journal, context)  # and its index, as it was before
    list(whole.events(asked, newest_first=True))
    first, _ = runs_of(journal)
    path = first.segment_path(0)
    status = path.stat()
    damage_second_record(first)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert numbers(list(whole.events(asked))) == forward
    assert "checksum" in notices[0]
    notices.clear()
    assert numbers(list(whole.events(asked, newest_first=True))) == turned
    assert "checksum" in notices[0]
    whole.close()
