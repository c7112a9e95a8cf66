"""``hvobs journal``: verify, erase and key, with a table and without."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hypervisor_journal.proof.anchors import Anchorage
from hypervisor_journal.proof.key_files import make_key_file, take_run_key
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.plugins.journal.journals import (
    damage_second_record,
    make_event,
    write,
    write_two_runs,
)


def of_journal(*arguments: object, **options: Any) -> Result:
    return run_hvobs("journal", *arguments, **options)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path / "journal")


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
    result = run_hvobs(
        "journal", "verify", "--journal", directory, "--anchors", anchors, "--key", key
    )
    assert result.exit_code == 0, result.output
    assert "proven" in result.stdout
    (told,) = json.loads(
        run_hvobs(
            "journal", "verify", "--journal", directory, "--anchors", anchors, "--json"
        ).stdout
    )
    assert (told["verdict"], told["events"], told["anchored"]) == ("proven", 5, 5)


def test_journal_without_an_anchor_is_called_unanchored(
    journal: Path, anchored: tuple[Path, Path, str]
) -> None:
    result = of_journal("verify", "--journal", journal)
    assert result.exit_code == 3
    assert "no anchor vouches for the last 3 events" in result.stdout


def test_directory_without_a_run_proves_nothing(tmp_path: Path) -> None:
    result = of_journal("verify", "--journal", tmp_path)
    assert result.exit_code == 3
    assert "nothing is proven" in result.stderr


@pytest.mark.fault("L3")
def test_first_bad_record_is_named(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    damage_second_record(next(runs_of(directory)))
    result = of_journal("verify", "--journal", directory, "--anchors", anchors)
    assert result.exit_code == 1
    assert "sequence 1: " in result.stdout


def test_anchors_of_another_key_are_refused(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    arguments = ("verify", "--journal", directory, "--anchors", anchors, "--key")
    result = of_journal(*arguments, "00" * 32)
    assert result.exit_code == 1
    assert "1 of 1 anchors were not made with this key" in result.stderr
    assert of_journal(*arguments, "no digits").exit_code == 2


@pytest.mark.fault("J14")
def test_run_that_is_gone_is_told(anchored: tuple[Path, Path, str]) -> None:
    directory, anchors, _ = anchored
    next(runs_of(directory)).remove()
    result = of_journal("verify", "--journal", directory, "--anchors", anchors)
    assert result.exit_code == 3
    assert "is gone" in result.stderr


def test_anchors_are_found_by_the_configuration(
    anchored: tuple[Path, Path, str], tmp_path: Path
) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text('[plugins.journal]\ndirectory = "journal"\nanchor_file = "anchors"\n')
    assert of_journal("verify", "--config", file).exit_code == 0
    file.write_text('[plugins.journal]\ndirectory = "journal"\nanchor_file = "others"\n')
    result = of_journal("verify", "--config", file)
    assert result.exit_code == 3
    assert "there are no anchors in" in result.stderr
    (tmp_path / "others").write_text("no anchor\n")
    assert of_journal("verify", "--config", file).exit_code == 1
    run = next(runs_of(tmp_path / "journal")).path.name
    assert of_journal("verify", "--config", file, "--run", "nonesuch").exit_code == 1
    (tmp_path / "others").unlink()
    assert of_journal("verify", "--config", file, "--run", run[-8:]).exit_code == 3
    assert of_journal("verify", "--config", file, "--run", "nonesuch").exit_code == 2


@pytest.mark.fault("J14")
def test_damaged_line_among_the_anchors_is_told_and_the_others_hold(
    anchored: tuple[Path, Path, str],
) -> None:
    directory, anchors, _ = anchored
    arguments = ("verify", "--journal", directory, "--anchors", anchors)
    whole = anchors.read_text()
    anchors.write_text(whole + whole[:30])  # its process was killed
    assert of_journal(*arguments).exit_code == 0
    anchors.write_text("garbage\n" + whole)
    result = of_journal(*arguments)
    assert result.exit_code == 1
    assert f"{anchors}, line 1: no anchor" in result.stderr
    assert "proven" in result.stdout


# erase


def test_erased_payloads_are_gone_and_the_journal_is_proven_all_the_same(
    anchored: tuple[Path, Path, str],
) -> None:
    directory, anchors, _ = anchored
    write(directory, make_event(9, agent_did="did:mesh:b"))
    assert of_journal("erase", "--journal", directory).exit_code == 2
    arguments = ("erase", "--journal", directory, "--subject", "did:mesh:a")
    declined = of_journal(*arguments, input="n\n")
    assert declined.exit_code == 1
    assert "events of agent did:mesh:a in" in declined.stderr
    assert "erase the payloads of " in declined.stderr
    result = of_journal(*arguments, input="y\n")
    assert (result.exit_code, result.stdout) == (0, "erased 5 payloads\n")

    lines = run_hvobs("query", "--journal", directory, "--json").stdout.splitlines()
    payloads = [json.loads(line)["payload"] for line in lines]
    assert payloads == [{}] * 5 + [{"number": 9}]
    data = next(runs_of(directory)).segment_path(0).read_bytes()
    assert b'{"number"' not in data
    verified = json.loads(
        run_hvobs(
            "journal", "verify", "--journal", directory, "--anchors", anchors, "--json"
        ).stdout
    )
    assert [(one["verdict"], one["erased"]) for one in verified] == [
        ("proven", 5),
        ("unanchored", 0),
    ]
    again = of_journal(*arguments, "--yes")
    assert again.stdout == "erased 0 payloads\n"


def test_run_that_is_being_written_is_left_and_told(journal: Path) -> None:
    writer = JournalWriter(journal, segment_bytes=65_536)
    writer.append(make_event(9, session_id="s2"), lambda _: None)
    result = of_journal("erase", "--journal", journal, "--session", "s2", "--yes")
    assert result.exit_code == 1
    assert result.stdout == "erased 1 payloads\n"
    assert "is being written" in result.stderr
    writer.close()


# Without a table, or with one that is of no use


BROKEN = {
    "no file": None,
    "no table": "[plugins.statsd]\n",
    "no directory": "[plugins.journal]\nsync_seconds = 1\n",
    "wrong directory": "[plugins.journal]\ndirectory = 5\n",
    "no TOML": "[plugins.journal\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_command_that_is_told_everything_needs_no_configuration(
    text: str | None, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        write_config(text)

    assert of_journal("verify", "--journal", journal).exit_code == 3
    made = of_journal("key", "keys")
    assert (made.exit_code, len(made.stdout.strip())) == (0, 64), made.stderr
    listed = of_journal("--help")
    assert [name for name in ("erase", "key", "verify") if name in listed.stdout] == [
        "erase",
        "key",
        "verify",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no journal: name its directory with --journal, or in [plugins.journal]"),
        ("[plugins.statsd]\n", "no journal: name its directory with --journal"),
        ("[plugins.journal]\nsync_seconds = 1\n", "plugins.journal.directory: "),
        ("[plugins.journal]\ndirectory = 5\n", "hypervisor.toml:2: plugins.journal.directory: "),
        ("[plugins.journal\n", "hypervisor.toml:1: not valid TOML"),
        ("[journal]\ndirectory = 'journal'\n", "hypervisor.toml:1: journal: "),
    ],
)
@pytest.mark.parametrize("words", [("verify",), ("erase", "--subject", "did:a", "--yes")])
def test_command_that_is_told_nothing_says_what_is_missing(
    words: tuple[str, ...],
    text: str | None,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        write_config(text)

    result = of_journal(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_configuration_is_named_before_the_command_or_behind_it(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # What else is wrong in it does not matter, and the directory starts at the file's own.
    file = write_config(
        "servce = 1\n[plugins.journal]\ndirectory = 'journal'\n", tmp_path / "h.toml"
    )

    before = of_journal("--config", file, "verify", "--json")
    behind = of_journal("verify", "--config", file, "--json")
    named = of_journal("verify", "--journal", journal, "--json")

    assert (before.exit_code, behind.exit_code, named.exit_code) == (3, 3, 3)
    assert before.stdout == behind.stdout == named.stdout
    assert len(json.loads(named.stdout)) == 2
