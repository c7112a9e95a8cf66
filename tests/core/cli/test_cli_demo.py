"""``hvobs demo`` where no plugin is installed, and what its options do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hypervisor_observability.cli.demo import keeping as demo_keeping
from hypervisor_observability.cli.demo import run as demo_run
from hypervisor_observability.cli.demo.project import Project
from hypervisor_observability.host.discovery import InstalledPlugin
from tests.commands import run_hvobs
from tests.configurations import write_config

Run = Callable[..., Result]


@pytest.fixture
def run(temporary: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``hvobs demo`` as if no plugin were installed."""
    del temporary, elsewhere

    def nothing_installed() -> dict[str, tuple[InstalledPlugin, ...]]:
        return {}

    monkeypatch.setattr(demo_run, "installed_plugins", nothing_installed)
    monkeypatch.setattr(demo_keeping, "installed_plugins", nothing_installed)
    return lambda *options: run_hvobs("demo", *options)


def test_demo_without_plugins_shows_the_tree_and_names_them(run: Run) -> None:
    result = run()

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[1] == "== Who caused what =="
    assert lines[2].startswith("trace ")
    assert "agent orchestrator" in lines[3]
    for part in ("compensation undo-build", "1 of 5 tests failed", "REFUSED", "BREACH"):
        assert part in result.stdout
    for name in ("prometheus", "otel", "statsd", "jaeger"):
        assert f"{name}: not installed" in lines
    assert "hypervisor-statsd" in lines[-1]
    assert "== Next ==" not in lines  # nothing was kept


def test_progress_is_told_apart_from_the_data(run: Run) -> None:
    result = run()

    assert "orchestrator: undone: removed dist/textkit-1.0.pyz" in result.stderr.splitlines()
    assert "undone: removed" not in result.stdout


def test_events_are_written_for_the_tree_command(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    shown = run("--events", str(file)).stdout.partition("== Who caused what ==\n")[2]

    drawn = run_hvobs("tree", file)

    assert drawn.exit_code == 0
    # The file knows microseconds, the bus nanoseconds: last digits may differ.
    lines = re.sub(r" +\d+ us", "", drawn.stdout).splitlines()
    assert re.sub(r" +\d+ us", "", shown).splitlines()[: len(lines)] == lines
    types = {json.loads(line)["event_type"] for line in file.read_text().splitlines()}
    assert {"session.created", "governance.decision", "saga.compensating"} <= types


def test_file_that_cannot_be_written_is_told_at_once(run: Run, tmp_path: Path) -> None:
    result = run("--events", str(tmp_path / "no-such-folder" / "events.jsonl"))

    assert result.exit_code == 2
    assert "no-such-folder" in result.stderr
    assert "orchestrator" not in result.stderr


def test_summary_is_json(run: Run) -> None:
    summary = json.loads(run("--json").stdout)

    assert summary["ok"] is True
    assert summary["events"] == sum(summary["events_by_type"].values())
    assert summary["sagas"]["release-1.0"] == "compensated"
    assert [plugin["state"] for plugin in summary["plugins"]] == ["not installed"] * 4
    assert summary["folder"] is None


def test_temporary_folder_is_removed(run: Run, temporary: Path) -> None:
    run()

    assert list(temporary.iterdir()) == []


def test_folder_is_kept_on_request(run: Run, temporary: Path) -> None:
    result = run("--keep")

    (folder,) = temporary.iterdir()
    assert f"The project is in {folder}" in result.stdout
    assert (folder / "project/releases/textkit-1.0.1.pyz").is_file()


def test_report_of_the_run_is_one_page(run: Run, tmp_path: Path) -> None:
    result = run("--report", str(tmp_path / "demo.html"))

    page = (tmp_path / "demo.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "release-1.0.1" in page
    assert f"the report is {tmp_path / 'demo.html'}: open it in a browser" in result.stdout


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("options", [[], ["--agents"]])
def test_events_are_kept_and_the_commands_that_are_named_read_them(options: list[str]) -> None:
    first = run_hvobs("demo", *options)
    result = run_hvobs("demo", *options)  # a second time into the same folder

    assert (first.exit_code, result.exit_code) == (0, 0), result.output
    told = result.stdout.partition("== Next ==\n")[2].splitlines()
    commands = [line.partition("  #")[0].split() for line in told]
    assert [words[:2] for words in commands] == [
        ["hvobs", "tree"],
        ["hvobs", "query"],
        ["hvobs", "report"],
        ["hvobs", "serve"],
    ]
    for words in commands[:-1]:  # the last one serves until Ctrl-C
        shown = run_hvobs(*words[1:])
        assert shown.exit_code == 0, shown.output
    assert Path("report.html").read_text().startswith("<!doctype html>")
    assert re.search(r"journal: kept (\d+) of \1 events in the folder hvobs-demo", result.stdout)


@pytest.mark.usefixtures("elsewhere")
def test_journal_of_the_demonstration_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_keeping, "_SEGMENT_BYTES", 2**19)
    monkeypatch.setattr(demo_keeping, "_MAX_BYTES", 2**20)
    for _ in range(40):
        run_hvobs("demo", "--agents", "--json")

    sizes = [file.stat().st_size for file in Path("hvobs-demo").rglob("*") if file.is_file()]
    assert sum(sizes) <= 2**20


def test_folder_that_cannot_be_written_is_told_and_the_demonstration_goes_on(
    elsewhere: None, tmp_path: Path
) -> None:
    del elsewhere
    (tmp_path / "file").touch()

    result = run_hvobs("demo", "--agents", "--journal", tmp_path / "file" / "journal")

    assert result.exit_code == 0, result.output
    assert "journal: kept 0 of 32 events" in result.stdout
    assert "== Next ==" not in result.stdout


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("bin/hvobs", "hvobs"),
        (".venv/bin/hvobs", ".venv/bin/hvobs"),
        ("lib/hypervisor_observability/__main__.py", "python -m hypervisor_observability"),
        ("runner", "hvobs"),
    ],
)
def test_command_is_named_as_it_was_called(
    typed: str, shown: str, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del elsewhere
    for folder in ("bin", ".venv/bin"):
        program = Path(folder, "hvobs")
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    monkeypatch.setattr("sys.argv", [typed, "demo"])

    assert demo_keeping.called() == shown


def test_work_that_goes_wrong_is_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Project, "remove_byte_code", lambda _: [])

    result = run()

    assert result.exit_code == 1
    assert "Error: undoing release 1.0 has left app/textkit/__pycache__" in result.stderr


def test_configuration_without_plugins_is_said_to_have_none(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text('service = "empty"\n')

    result = run("--config", str(config))

    assert result.exit_code == 0, result.output
    assert "the configuration names no backend" in result.stdout
    assert "== Next ==" not in result.stdout  # it names no journal either


@pytest.mark.usefixtures("elsewhere")
def test_journal_of_a_configuration_keeps_the_events_and_is_named() -> None:
    write_config('[plugins.journal]\ndirectory = "mine"\n')

    result = run_hvobs("demo", "--agents", "--config", "hypervisor.toml")

    assert "journal: kept 32 of 32 events as configured" in result.stdout
    assert "hvobs tree --config hypervisor.toml" in result.stdout
    assert not Path("hvobs-demo").exists()


def test_report_that_cannot_be_written_is_told_at_once(run: Run, tmp_path: Path) -> None:
    result = run("--report", str(tmp_path / "no-such-folder" / "demo.html"))

    assert result.exit_code == 2
    assert "there is no such folder" in result.stderr
    assert "orchestrator" not in result.stderr


def test_wrong_configuration_is_exit_code_2_before_any_work(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "hypervisor.toml"
    config.write_text("servce = 'x'\n")

    result = run("--config", str(config))

    assert result.exit_code == 2
    assert "hypervisor.toml:1" in result.stderr
    assert "orchestrator" not in result.stderr


def test_missing_configuration_is_exit_code_2(run: Run, tmp_path: Path) -> None:
    assert run("--config", str(tmp_path / "nowhere.toml")).exit_code == 2
