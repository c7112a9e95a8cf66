"""Every command says how it is called, and every plugin what it is and what its table takes."""

import shlex
from collections.abc import Iterator

import click
import pytest

from hypervisor_observability.cli import main
from hypervisor_observability.cli.main import hvobs
from hypervisor_observability.cli.plugin_command import PluginCommand
from hypervisor_observability.host.discovery import installed_plugins
from tests.commands import run_hvobs


def commands_of(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Give the words of each command below *group*, a plugin's too."""
    # Commands keep their help option as it was when they were first asked for it.
    context = click.Context(group, **hvobs.context_settings)
    names = set(group.list_commands(context))
    if group is hvobs:
        names |= set(installed_plugins())
    for name in sorted(names):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, (*words, name))
        if command is not None and not (isinstance(command, click.Group) and group is hvobs):
            yield (*words, name)


def found(words: tuple[str, ...]) -> tuple[click.Command, click.Context, list[str]]:
    """Find the command that *words* call, and what is left of them."""
    command: click.Command = hvobs
    context, left = click.Context(hvobs, info_name="hvobs", **hvobs.context_settings), list(words)
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        name, below, left = command.resolve_command(context, left)
        assert below is not None
        command, context = below, click.Context(below, parent=context, info_name=name)
    return command, context, left


COMMANDS = list(commands_of(hvobs, ()))


def short_names(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Give the names of its own that ``hvobs`` has for a plugin's command."""
    return [
        (name,)
        for name, (place, _) in main.COMMANDS.items()
        if isinstance(place, PluginCommand) and (place.plugin, place.command) == words
    ]


def test_commands_of_plugins_are_among_them() -> None:
    assert ("traces",) in COMMANDS
    assert ("journal", "verify") in COMMANDS
    assert ("jaeger", "open") in COMMANDS
    assert {("serve",), ("web", "serve"), ("mcp",), ("web", "mcp")} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_examples_that_can_be_called(words: tuple[str, ...]) -> None:
    command, _, _ = found(words)
    epilog = command.epilog or ""

    assert epilog.startswith("\b\nExamples:\n"), "give it an epilog by output.examples(...)"
    for line in epilog.splitlines()[2:]:
        # What the shell does with the output is its own.
        call = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
        names = [words, *short_names(words)]
        assert call[0] == "hvobs"
        assert any(tuple(call[1:][: len(name)]) == name for name in names)
        called, context, left = found(tuple(call[1:]))
        assert called.name == command.name
        called.make_context(context.info_name, left, parent=context.parent)


@pytest.mark.parametrize("name", sorted(installed_plugins()))
def test_help_of_each_plugin_says_what_it_is_and_what_its_table_takes(name: str) -> None:
    for arguments in ([name, "--help"], [name]):
        done = run_hvobs(*arguments)
        text = done.stdout + done.stderr

        assert done.exit_code == (0 if "--help" in arguments else 2), text
        assert f"The table [plugins.{name}] turns it on." in text
        assert "https://" in text.partition("Documentation:")[2]


def test_keys_stand_in_the_help_with_their_defaults() -> None:
    text = " ".join(run_hvobs("statsd", "--help").stdout.split())

    assert "port Its port. [default 8125]" in text
    assert '[default "127.0.0.1"]' in text
    assert "directory Of the journal" in " ".join(run_hvobs("journal", "--help").stdout.split())
    assert "[required]" in run_hvobs("journal", "--help").stdout


def test_help_of_a_plugin_tells_what_its_author_has_chosen_of_delivery() -> None:
    page = " ".join(run_hvobs("web", "--help").stdout.split())
    otel = " ".join(run_hvobs("otel", "--help").stdout.split())

    wait = "interval_seconds Longest time that an event waits before it is handed over."
    assert f"{wait} [default 0.05]" in page
    assert "payload What of payloads the plugin sees" in otel
    assert "interval_seconds Longest time that an event waits" not in otel
