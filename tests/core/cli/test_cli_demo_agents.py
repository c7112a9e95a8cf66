"""``hvobs demo --agents`` where no framework is installed: two agents in our own terms."""

import json
import re
from pathlib import Path

import pytest

from hypervisor_observability.cli.demo.desk import run as desk
from hypervisor_observability.facts.payload_check import misfits
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.markdown import blocks_of
from tests.sources.pages import commands_of, matches

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "demo.md"

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_page_shows_what_the_agents_do() -> None:
    (shown,) = [
        command.shown
        for block in blocks_of(PAGE)
        if block.language == "console"
        for command in commands_of(block.text, block.line)
        if command.text == "hvobs demo --agents"
    ]
    result = run_hvobs("demo", "--agents")

    assert result.exit_code == 0, result.output
    assert matches(result.output, shown), result.output


def test_tokens_and_cost_are_those_of_the_calls() -> None:
    told = json.loads(run_hvobs("demo", "--agents", "--json").stdout)
    (trace,) = told["traces"]
    (desk_run,) = [one for one in trace["work"] if one["kind"] == "run"]

    assert (told["ok"], told["answer"]) == (True, "Your 42.00 EUR are on their way.")
    assert desk_run["usage"]["input_tokens"] == 412 + 467 + 508 + 561 + 590
    assert desk_run["usage"]["output_tokens"] == 18 + 11 + 16 + 18 + 14


def test_events_are_written_for_other_commands(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    shown = run_hvobs("demo", "--agents", "--events", file)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    tree = run_hvobs("tree", file)

    assert (shown.exit_code, tree.exit_code) == (0, 0)
    assert "tool refund" in tree.stdout
    for event in events:
        assert misfits(event["event_type"], event["payload"]) == {}, event


def test_source_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "installed_plugins", dict)
    result = run_hvobs("demo", "--agents")

    assert result.exit_code == 0, result.output
    assert "plain Python: the plugin hypervisor-langchain is not installed" in result.stderr


def test_backends_of_a_configuration_get_it() -> None:
    write_config('[plugins.journal]\ndirectory = "journal"\n')
    result = run_hvobs("demo", "--agents", "--config", "hypervisor.toml")

    assert result.exit_code == 0, result.output
    assert "the plugin hypervisor-langchain is not on" in result.stderr
    kept = run_hvobs("tree")
    assert re.findall(r"(tool|agent) (\w+)", kept.stdout) == re.findall(
        r"(tool|agent) (\w+)", result.stdout
    )


def test_backend_that_takes_nothing_is_told(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "FLUSH_SECONDS", 0.5)
    write_config(
        f'stop_timeout_seconds = 0.1\n[plugins.otel]\nendpoint = "http://127.0.0.1:{free_port}"\n'
    )
    result = run_hvobs("demo", "--agents", "--config", "hypervisor.toml")

    assert result.exit_code == 1
    assert "Error: otel: " in result.stderr
    assert "agent billing" in result.stdout


def test_agents_run_without_a_plugin_and_where_all_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "installed_plugins", dict)
    bare = run_hvobs("demo", "--agents")
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")
    disabled = run_hvobs("demo", "--agents")

    for result in (bare, disabled):
        assert (result.exit_code, result.stdout.count("tool look_up")) == (0, 2), result.output


def test_option_that_keeps_a_project_is_refused() -> None:
    result = run_hvobs("demo", "--agents", "--keep")

    assert (result.exit_code, "no project" in result.stderr) == (2, True)
