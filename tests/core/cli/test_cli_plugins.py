"""``hvobs plugins`` and ``hvobs NAME``: what is installed, and the commands of one plugin."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hypervisor_observability import HypervisorEventBus, Recorder
from tests.commands import run_hvobs
from tests.configurations import write_config

pytestmark = pytest.mark.usefixtures("elsewhere")
Install = Callable[..., None]

SOURCE = """
import click
from attrs import define, frozen

from hypervisor_observability import hookimpl


@frozen
class Config:
    url: str = "http://127.0.0.1"


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def commands(self):
        @click.command()
        def open():
            "Open it."
            click.echo(f"opening {self.config.url}")

        return [open]
"""
TRIPWIRE = "raise RuntimeError('was imported')"


def row(done: Result, name: str) -> list[str]:
    """Give the cells of the first line that begins with *name*."""
    lines = [line.split() for line in done.stdout.splitlines()]
    return next(cells for cells in lines if cells[:1] == [name])


def test_installed_plugins_are_listed_and_not_imported(install: Install) -> None:
    install("wire", TRIPWIRE)
    write_config("[plugins.wire]")

    done = run_hvobs("plugins")

    assert done.exit_code == 0
    assert row(done, "NAME")[:2] == ["NAME", "STATE"]
    assert row(done, "wire") == ["wire", "on", "acme-wire", "1.2", "acme_wire"]
    assert "acme_wire" not in sys.modules


def test_without_a_configuration_all_are_off(install: Install) -> None:
    install("wire", TRIPWIRE)

    assert row(run_hvobs("plugins"), "wire")[1] == "off"


def test_plugins_that_only_the_configuration_knows_are_listed(install: Install) -> None:
    install("wire", TRIPWIRE)
    write_config("[plugins.wire]\n[plugins.wier]")

    assert row(run_hvobs("plugins"), "wier") == ["wier", "on", "-", "-", "-", "not", "installed"]


def test_two_that_claim_one_name_are_a_conflict(install: Install) -> None:
    install("wire", TRIPWIRE)
    install("wire", TRIPWIRE, distribution="other")

    done = run_hvobs("plugins")

    assert "also claimed by other" in done.stdout
    assert "also claimed by acme-wire" in done.stdout


def test_list_as_json(install: Install) -> None:
    install("wire", TRIPWIRE)
    write_config("[plugins.statsd]")

    told = json.loads(run_hvobs("plugins", "--json").stdout)

    assert told["config"] == "hypervisor.toml"
    assert {
        "name": "wire",
        "distribution": "acme-wire",
        "version": "1.2",
        "module": "acme_wire",
        "on": False,
        "conflict": None,
    } in told["plugins"]
    assert [one["on"] for one in told["plugins"] if one["name"] == "statsd"] == [True]


@pytest.mark.parametrize("text", ["[plugins", None])
def test_unusable_configuration_leaves_the_list(install: Install, text: str | None) -> None:
    install("wire", TRIPWIRE)
    if text is not None:
        write_config(text)

    done = run_hvobs("plugins", *([] if text else ["--config", "missing.toml"]))

    assert done.exit_code == 2
    assert row(done, "wire")[1] == "?"
    assert ".toml" in done.stderr


def test_nothing_installed_is_said(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_observability.cli.plugins.found_plugins", lambda *_: {})

    done = run_hvobs("plugins")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no plugin is installed\n"


def test_help_lists_plugins_and_imports_none(install: Install) -> None:
    install("wire", TRIPWIRE)
    install("check", TRIPWIRE)  # a name that a command has: the command wins

    done = run_hvobs("--help")

    assert done.exit_code == 0
    assert "Plugins (hvobs NAME --help):" in done.stdout
    assert row(done, "wire") == ["wire", "acme-wire", "1.2"]
    assert row(done, "check")[1] == "Check"


def test_plugins_command_runs_with_its_defaults(install: Install) -> None:
    install("panel", SOURCE)
    install("wire", TRIPWIRE)

    done = run_hvobs("panel", "open")

    assert (done.exit_code, done.stdout) == (0, "opening http://127.0.0.1\n")
    assert "acme_wire" not in sys.modules


@pytest.mark.parametrize("options", [[], ["--config", "hypervisor.toml"]])
def test_plugins_command_runs_with_its_table(install: Install, options: list[str]) -> None:
    install("panel", SOURCE)
    install("wire", TRIPWIRE)
    # Neither another plugin nor what is wrong elsewhere is of this command's concern.
    write_config('servce = 1\n[plugins.wire]\n[plugins.panel]\nurl = "http://db"')

    done = run_hvobs("panel", *options, "open")

    assert (done.exit_code, done.stdout) == (0, "opening http://db\n")


def test_commands_of_a_plugin_are_listed(install: Install) -> None:
    install("panel", SOURCE)

    done = run_hvobs("panel", "--help")

    assert done.exit_code == 0
    assert "The plugin panel, and its commands." in done.stdout
    assert row(done, "open") == ["open", "Open", "it."]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("urll = 1", "hypervisor.toml:2: plugins.panel.urll: unknown key (did you mean 'url'?)"),
        ("url = '${NO_SUCH_VARIABLE}'", "hypervisor.toml:2: plugins.panel.url: "),
    ],
)
def test_what_is_wrong_in_its_table_is_told(install: Install, table: str, problem: str) -> None:
    install("panel", SOURCE)
    write_config(f"[plugins.panel]\n{table}")

    done = run_hvobs("panel", "open")

    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in done.stderr


def test_file_that_is_no_toml_is_told(install: Install) -> None:
    install("panel", SOURCE)
    write_config("[plugins")

    assert run_hvobs("panel", "open").stderr.startswith("hypervisor.toml:1: not valid TOML")


def test_plugin_that_cannot_be_imported_is_told(install: Install) -> None:
    install("wire", TRIPWIRE)

    done = run_hvobs("wire", "open")

    assert done.exit_code == 2
    assert done.stderr == (
        "hvobs wire: plugins.wire: acme-wire 1.2 fails on import (RuntimeError: was imported)\n"
    )


@pytest.mark.parametrize(
    ("name", "hint"), [("opne", "did you mean 'open'?"), ("zzz", "there are: open")]
)
def test_unknown_command_of_a_plugin_is_a_usage_error(
    install: Install, name: str, hint: str
) -> None:
    install("panel", SOURCE)

    done = run_hvobs("panel", name)

    assert done.exit_code == 2
    assert f"no such command of panel: '{name}' ({hint})" in done.stderr
    assert run_hvobs("panel", "--nonsense").exit_code == 2


def test_plugin_without_commands_says_so(install: Install) -> None:
    install("panel", SOURCE.replace("return [open]", "return None"))

    done = run_hvobs("panel", "open")

    assert done.exit_code == 2
    assert "the plugin 'panel' has no commands of its own" in done.stderr


@pytest.mark.parametrize(
    ("given", "why"),
    [("[1]", "AttributeError"), ("[__import__('types').SimpleNamespace(name='x')]", "TypeError")],
)
def test_what_is_no_command_is_refused(install: Install, given: str, why: str) -> None:
    install("panel", SOURCE.replace("[open]", given))

    done = run_hvobs("panel", "open")

    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: the plugin 'panel' cannot give its commands: {why}")


def test_unknown_name_may_mean_a_plugin(install: Install) -> None:
    install("weblog", SOURCE)

    assert "(did you mean 'weblog'?)" in run_hvobs("weblgo").stderr


# Links of `hvobs tree`

LINKING = """
from attrs import define, frozen

from hypervisor_observability import hookimpl


@frozen
class Config:
    url: str = "http://127.0.0.1"


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @hookimpl
    def trace_url(self, trace):
        if self.config.url == "":
            raise OSError("no address")
        return f"{self.config.url}/t/{trace}\\x1b"
"""


def recorded(file: Path) -> str:
    """Write the events of a saga to *file*, and give the 32 digits of its trace."""
    bus = HypervisorEventBus()
    with Recorder(bus).agent("did:mesh:a") as agent:
        pass
    file.write_text("".join(f"{json.dumps(event.to_dict())}\n" for event in bus.query()))
    return agent.trace.to_w3c()[0]


def test_links_lead_to_the_backends_of_the_configuration(install: Install, tmp_path: Path) -> None:
    install("linking", LINKING)
    config = write_config('[plugins.linking]\nurl = "https://ui"\n')
    trace = recorded(tmp_path / "events.jsonl")

    def tree(*options: object) -> Result:
        return run_hvobs("tree", tmp_path / "events.jsonl", *options)

    drawn = tree("--links", "--config", config)
    data = json.loads(tree("--links", "--json", "--config", config).stdout)

    assert drawn.exit_code == 0
    assert drawn.stdout.splitlines()[-1] == f"linking: https://ui/t/{trace}\\x1b"
    assert data["traces"][0]["links"] == {"linking": f"https://ui/t/{trace}\\x1b"}
    assert "links" not in json.loads(tree("--json").stdout)["traces"][0]


def test_link_that_cannot_be_had_is_told_and_the_tree_is_drawn(
    install: Install, tmp_path: Path
) -> None:
    install("linking", LINKING)
    config = write_config('[plugins.linking]\nurl = ""\n')
    recorded(tmp_path / "events.jsonl")
    drawn = run_hvobs("tree", tmp_path / "events.jsonl", "--links", "--config", config)

    assert drawn.exit_code == 0
    assert "did:mesh:a" in drawn.stdout
    assert "plugin linking gives no link: " in drawn.stderr


# Commands of a class, which need no table

OF_THE_CLASS = """
import click
from attrs import define, frozen

from hypervisor_observability import hookimpl


@frozen
class Config:
    url: str  # it must be set


@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    @classmethod
    @hookimpl
    def commands(cls):
        @click.command()
        @click.option("--url")
        @click.pass_obj
        def open(context, url):
            settings = context.settings() if url is None else None
            click.echo(f"opening {url or (settings and settings.url)}")
            click.echo(f"state {context.state_directory()}")

        return [open]

    @hookimpl
    def export_events(self, events):
        pass
"""


@pytest.mark.parametrize(
    ("text", "words", "code", "told"),
    [
        (None, ["--url", "u"], 0, "opening u\nstate None\n"),
        (None, [], 0, "opening None\nstate None\n"),
        ("[plugins.panel]\nurl = 'u'\n", [], 0, "opening u\nstate None\n"),
        ("[plugins.wire]\n[plugins.panel]\nurl = 'u'\n", [], 0, "opening u\nstate None\n"),
        ("[plugins.panel]\n", [], 2, "hypervisor.toml:1: plugins.panel.url: "),
        ("[plugins.panel]\nurl = 1\n", [], 2, "hypervisor.toml:2: plugins.panel.url: "),
        ("[panel]\nurl = 'u'\n", [], 2, "hypervisor.toml:1: panel: unknown table"),
        (
            "[plugins.panel]\nurl = '${NO_SUCH_VARIABLE}'\n",
            [],
            2,
            "hypervisor.toml:2: plugins.panel",
        ),
        ("[plugins.panel]\n", ["--url", "u"], 0, "opening u\nstate None\n"),
        ("[plugins.panel]\nurl = 1\n", ["--help"], 0, "--url TEXT"),
        ("[plugins.panel\n", ["--url", "u"], 2, "opening u\n"),
        ("[plugins.panel\n", [], 2, "hypervisor.toml:1: not valid TOML"),
    ],
)
def test_commands_of_a_class_read_the_configuration_when_they_ask_for_it(
    text: str | None, words: list[str], code: int, told: str, install: Install
) -> None:
    install("panel", OF_THE_CLASS)
    install("wire", TRIPWIRE)
    if text is not None:
        write_config(text)

    done = run_hvobs("panel", "open", *words)

    assert done.exit_code == code, done.output
    assert told in done.output


def test_commands_of_a_class_hear_where_the_state_is(install: Install) -> None:
    install("panel", OF_THE_CLASS)
    write_config("[state]\ndirectory = 'state'\n")

    assert f"state {Path.cwd() / 'state'}" in run_hvobs("panel", "open").stdout
    write_config("[state]\ndirectry = 'state'\n")
    assert run_hvobs("panel", "open").exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("@hookimpl\n    def commands(cls)", "def commands(cls)", "has no commands of its own"),
        ("commands(cls)", "commands(cls, file)", "plugins.panel: Plugin: "),
        ("return [open]", "yield open", "plugins.panel: Plugin: "),
        ("return [open]", "return [1]", "the plugin 'panel' cannot give its commands"),
        ("return [open]", "return cls.nothing", "the plugin 'panel' cannot give its commands"),
    ],
)
def test_class_whose_commands_cannot_be_had_is_told(
    old: str, new: str, told: str, install: Install
) -> None:
    install("panel", OF_THE_CLASS.replace(old, new).replace("url: str  #", "url: str = ''  #"))

    done = run_hvobs("panel", "open", "--url", "u")

    assert done.exit_code in {1, 2}
    assert done.stdout == ""
    assert told in done.stderr
    assert "Traceback" not in done.stderr
