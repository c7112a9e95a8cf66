"""Commands of plugins that ``hvobs`` has under names of its own, and what they can ask for."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hypervisor_observability import Observability
from hypervisor_observability.cli.main import COMMANDS, hvobs
from hypervisor_observability.cli.plugin_command import PluginCommand
from tests.commands import run_hvobs
from tests.configurations import write_config

pytestmark = pytest.mark.usefixtures("elsewhere")
Install = Callable[..., None]

PANEL = """
import json
from pathlib import Path

import click
from attrs import define

from hypervisor_observability import hookimpl


@define(eq=False)
class Plugin:
    @classmethod
    @hookimpl
    def commands(cls):
        @click.command()
        @click.option("--journal", type=click.Path(path_type=Path))
        @click.option("--config", "file", type=click.Path(path_type=Path))
        @click.option("--empty", is_flag=True)
        @click.pass_obj
        def show(context, journal, file, empty):
            with context.history(click.echo, journal=journal, file=file, may_be_empty=empty) as a:
                types = [one.event.event_type.value for one in a.events()]
            click.echo(json.dumps([context.service(file), types]))

        @click.command()
        @click.pass_obj
        def told(context):
            click.echo(json.dumps(context.statuses()))

        @click.command()
        @click.option("--estimate", is_flag=True)
        @click.pass_obj
        def priced(context, estimate):
            click.echo(bool(context.prices(estimate=estimate)))

        return [show, told, priced]

    @hookimpl
    def export_events(self, events):
        pass
"""


@pytest.fixture
def panel(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a plugin with commands, one of which has a name of its own."""
    install("panel", PANEL)
    place = PluginCommand("panel", "show", "acme-panel")
    monkeypatch.setitem(COMMANDS, "look", (place, "Look at it."))


def record(text: str) -> None:
    write_config(text)
    with Observability.from_config(Path("hypervisor.toml")) as observability:
        with observability.recorder.agent("did:mesh:a"):
            pass


@pytest.mark.usefixtures("panel")
def test_command_has_a_name_of_its_own_and_stays_that_of_its_plugin() -> None:
    record("service = 'shop'\n[plugins.journal]\ndirectory = 'journal'\n")
    Path("hypervisor.toml").rename("other.toml")
    expected = ["shop", ["session.joined", "agent.finished"]]

    for words in (["look"], ["panel", "show"]):
        done = run_hvobs(*words, "--config", "other.toml")
        assert (done.exit_code, json.loads(done.stdout)) == (0, expected)
        done = run_hvobs(*words, "--journal", "journal")
        assert (done.exit_code, json.loads(done.stdout)[1]) == (0, expected[1])
    done = run_hvobs("panel", "--config", "other.toml", "show")
    assert json.loads(done.stdout) == expected
    assert "look" in run_hvobs("--help").stdout
    assert "--journal" in run_hvobs("look", "--help").stdout


@pytest.mark.usefixtures("panel")
def test_history_that_is_not_there_is_told_as_by_other_commands() -> None:
    done = run_hvobs("look")
    assert done.exit_code == 2
    assert "name a journal with --journal" in " ".join(done.stderr.split())
    assert run_hvobs("look", "--journal", "nothing").exit_code == 2

    Path("nothing").mkdir()
    done = run_hvobs("look", "--journal", "nothing", "--empty")
    assert (done.exit_code, json.loads(done.stdout)[1]) == (0, [])


@pytest.mark.usefixtures("panel")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no configuration"),
        ("service = 'a'\n", "hypervisor.toml has no [state] directory"),
        ("[state]\ndirectory = 'state'\n", "state is not there: no process"),
        ("[state\n", "not valid TOML"),
    ],
)
def test_nothing_told_by_processes_is_a_reason_and_no_error(text: str | None, reason: str) -> None:
    if text is not None:
        write_config(text)

    told = json.loads(run_hvobs("panel", "told").stdout)

    assert told["processes"] == told["problems"] == []
    assert reason in told["reason"]


@pytest.mark.usefixtures("panel")
def test_what_processes_tell_is_plain_data() -> None:
    record("[state]\ndirectory = 'state'\n[plugins.panel]\n")
    told = json.loads(run_hvobs("panel", "told").stdout)

    assert told["reason"] is None
    assert told["problems"] == []
    assert [one["running"] for one in told["processes"]] == [False]
    assert told["processes"][0]["plugins"]["panel"]["delivered"] == 2


@pytest.mark.usefixtures("panel")
def test_prices_are_those_of_the_configuration_unless_the_command_asks() -> None:
    assert run_hvobs("panel", "priced").stdout == "False\n"
    assert run_hvobs("panel", "priced", "--estimate").stdout == "True\n"
    write_config("[usage]\nestimate_cost = true\n")
    assert run_hvobs("panel", "priced").stdout == "True\n"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            PluginCommand("panes", "show", "acme-panes[x]"),
            "Error: hvobs look needs acme-panes[x]: pip install 'acme-panes[x]'",
        ),
        (
            PluginCommand("panel", "shine", "acme-panel"),
            "Error: hvobs look needs a newer acme-panel: pip install --upgrade acme-panel",
        ),
    ],
)
def test_command_that_is_not_installed_says_what_to_install(
    place: PluginCommand, told: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("panel", PANEL)
    monkeypatch.setitem(COMMANDS, "look", (place, "Look at it."))

    for words in (["look"], ["look", "--journal", "x"], ["look", "--help"]):
        done = run_hvobs(*words)
        assert done.exit_code == 2
        assert told in done.stderr
    assert "Look at it." in run_hvobs("--help").stdout


@pytest.mark.usefixtures("panel")
def test_names_of_its_own_are_completed_where_they_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(COMMANDS, "loom", (PluginCommand("panes", "show", "acme-panes"), "No."))
    context = click.Context(hvobs, resilient_parsing=True)

    assert [one.value for one in hvobs.shell_complete(context, "lo")] == ["look"]


def test_help_imports_no_plugin_for_the_names_of_its_commands() -> None:
    program = (
        "import atexit, sys; from hypervisor_observability.cli.main import hvobs;"
        "atexit.register(lambda: print('hypervisor_web' in sys.modules));"
        "hvobs(['--help'], prog_name='hvobs')"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "serve" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
