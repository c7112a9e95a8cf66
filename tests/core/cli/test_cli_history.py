"""The commands that ask a store, over a journal: query, tail, tree, replay."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.cli.main import hvobs
from tests.commands import HVOBS, run_hvobs
from tests.configurations import write_config
from tests.plugins.journal.journals import (
    TRACE,
    damage_second_record,
    make_event,
    numbers,
    write,
    write_two_runs,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path / "journal")


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


IMPATIENT = """
from hypervisor_observability.cli import history_option, main
history_option._QUIET_SECONDS = 0
main.main()
"""


def on_a_terminal(*arguments: object, impatient: bool = False) -> tuple[str, str]:
    """What ``hvobs`` writes to a pipe, and to stderr, which is a terminal."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", IMPATIENT] if impatient else HVOBS
    with subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, text=True
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
    written, shown = on_a_terminal("query", "--journal", journal, "--json", impatient=True)
    assert [json.loads(line)["sequence"] for line in written.splitlines()] == [0, 0, 1, 1, 2]
    assert "reading" in shown
    assert "100%" in shown
    replay = ("replay", "--journal", journal, "--config", file)
    written, shown = on_a_terminal(*replay, impatient=True)
    assert "delivered 5 of 5" in written
    assert "replaying" in shown
    assert "100%" in shown
    assert run_hvobs("query", "--journal", journal).stderr == ""


def test_reading_that_takes_no_second_shows_no_bar(journal: Path) -> None:
    _, shown = on_a_terminal("query", "--journal", journal, "--json")

    assert shown == ""


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
    assert "is not a time" in result.stderr


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("query", ""),
        ("tail", ""),
        ("report", ""),
        ("tree", "a file of events, "),
        ("traces", "a file of events, "),
    ],
)
def test_command_says_where_it_looked_for_a_configuration_and_what_to_name(
    command: str, files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run_hvobs(command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(
        "Error: there is no hypervisor.toml in this directory: change to the one that has it,"
        f" or name {files}a journal with --journal, a store with --store, or a configuration with"
        " --config\n"
    )


def test_journal_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gone = run_hvobs("query", "--journal", "gone")
    assert (gone.exit_code, gone.stdout) == (2, "")
    assert f"there is no journal in {tmp_path / 'gone'}: the first program that" in gone.stderr
    Path("hypervisor.toml").write_text('[plugins.journal]\ndirectory = "j"\n')
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
    process = tailing(journal, "-n", "1")
    assert process.stdout is not None

    def shown(count: int) -> list[int]:
        lines = [process.stdout.readline() for _ in range(count)]  # type: ignore[union-attr]  # as above
        return [json.loads(line)["payload"]["number"] for line in lines]

    assert shown(1) == [5]
    for number in range(6, 500):  # more than a segment
        writer.append(make_event(number), lambda _: None)
    assert shown(494) == list(range(6, 500))
    writer.close()
    write(journal, make_event(500))
    assert shown(1) == [500]
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_query_does_without_the_claims(journal: Path) -> None:
    before = run_hvobs("query", "--journal", journal).stdout
    (journal / "claims").mkdir()  # who delivers what is left is of no matter to who reads
    result = run_hvobs("query", "--journal", journal)
    assert (result.exit_code, result.stdout) == (0, before)


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


def test_tree_needs_a_file_or_a_journal_or_a_store(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(journal.parent)
    assert "a file of events, a journal with --journal" in run_hvobs("tree").stderr
    write_config("[plugins.journal]\ndirectory = 'journal'\n")
    by_name = run_hvobs("tree")
    assert by_name.exit_code == 0
    assert by_name.stdout == run_hvobs("tree", "--journal", journal).stdout != ""
    assert run_hvobs("tree", "-", "--journal", journal).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "--limit", "1"],
        ["query", "--agent", "nobody"],
        ["traces"],
        ["tree"],
        ["tree", "--all"],
    ],
    ids=" ".join,
)
def test_damage_is_told_once_however_often_a_command_reads(
    journal: Path, arguments: list[str]
) -> None:
    damage_second_record(next(runs_of(journal)))
    result = run_hvobs(*arguments, "--journal", journal)

    assert result.exit_code == 1
    assert result.stderr.count("cannot be read") == 1


def test_tree_tells_of_damage(journal: Path) -> None:
    damage_second_record(next(runs_of(journal)))
    result = run_hvobs("tree", "--journal", journal)
    assert "cannot be read" in result.stderr


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
    ("journal", "erase", "--subject", "did:a", "--yes"),
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

    # It is none yet, and who delivers once has nothing to wait for.
    assert result.exit_code == 1, result.output
    assert "there is no journal in" in result.output
    assert "nothing was delivered" in result.output


def test_replay_of_no_event_is_no_success(journal: Path, tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "a"\n')
    result = run_hvobs("replay", "--config", config, "--journal", journal, "--from", "100000")

    assert result.exit_code == 1
    assert "no event was chosen" in result.stderr


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
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_observability.host.observability import Observability
def wait(*_, **__):
    print("waits", flush=True)
    threading.Event().wait(600)
    yield
if sys.argv[1] == "replay":
    Observability.flush = lambda *_: next(wait())
else:
    JournalHistory.events = wait
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
        ["journal", "erase", "--subject", "did:none", "--yes"],
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
