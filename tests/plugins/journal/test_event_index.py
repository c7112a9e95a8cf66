"""What a journal's index answers is what reading everything would answer, whatever befell it."""

import os
import random
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_journal.format.frames import HEADER_BYTES, SegmentHeader, record_at
from hypervisor_journal.proof.erasure import erase
from hypervisor_journal.reading import event_index
from hypervisor_journal.reading.event_index import EventIndex, remove_index
from hypervisor_journal.reading.history import JournalHistory, question_of
from hypervisor_journal.reading.index_columns import Columns, IndexedSegment
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.stores import EVERYTHING, Wanted, trace_key
from tests.plugins.journal.journals import SEED, SEGMENT

START = 1_000_000
TYPES = (EventType.VFS_WRITE, EventType.AGENT_KILLED, EventType.custom("acme.paid"))
SESSIONS = (None, "session-1", "session-2", "ß\u2028")
AGENTS = (None, "did:mesh:a", "did:mesh:b")
TRACES = (None, "a1b2c3d4e5f6", trace_key("a1b2c3d4e5f6"), "checkout", "é")
OF_ONE = Wanted(session_id="session-1")

Answer = tuple[list[tuple[str, int, HypervisorEvent, dict[str, object]]], list[str]]


def make_event(number: int, **fields: Any) -> HypervisorEvent:
    dice = random.Random(number)
    trace = dice.choice(TRACES)
    values: dict[str, Any] = {
        "event_id": f"{number:016x}",
        "event_type": dice.choice(TYPES),
        "timestamp": START + dice.randrange(500),
        "session_id": dice.choice(SESSIONS),
        "agent_did": dice.choice(AGENTS),
        "causal_trace_id": trace and f"{trace}/{number:08x}",
        "payload": {"number": number, "secret": "of a person"},
        **fields,
    }
    return HypervisorEvent(**values)


def write(directory: Path, numbers: range, **fields: Any) -> None:
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in numbers:
        writer.append(make_event(number, **fields), lambda _: None)
    writer.close()


def make_journal(directory: Path) -> Path:
    """Of two runs, with three segments and one."""
    write(directory, range(600))
    write(directory, range(600, 700))
    assert sorted(len(run.segments()) for run in runs_of(directory)) == [1, 3]
    return directory


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return make_journal(tmp_path / "journal")


@pytest.fixture(scope="module")
def shared_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_journal(tmp_path_factory.mktemp("shared") / "journal")


def ask(directory: Path, wanted: Wanted, *, index: EventIndex | None = None) -> Answer:
    notices: list[str] = []
    found = [
        (entry.run, entry.sequence, entry.event, dict(entry.event.payload))
        for entry in JournalHistory(directory, notices.append, index).events(wanted)
    ]
    return found, notices


def ask_by_index(directory: Path, wanted: Wanted = OF_ONE) -> Answer:
    index = EventIndex.of(directory)
    try:
        return ask(directory, wanted, index=index)
    finally:
        index.close()


def file_of(directory: Path) -> Path:
    return directory / "index" / "events.sqlite3"


def known_segments(directory: Path) -> int:
    database = sqlite3.connect(file_of(directory))
    (count,) = database.execute("SELECT count(*) FROM segment").fetchone()
    database.close()
    return int(count)


@pytest.fixture
def no_scan(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let nobody read a segment from its beginning any more."""

    def refuse(segment: SegmentReader, *_: object) -> Iterator[object]:
        raise AssertionError(f"{segment.path} was read whole")

    return lambda: monkeypatch.setattr(SegmentReader, "records", refuse)


moments = st.none() | st.integers(START - 10, START + 510).map(lambda second: second * 10**9)
questions = st.builds(
    Wanted,
    event_type=st.none() | st.sampled_from([*TYPES, "nonesuch"]),
    session_id=st.sampled_from([*SESSIONS, "nonesuch"]),
    agent_did=st.sampled_from([*AGENTS, "nonesuch"]),
    trace=st.sampled_from([trace and trace_key(trace) for trace in (*TRACES, "nonesuch")]),
    since_ns=moments,
    until_ns=moments,
)


# Answers


@given(wanted=questions)
@settings(deadline=None)
def test_index_answers_as_reading_everything_does(shared_journal: Path, wanted: Wanted) -> None:
    expected = ask(shared_journal, wanted)
    assert ask_by_index(shared_journal, wanted) == expected
    assert ask_by_index(shared_journal, wanted) == expected


@given(wanted=questions, numbers=st.lists(st.integers(1_000, 2_000), unique=True, max_size=20))
@settings(deadline=None, max_examples=50)
def test_index_answers_of_any_events(
    tmp_path_factory: pytest.TempPathFactory, wanted: Wanted, numbers: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("any")
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for number in numbers:
        writer.append(make_event(number), lambda _: None)
    writer.close()
    expected = ask(directory, wanted)
    for _ in range(2):
        assert ask_by_index(directory, wanted) == expected


def test_second_question_reads_only_what_it_asks_for(
    journal: Path, no_scan: Callable[[], None]
) -> None:
    wanted = Wanted(agent_did="did:mesh:b", event_type=TYPES[1], until_ns=(START + 99) * 10**9)
    expected = ask(journal, wanted)
    assert expected[0]
    assert ask_by_index(journal) == ask(journal, OF_ONE)
    no_scan()
    assert ask_by_index(journal, wanted) == expected
    assert ask_by_index(journal, Wanted(since_ns=(START + 600) * 10**9)) == ([], [])
    assert ask_by_index(journal, Wanted(until_ns=(START - 1) * 10**9)) == ([], [])


def test_trace_is_found_by_its_short_and_its_wide_form(journal: Path) -> None:
    wide = trace_key("a1b2c3d4e5f6")
    assert wide == trace_key(f"{wide}/0123456789abcdef") == trace_key("a1b2c3d4e5f6/01234567")
    found, _ = ask_by_index(journal, Wanted(trace=wide))
    begins = {str(event.causal_trace_id).partition("/")[0] for _, _, event, _ in found}
    assert begins == {"a1b2c3d4e5f6", wide}


def test_asking_for_everything_or_for_a_part_of_the_answer_makes_no_index(journal: Path) -> None:
    assert ask_by_index(journal, EVERYTHING) == ask(journal, EVERYTHING)
    assert known_segments(journal) == 0
    index = EventIndex.of(journal)
    found = JournalHistory(journal, print, index).events(OF_ONE)
    next(found)
    found.close()  # type: ignore[attr-defined]  # heapq.merge is a generator
    index.close()
    assert known_segments(journal) < 4
    assert ask_by_index(journal) == ask(journal, OF_ONE)


def test_living_run_is_read_from_its_last_segment(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    for number in range(600):
        writer.append(make_event(number), lambda _: None)
    (run,) = runs_of(tmp_path)
    assert ask_by_index(tmp_path) == ask(tmp_path, OF_ONE)
    assert known_segments(tmp_path) == len(run.segments()) - 1
    for number in range(600, 1_300):
        writer.append(make_event(number), lambda _: None)
        if number % 100 == 0:
            assert ask_by_index(tmp_path) == ask(tmp_path, OF_ONE)
    writer.close()
    expected = ask(tmp_path, OF_ONE)
    assert ask_by_index(tmp_path) == expected
    assert known_segments(tmp_path) == len(run.segments())
    assert ask_by_index(tmp_path) == expected


def test_numbers_that_stand_in_two_segments_are_given_once(tmp_path: Path) -> None:
    write(tmp_path, range(600))
    (run,) = runs_of(tmp_path)
    (_, first), (_, second), _ = run.segments()
    header = SegmentReader(second).header()
    last = [record for _, record in SegmentReader(first).records()][-20:]
    repeating = SegmentHeader(
        header.run, header.number, last[0].sequence, header.chain, header.created_ns
    )
    assert ask_by_index(tmp_path) == ask(tmp_path, OF_ONE)
    # As after an error: the segment begins with what the one before was not known to hold.
    rest = second.read_bytes()[HEADER_BYTES:]
    second.write_bytes(repeating.to_bytes() + b"".join(record.to_bytes() for record in last) + rest)
    expected = ask(tmp_path, OF_ONE)
    sequences = [sequence for _, sequence, _, _ in expected[0]]
    assert len(sequences) == len(set(sequences))
    for _ in range(2):
        assert ask_by_index(tmp_path) == expected


# Damage


def test_no_flipped_bit_of_the_index_makes_an_answer_wrong(journal: Path) -> None:
    expected = ask(journal, OF_ONE)
    assert ask_by_index(journal) == expected
    good = file_of(journal).read_bytes()
    dice = random.Random(SEED)
    for _ in range(150):
        damaged = bytearray(good)
        # Most of them where SQLite keeps its own: there are fewer of those bytes.
        reach = len(damaged) if dice.random() < 0.5 else 4_096
        damaged[dice.randrange(reach)] ^= 1 << dice.randrange(8)
        file_of(journal).write_bytes(damaged)
        assert ask_by_index(journal) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda good: b"",
        lambda good: b"no database" * 1_000,
        lambda good: good[:100],
        lambda good: good[: len(good) // 2],
        lambda good: good[:4_096] + bytes(len(good) - 4_096),
        lambda good: good[::-1],
    ],
)
def test_index_that_is_none_is_made_anew(
    journal: Path, make: Callable[[bytes], bytes], no_scan: Callable[[], None]
) -> None:
    expected = ask_by_index(journal)
    file_of(journal).write_bytes(make(file_of(journal).read_bytes()))
    for _ in range(3):  # some damage is seen late, and the index then made by the next question
        assert ask_by_index(journal) == expected
    assert known_segments(journal) == 4
    no_scan()
    assert ask_by_index(journal) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 2",
        "DROP TABLE kept",
        "DELETE FROM kept",
        "UPDATE kept SET data = NULL",
        "UPDATE kept SET data = zeroblob(length(data))",
        "UPDATE kept SET data = (SELECT data FROM kept AS other WHERE other.name = kept.name)",
        "UPDATE segment SET first_ns = 0, last_ns = 0",
        "UPDATE segment SET first_ns = 'x'",
        "UPDATE segment SET run = CAST(x'ff' AS TEXT) WHERE number = 2",
        "UPDATE segment SET number = number + 1000",
    ],
)
def test_what_somebody_wrote_into_the_index_makes_no_answer_wrong(
    journal: Path, statement: str
) -> None:
    expected = ask_by_index(journal)
    database = sqlite3.connect(file_of(journal))
    database.execute(statement)
    database.commit()
    database.close()
    narrow = Wanted(session_id="session-1", since_ns=(START + 100) * 10**9)
    assert ask_by_index(journal, narrow) == ask(journal, narrow)
    assert ask_by_index(journal) == expected
    assert ask_by_index(journal) == expected
    assert known_segments(journal) == 4


def test_damage_at_a_place_that_the_index_names_is_told_as_ever(journal: Path) -> None:
    assert not ask_by_index(journal)[1]
    found, _ = ask(journal, OF_ONE)
    name, sequence, _, _ = found[len(found) // 2]
    run = Run(journal / name)
    path, offset = next(
        (path, offset)
        for _, path in run.segments()
        for offset, record in SegmentReader(path).records()
        if record.sequence == sequence
    )
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if the disk had done it
    expected = ask(journal, OF_ONE)
    assert "cannot be read" in expected[1][0]
    for _ in range(2):
        assert ask_by_index(journal) == expected


def test_segment_that_cannot_be_read_whole_is_not_indexed_and_told_each_time(journal: Path) -> None:
    path = next(runs_of(journal)).segment_path(1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    expected = ask(journal, OF_ONE)
    assert len(expected[1]) == 1
    for _ in range(2):
        assert ask_by_index(journal) == expected
    assert known_segments(journal) == 3


def test_record_that_holds_no_event_is_told_each_time(journal: Path) -> None:
    path = next(runs_of(journal)).segment_path(0)
    data = bytearray(path.read_bytes())
    record = record_at(bytes(data), HEADER_BYTES)
    assert record is not None
    data[HEADER_BYTES : HEADER_BYTES + record.size] = record._replace(
        head=b" " * len(record.head)
    ).to_bytes()
    path.write_bytes(data)
    expected = ask(journal, OF_ONE)
    assert "no event" in expected[1][0]
    for _ in range(2):
        assert ask_by_index(journal) == expected


# In other hands


def test_index_that_somebody_locks_is_done_without(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ask_by_index(journal)
    monkeypatch.setattr(event_index, "_WAIT_SECONDS", 0.01)
    other = sqlite3.connect(file_of(journal), isolation_level=None)
    index = EventIndex.of(journal)
    other.execute("BEGIN EXCLUSIVE")
    assert ask(journal, OF_ONE, index=index) == expected
    assert ask_by_index(journal) == expected
    other.execute("ROLLBACK")
    other.close()
    assert known_segments(journal) == 4


def test_index_that_cannot_be_written_answers_what_it_knows(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_by_index(journal)
    write(journal, range(700, 800))
    next(runs_of(journal)).segment_path(0).unlink()
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(f"{path.as_uri()}?mode=ro", uri=True, **options)
        return database

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", read_only)
        for _ in range(2):
            assert ask_by_index(journal) == ask(journal, OF_ONE)
        assert known_segments(journal) == 4
    assert ask_by_index(journal) == ask(journal, OF_ONE)
    assert known_segments(journal) == 4


def test_index_that_is_removed_while_it_is_open_does_no_harm(journal: Path) -> None:
    expected = ask_by_index(journal)
    index = EventIndex.of(journal)
    remove_index(journal)
    assert ask(journal, OF_ONE, index=index) == expected
    index.close()
    assert ask_by_index(journal) == expected
    assert known_segments(journal) == 4


def test_two_may_make_it_at_once(journal: Path) -> None:
    one, other = EventIndex.of(journal), EventIndex.of(journal)
    answers = zip(
        JournalHistory(journal, print, one).events(OF_ONE),
        JournalHistory(journal, print, other).events(OF_ONE),
        strict=True,
    )
    assert all(first == second for first, second in answers)
    one.close()
    other.close()
    assert known_segments(journal) == 4


def test_index_of_a_journal_that_is_gone_is_none(tmp_path: Path) -> None:
    assert ask_by_index(tmp_path / "gone") == ([], [])
    assert not (tmp_path / "gone").exists()


def test_closed_index_knows_nothing(journal: Path) -> None:
    expected = ask_by_index(journal)
    index = EventIndex.of(journal)
    index.close()
    segment = IndexedSegment("run", 0, 1, 2, 3)
    assert index.find(segment, question_of(OF_ONE)) is None
    index.add(segment, Columns())
    index.keep_only([])
    assert ask(journal, OF_ONE, index=index) == expected


def test_names_that_lead_elsewhere_are_left_alone(tmp_path: Path) -> None:
    def link_folder(folder: Path) -> None:
        folder.symlink_to(outside, target_is_directory=True)

    def link_file(folder: Path) -> None:
        folder.mkdir(mode=0o700)
        (folder / "events.sqlite3").symlink_to(outside / "file")

    def pipe(folder: Path) -> None:
        folder.mkdir(mode=0o700)
        os.mkfifo(folder / "events.sqlite3", 0o600)

    def pipe_beside(folder: Path) -> None:
        folder.mkdir(mode=0o700)
        os.mkfifo(folder / "events.sqlite3-journal", 0o600)

    def folder_for_file(folder: Path) -> None:
        (folder / "events.sqlite3").mkdir(parents=True)

    def file_for_folder(folder: Path) -> None:
        folder.write_text("mine")

    def open_to_all(folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o777)

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    for number, lay in enumerate(
        (link_folder, link_file, pipe, pipe_beside, folder_for_file, file_for_folder, open_to_all)
    ):
        directory = tmp_path / str(number)
        write(directory, range(20))
        lay(directory / "index")
        for _ in range(2):
            assert ask_by_index(directory) == ask(directory, OF_ONE), lay.__name__
        remove_index(directory)
        assert [path.name for path in outside.iterdir()] == ["file"]
        assert (outside / "file").read_text() == "mine"


def test_index_is_for_its_owner_alone(journal: Path) -> None:
    old = os.umask(0)
    try:
        ask_by_index(journal)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file_of(journal).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(journal).parent.stat().st_mode) == 0o700


def test_nothing_is_left_in_the_journal_of_somebody_else(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = journal.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert ask_by_index(journal) == ask(journal, OF_ONE)
    assert not (journal / "index").exists()


# What is gone


def test_segments_that_are_gone_are_forgotten(journal: Path) -> None:
    ask_by_index(journal)
    assert known_segments(journal) == 4
    Retention(max_bytes=2 * SEGMENT).apply(journal)
    left = sum(len(run.segments()) for run in runs_of(journal))
    assert left < 4
    assert ask_by_index(journal) == ask(journal, OF_ONE)
    assert known_segments(journal) == left


def test_segment_and_run_that_go_while_they_are_read_are_passed_over(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = runs_of(journal)
    stretches = RunReader.stretches

    def then_remove(reader: RunReader) -> object:
        found = stretches(reader)
        found[0].path.unlink()
        return found

    monkeypatch.setattr(RunReader, "stretches", then_remove)
    found, notices = ask_by_index(journal, EVERYTHING)
    assert not notices
    gone = len(found)
    assert 0 < gone < 600
    assert {name for name, *_ in found} == {first.path.name}
    index = EventIndex.of(journal)
    second.remove()
    seen = JournalHistory(journal, print, index).events(
        OF_ONE, runs=[first.path.name, second.path.name]
    )
    assert {entry.run for entry in seen} == {first.path.name}
    index.close()


def test_what_was_erased_is_not_in_the_index_nor_in_an_answer(journal: Path) -> None:
    wanted = Wanted(agent_did="did:mesh:a")
    before, _ = ask_by_index(journal, wanted)
    data = file_of(journal).read_bytes()
    for text in (
        b"did:mesh",
        b"of a person",
        b"session-1",
        b"secret",
        b"a1b2c3d4e5f6",
        b"vfs.write",
    ):
        assert text not in data
    count = sum(
        erase(run, lambda event: event.agent_did == "did:mesh:a") for run in runs_of(journal)
    )
    assert count == len(before)
    assert not file_of(journal).exists()
    for _ in range(2):
        after, _ = ask_by_index(journal, wanted)
        assert [one[:2] for one in after] == [one[:2] for one in before]
        assert all(payload == {} for *_, payload in after)


def test_segment_that_was_changed_in_place_is_read_anew(journal: Path) -> None:
    expected = ask_by_index(journal)
    run = next(runs_of(journal))
    kept = file_of(journal).read_bytes()
    erase(run, lambda event: event.session_id == "session-1")
    file_of(journal).write_bytes(kept)  # as when another process held it open
    file_of(journal).chmod(0o600)
    assert ask_by_index(journal) == ask(journal, OF_ONE)
    assert ask_by_index(journal) != expected


def test_more_runs_than_files_may_be_open_are_read_side_by_side(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, range(number, number + 1))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(tmp_path, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 10, limits[1]))
    try:
        found, _ = ask(tmp_path, EVERYTHING)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(found) == 40
