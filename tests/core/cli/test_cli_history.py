"""The commands over a journal: query, tail, tree, verify, erase, replay."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.cli import output
from hypervisor_observability.cli.main import hvobs
from hypervisor_observability.cli.tail import Followed
from hypervisor_observability.journal.anchors import Anchorage, make_key_file, take_run_key
from hypervisor_observability.journal.frames import HEADER_BYTES
from hypervisor_observability.journal.history import EVERYTHING, Entry, History, Wanted
from hypervisor_observability.journal.runs import Run, runs_of
from hypervisor_observability.journal.segment_reader import SegmentReader
from hypervisor_observability.journal.writer import JournalWriter

HVOBS = (sys.executable, "-c", "from hypervisor_observability.cli.main import main; main()")
TRACE = "a1b2c3d4e5f6"


def make_event(number: int, **fields: Any) -> HypervisorEvent:
    values: dict[str, Any] = {
        "event_type": EventType.VFS_WRITE,
        "timestamp": 1_000_000.0 + number,
        "session_id": "s1",
        "agent_did": "did:mesh:a",
        "payload": {"number": number},
        **fields,
    }
    return HypervisorEvent(**values)


def write(directory: Path, *events: HypervisorEvent) -> Run:
    known = set(runs_of(directory))
    writer = JournalWriter(directory, segment_bytes=65_536)
    for event in events:
        writer.append(event, lambda _: None)
    writer.close()
    (run,) = set(runs_of(directory)) - known
    return run


def run_hvobs(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(hvobs, [*map(str, arguments)], **options)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two runs whose events interleave."""
    directory = tmp_path / "journal"
    write(directory, *(make_event(number) for number in (0, 2, 4)))
    write(
        directory,
        make_event(1, event_type=EventType.AGENT_KILLED, agent_did="did:mesh:b"),
        make_event(3, session_id="s2", causal_trace_id=f"{TRACE}/01234567"),
    )
    return directory


def damage_second_record(run: Run) -> None:
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    _, second, *_ = [offset for offset, _ in SegmentReader(path).records()]
    data[second + 100] ^= 1
    path.write_bytes(data)


def numbers(result: Result) -> list[int]:
    return [json.loads(line)["payload"]["number"] for line in result.stdout.splitlines()]


# query


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), [0, 1, 2, 3, 4]),
        (("--type", "security.agent_killed"), [1]),
        (("--agent", "did:mesh:a"), [0, 2, 3, 4]),
        (("--session", "s2"), [3]),
        (("--trace", TRACE), [3]),
        (("--trace", f"{TRACE}/01234567"), [3]),
        (("--since", "1970-01-12T13:46:42"), [2, 3, 4]),
        (("--until", "1970-01-12T13:46:42+00:00"), [0, 1, 2]),
        (("--since", "5m"), []),
        (("--limit", "2"), [3, 4]),
        (("--limit", "0"), []),
        (("--agent", "did:mesh:a", "--limit", "1", "--until", "1970-01-12T13:46:43Z"), [3]),
    ],
)
def test_query_gives_the_events_of_all_runs_by_time(
    journal: Path, filters: tuple[str, ...], expected: list[int]
) -> None:
    result = run_hvobs("query", "--journal", journal, "--json", *filters)
    assert result.exit_code == 0, result.output
    assert numbers(result) == expected


@pytest.mark.parametrize("command", ["query", "tree", "report"])
def test_index_is_made_by_a_question_unless_it_is_not_to_be(journal: Path, command: str) -> None:
    arguments = (command, "--journal", journal, "--trace", TRACE)
    without = run_hvobs(*arguments, "--no-index")
    assert without.exit_code == 0, without.output
    assert not (journal / "index").exists()
    for _ in range(2):
        result = run_hvobs(*arguments)
        assert (result.exit_code, result.stdout) == (0, without.stdout)
        assert (journal / "index").is_dir()


def on_a_terminal(*arguments: object) -> tuple[str, str]:
    """What ``hvobs`` writes to a pipe, and to stderr, which is a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*HVOBS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end was closed
            while chunk := os.read(ours, 65_536):
                shown += chunk
        written, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, shown
    return written, shown.decode()


@pytest.mark.slow
def test_bar_shows_on_a_terminal_how_far_reading_is(journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text('[plugins.prometheus]\nport = 0\nserve = false\ntextfile = "metrics.prom"\n')
    written, shown = on_a_terminal("query", "--journal", journal, "--json")
    assert [json.loads(line)["sequence"] for line in written.splitlines()] == [0, 0, 1, 1, 2]
    assert "reading" in shown
    assert "100%" in shown
    written, shown = on_a_terminal("replay", "--journal", journal, "--config", file)
    assert "delivered 5 of 5" in written
    assert "replaying" in shown
    assert "100%" in shown
    assert run_hvobs("query", "--journal", journal).stderr == ""


def test_query_tells_where_each_event_stands(journal: Path) -> None:
    lines = run_hvobs("query", "--journal", journal, "--json").stdout.splitlines()
    first, second = map(json.loads, lines[:2])
    runs = list(runs_of(journal))
    assert (first["run"], first["sequence"]) == (runs[0].path.name, 0)
    assert (second["run"], second["sequence"]) == (runs[1].path.name, 0)
    assert HypervisorEvent.from_dict(first) == HypervisorEvent.from_dict(first)
    assert first["timestamp"] == "1970-01-12T13:46:40+00:00"


@pytest.mark.fault("L1")
def test_query_for_people_commands_no_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\u202e\n"
    write(tmp_path, make_event(0, agent_did=hostile, payload={hostile: "x" * 1_000}))
    result = run_hvobs("query", "--journal", tmp_path)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.isprintable()
    assert line.endswith("…")


@pytest.mark.fault("L3")
def test_query_tells_of_what_it_cannot_read_and_goes_on(journal: Path) -> None:
    damage_second_record(next(runs_of(journal)))
    result = run_hvobs("query", "--journal", journal, "--json")
    assert result.exit_code == 1
    assert numbers(result) == [0, 1, 3]
    assert "cannot be read" in result.stderr
    assert "checksum" in result.stderr


@pytest.mark.parametrize("moment", ["yesterday", "x", "99999999999d", "2026-13-01"])
def test_time_that_is_none_is_refused(journal: Path, moment: str) -> None:
    result = run_hvobs("query", "--journal", journal, "--since", moment)
    assert result.exit_code == 2
    assert "is no time" in result.stderr


def test_journal_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "name its directory with --journal" in run_hvobs("query").stderr
    assert "there is no journal in gone" in run_hvobs("query", "--journal", "gone").stderr
    Path("hypervisor.toml").write_text('[journal]\ndirectory = "j"\n')
    write(Path("j"), make_event(7))
    assert numbers(run_hvobs("query", "--json")) == [7]
    Path("hypervisor.toml").write_text("[bus]\n")
    assert run_hvobs("query").exit_code == 2


# tail


@pytest.fixture
def tailing(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    started = []

    def start(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*HVOBS, "tail", "--journal", str(directory), "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.fault("L4")
@pytest.mark.slow
def test_tail_shows_what_comes_from_old_and_new_runs_once(
    journal: Path, tailing: Callable[..., "subprocess.Popen[str]"]
) -> None:
    writer = JournalWriter(journal, segment_bytes=65_536)
    writer.append(make_event(5), lambda _: None)
    process = tailing(journal, "-n", "2")
    assert process.stdout is not None

    def shown(count: int) -> list[int]:
        lines = [process.stdout.readline() for _ in range(count)]  # type: ignore[union-attr]  # as above
        return [json.loads(line)["payload"]["number"] for line in lines]

    assert shown(2) == [4, 5]
    for number in range(6, 500):  # more than a segment
        writer.append(make_event(number), lambda _: None)
    assert shown(494) == list(range(6, 500))
    writer.close()
    write(journal, make_event(500))
    assert shown(1) == [500]
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_tail_shows_each_event_among_the_first_or_as_news(journal: Path) -> None:
    for wanted in (EVERYTHING, Wanted(agent_did="did:mesh:a")):
        followed = Followed(journal)
        followed.skip()
        writer = JournalWriter(journal, segment_bytes=65_536)
        (first, second, *_) = runs_of(journal)
        # Between looking where the journal ends and reading what stands there.
        writer.append(make_event(100), lambda _: None)

        def shown(entries: Iterable[Entry]) -> list[int]:
            return [entry.event.payload["number"] for entry in entries]

        first_ones = shown(followed.skipped(History(journal, print), wanted, 3))
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


def test_tail_reads_only_the_end_of_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write(tmp_path, *(make_event(number) for number in range(1_000)))
    followed = Followed(tmp_path)
    followed.skip()
    for _, path in run.segments()[:-1]:
        path.write_bytes(path.read_bytes()[:HEADER_BYTES])  # whoever reads them finds nothing
    notices: list[str] = []
    monkeypatch.setattr(output, "note", notices.append)
    found = followed.skipped(History(tmp_path, print), EVERYTHING, 5)
    assert [entry.sequence for entry in found] == [995, 996, 997, 998, 999]
    assert notices == []


def test_tail_goes_on_when_a_run_that_it_follows_goes(journal: Path) -> None:
    followed = Followed(journal)
    followed.skip()
    first, second = runs_of(journal)
    first.remove()
    for _, path in second.segments():
        path.unlink()
    assert list(followed.skipped(History(journal, print), EVERYTHING, 5)) == []
    assert list(followed.news()) == []
    write(journal, make_event(9))
    assert [entry.event.payload["number"] for entry in followed.news()] == [9]


def test_query_does_without_the_claims(journal: Path) -> None:
    before = run_hvobs("query", "--journal", journal).stdout
    (journal / "claims").mkdir()  # who delivers what is left is of no matter to who reads
    result = run_hvobs("query", "--journal", journal)
    assert (result.exit_code, result.stdout) == (0, before)


def test_tail_waits_for_a_directory_that_cannot_be_listed(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Followed(journal)
    followed.skip()
    notices: list[str] = []
    monkeypatch.setattr(output, "note", notices.append)

    def busy(path: object = ".") -> object:
        raise OSError(24, "Too many open files", str(path))

    write(journal, make_event(9))
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", busy)
        for _ in range(3):
            assert list(followed.news()) == []
    assert len([notice for notice in notices if str(journal) + ":" in notice]) == 1
    assert [entry.event.payload["number"] for entry in followed.news()] == [9]


@pytest.mark.fault("L2")
@pytest.mark.slow
def test_tail_ends_when_nobody_reads_it(
    journal: Path, tailing: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = tailing(journal, "-n", "1", "--type", "vfs.write")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    write(journal, make_event(9, event_type=EventType.AGENT_KILLED), make_event(10))
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""


# tree


def test_tree_is_drawn_over_all_runs(tmp_path: Path) -> None:
    root = f"{TRACE}/01234567"
    write(
        tmp_path,
        make_event(0, event_type=EventType.SESSION_JOINED, causal_trace_id=root,
                   payload={"ring": 2}),
    )  # fmt: skip
    write(
        tmp_path,
        make_event(1, event_type=EventType.SESSION_JOINED, agent_did="did:mesh:b",
                   causal_trace_id=f"{TRACE}/89abcdef/01234567", payload={"ring": 3}),
    )  # fmt: skip
    result = run_hvobs("tree", "--journal", tmp_path, "--trace", TRACE)
    assert result.exit_code == 0, result.output
    assert "did:mesh:a" in result.stdout
    assert "└─ agent" in result.stdout
    shown = json.loads(run_hvobs("tree", "--journal", tmp_path, "--json").stdout)
    assert (shown["events"], len(shown["traces"])) == (2, 1)


def test_tree_needs_a_file_or_a_journal(journal: Path) -> None:
    assert "or a journal with --journal" in run_hvobs("tree").stderr
    assert run_hvobs("tree", "-", "--journal", journal).exit_code == 2


def test_tree_tells_of_damage(journal: Path) -> None:
    damage_second_record(next(runs_of(journal)))
    result = run_hvobs("tree", "--journal", journal)
    assert "cannot be read" in result.stderr


# verify


@pytest.fixture
def anchored(tmp_path: Path) -> tuple[Path, Path, str]:
    """A journal, the anchors of its end, and their first key."""
    directory = tmp_path / "journal"
    key = make_key_file(tmp_path / "key")
    writer = JournalWriter(directory, segment_bytes=65_536)
    for number in range(5):
        writer.append(make_event(number), lambda _: None)
    writer.sync()
    assert writer.run is not None
    run_key = take_run_key(tmp_path / "key", writer.run.id)
    anchorage = Anchorage.of(writer.run.id, tmp_path / "anchors", run_key)
    anchorage.anchor(writer.synced.sequence, writer.synced.chain)
    writer.close()
    return directory, tmp_path / "anchors", key


def test_journal_with_an_anchor_at_its_end_is_proven(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, key = anchored
    result = run_hvobs("verify", "--journal", directory, "--anchors", anchors, "--key", key)
    assert result.exit_code == 0, result.output
    assert "proven" in result.stdout
    (told,) = json.loads(
        run_hvobs("verify", "--journal", directory, "--anchors", anchors, "--json").stdout
    )
    assert (told["verdict"], told["events"], told["anchored"]) == ("proven", 5, 5)


def test_journal_without_an_anchor_is_called_unanchored(
    journal: Path, anchored: tuple[Path, Path, str]
) -> None:
    result = run_hvobs("verify", "--journal", journal)
    assert result.exit_code == 3
    assert "no anchor vouches for the last 3 events" in result.stdout


def test_directory_without_a_run_proves_nothing(tmp_path: Path) -> None:
    result = run_hvobs("verify", "--journal", tmp_path)
    assert result.exit_code == 3
    assert "nothing is proven" in result.stderr


@pytest.mark.fault("L3")
def test_first_bad_record_is_named(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    damage_second_record(next(runs_of(directory)))
    result = run_hvobs("verify", "--journal", directory, "--anchors", anchors)
    assert result.exit_code == 1
    assert "sequence 1: " in result.stdout


def test_anchors_of_another_key_are_refused(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    arguments = ("verify", "--journal", directory, "--anchors", anchors, "--key")
    result = run_hvobs(*arguments, "00" * 32)
    assert result.exit_code == 1
    assert "1 of 1 anchors were not made with this key" in result.stderr
    assert run_hvobs(*arguments, "no digits").exit_code == 2


@pytest.mark.fault("J14")
def test_run_that_is_gone_is_told(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    next(runs_of(directory)).remove()
    result = run_hvobs("verify", "--journal", directory, "--anchors", anchors)
    assert result.exit_code == 3
    assert "is gone" in result.stderr


def test_anchors_are_found_by_the_configuration(
    anchored: tuple[Path, Path, str], tmp_path: Path
) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text('[journal]\ndirectory = "journal"\nanchor_file = "anchors"\n')
    assert run_hvobs("verify", "--config", file).exit_code == 0
    file.write_text('[journal]\ndirectory = "journal"\nanchor_file = "others"\n')
    result = run_hvobs("verify", "--config", file)
    assert result.exit_code == 3
    assert "there are no anchors in" in result.stderr
    (tmp_path / "others").write_text("no anchor\n")
    assert run_hvobs("verify", "--config", file).exit_code == 1
    run = next(runs_of(tmp_path / "journal")).path.name
    assert run_hvobs("verify", "--config", file, "--run", "nonesuch").exit_code == 1
    (tmp_path / "others").unlink()
    assert run_hvobs("verify", "--config", file, "--run", run[-8:]).exit_code == 3
    assert run_hvobs("verify", "--config", file, "--run", "nonesuch").exit_code == 2


@pytest.mark.fault("J14")
def test_damaged_line_among_the_anchors_is_told_and_the_others_hold(
    anchored: tuple[Path, Path, str],
) -> None:
    directory, anchors, _ = anchored
    arguments = ("verify", "--journal", directory, "--anchors", anchors)
    whole = anchors.read_text()
    anchors.write_text(whole + whole[:30])  # its process was killed
    assert run_hvobs(*arguments).exit_code == 0
    anchors.write_text("garbage\n" + whole)
    result = run_hvobs(*arguments)
    assert result.exit_code == 1
    assert f"{anchors}, line 1: no anchor" in result.stderr
    assert "proven" in result.stdout


# erase


def test_erased_payloads_are_gone_and_the_journal_is_proven_all_the_same(
    anchored: tuple[Path, Path, str],
) -> None:
    directory, anchors, _ = anchored
    write(directory, make_event(9, agent_did="did:mesh:b"))
    assert run_hvobs("erase", "--journal", directory).exit_code == 2
    arguments = ("erase", "--journal", directory, "--subject", "did:mesh:a")
    declined = run_hvobs(*arguments, input="n\n")
    assert declined.exit_code == 1
    assert "erase what all events of agent did:mesh:a" in declined.stderr
    result = run_hvobs(*arguments, input="y\n")
    assert (result.exit_code, result.stdout) == (0, "erased 5 payloads\n")

    lines = run_hvobs("query", "--journal", directory, "--json").stdout.splitlines()
    payloads = [json.loads(line)["payload"] for line in lines]
    assert payloads == [{}] * 5 + [{"number": 9}]
    data = next(runs_of(directory)).segment_path(0).read_bytes()
    assert b'{"number"' not in data
    verified = json.loads(
        run_hvobs("verify", "--journal", directory, "--anchors", anchors, "--json").stdout
    )
    assert [(one["verdict"], one["erased"]) for one in verified] == [
        ("proven", 5),
        ("unanchored", 0),
    ]
    again = run_hvobs(*arguments, "--yes")
    assert again.stdout == "erased 0 payloads\n"


def test_run_that_is_being_written_is_left_and_told(journal: Path) -> None:
    writer = JournalWriter(journal, segment_bytes=65_536)
    writer.append(make_event(9, session_id="s2"), lambda _: None)
    result = run_hvobs("erase", "--journal", journal, "--session", "s2", "--yes")
    assert result.exit_code == 1
    assert result.stdout == "erased 1 payloads\n"
    assert "is being written" in result.stderr
    writer.close()


# replay


def test_replay_delivers_with_the_times_that_were(journal: Path, tmp_path: Path) -> None:
    output = tmp_path / "lines"
    file = tmp_path / "hypervisor.toml"
    file.write_text('[plugins.prometheus]\nport = 0\nserve = false\ntextfile = "metrics.prom"\n')
    result = run_hvobs("replay", "--journal", journal, "--config", file)
    assert result.exit_code == 0, result.output
    assert "prometheus: delivered 5 of 5" in result.stdout
    text = (tmp_path / "metrics.prom").read_text()
    assert 'events_emitted_total{event_type="vfs.write"} 4.0' in text
    assert not output.exists()
    part = run_hvobs("replay", "--journal", journal, "--config", file, "--from", 1, "--to", 1)
    assert "prometheus: delivered 2 of 2" in part.stdout
    run = next(runs_of(journal)).path.name
    one = run_hvobs("replay", "--journal", journal, "--config", file, "--run", run)
    assert "prometheus: delivered 3 of 3" in one.stdout
    damage_second_record(next(runs_of(journal)))
    assert run_hvobs("replay", "--journal", journal, "--config", file).exit_code == 1


# Directories that are no journal, and files of somebody else


COMMANDS_OVER_A_JOURNAL = [
    ("query",),
    ("report",),
    ("tree",),
    ("erase", "--subject", "did:a", "--yes"),
]


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("words", COMMANDS_OVER_A_JOURNAL)
@pytest.mark.parametrize("holds", ["notes.txt", None])
def test_directory_that_is_no_journal_is_left_as_it_is(
    words: tuple[str, ...], holds: str | None, tmp_path: Path
) -> None:
    if holds is not None:
        (tmp_path / holds).write_text("mine")
    before = everything_in(tmp_path)
    result = CliRunner().invoke(hvobs, [*words, "--journal", str(tmp_path)])

    assert result.exit_code == 2
    assert f"there is no journal in {tmp_path}" in result.stderr
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("words", [("agent", "--once"), ("replay",)])
def test_command_with_plugins_leaves_a_directory_that_is_no_journal_as_it_is(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "a"\n')
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    result = CliRunner().invoke(hvobs, [*words, "--config", str(config), "--journal", str(other)])

    assert result.exit_code == 2
    assert f"there is no journal in {other}" in result.stderr
    assert everything_in(other) == ["notes.txt"]


def test_agent_waits_in_a_directory_that_may_become_a_journal(tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "a"\n')
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "lost+found").mkdir()
    (tmp_path / "journal" / ".gitignore").touch()
    result = CliRunner().invoke(
        hvobs,
        ["agent", "--once", "--config", str(config), "--journal", str(tmp_path / "journal")],
    )

    assert result.exit_code == 0, result.output


def test_replay_saves_nothing_in_the_state_directory_of_the_application(
    journal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('[state]\ndirectory = "state"\n')
    state = tmp_path / "state"
    state.mkdir()
    (state / "status.json").write_text("of the application")
    run_hvobs("replay", "--journal", journal, "--config", config)

    assert everything_in(state) == ["status.json"]
    assert (state / "status.json").read_text() == "of the application"


INTERRUPTED = """
import sys, threading
from hypervisor_observability.cli import main
from hypervisor_observability.journal.history import History
from hypervisor_observability.host.observability import Observability
def wait(*_, **__):
    print("waits", flush=True)
    threading.Event().wait(600)
    yield
if sys.argv[1] == "replay":
    Observability.flush = lambda *_: next(wait())
else:
    History.find = wait
main.main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["query"], ["report"], ["tree"], ["replay"], ["tail"]])
def test_command_ends_on_ctrl_c_wherever_it_waits(
    words: list[str], journal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "a"\n')
    if words != ["tree"]:
        words = [*words, "--config", str(config)]
    if words[0] == "tail":
        words = [*words, "--type", "vfs.write"]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *words, "--journal", str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"waits\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert b"Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ended", "claims", "lock"])
def test_pipe_in_place_of_a_file_of_the_journal_holds_no_command_up(
    name: str, journal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "a"\n')
    place = next(runs_of(journal)).path / name if name == "lock" else journal / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    for words in (
        ["query", "--no-index", "--limit", "1"],
        ["erase", "--subject", "did:none", "--yes"],
        ["agent", "--config", str(config), "--once", "--timeout", "5"],
    ):
        done = subprocess.run(
            [*HVOBS, *words, "--journal", str(journal)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode in {0, 1, 3}, (words, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.returncode != 1 or str(journal) in done.stderr, (words, done.stderr)
