"""The command ``hvobs``: finds a subcommand, loads it alone, and says what went wrong.

Subcommands stand in a table and are imported when they are called, so that ``--help`` and
``--version`` are fast, and a failure in one is no failure of another. A name that is no
subcommand may be a plugin's: see :mod:`hypervisor_observability.cli.plugin_commands`.
"""

import difflib
import io
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, NoReturn

import click

from .. import __version__, output
from ..errors import ConfigError, ObservabilityError
from ..text.error_text import line_of
from .config_option import configured_plugins_dir, plugins_dir_parameter
from .plugin_command import PluginCommand

_PACKAGE = "hypervisor_observability.cli"
COMMANDS: dict[str, tuple[str | PluginCommand, str]] = {
    "agent": (
        f"{_PACKAGE}.agent:agent",
        "Run the plugins over a store that other processes write.",
    ),
    "check": (f"{_PACKAGE}.check:check", "Check the configuration and ask each backend."),
    "dead-letters": (
        f"{_PACKAGE}.dead_letters:dead_letters",
        "Look at the events that backends refused.",
    ),
    "demo": (
        f"{_PACKAGE}.demo.command:demo",
        "Show the whole at work: real work, all plugins.",
    ),
    "doctor": (f"{_PACKAGE}.doctor:doctor", "Say what is installed and whether it fits."),
    "mcp": (
        PluginCommand("web", "mcp", "hypervisor-web[mcp]"),
        "Let coding agents ask what was recorded.",
    ),
    "new-plugin": (
        f"{_PACKAGE}.new_plugin.command:new_plugin",
        "Write a package for a new plugin.",
    ),
    "plugins": (f"{_PACKAGE}.plugins:plugins", "List the installed plugins."),
    "query": (f"{_PACKAGE}.query:query", "Find events that were recorded."),
    "replay": (f"{_PACKAGE}.replay:replay", "Deliver recorded events once more."),
    "report": (f"{_PACKAGE}.report:report", "Write what was recorded as one page with pictures."),
    "run": (f"{_PACKAGE}.run:run", "Run a program with the sources of a configuration on."),
    "serve": (
        PluginCommand("web", "serve", "hypervisor-web"),
        "Show a live page of what is recorded.",
    ),
    "ship": (
        PluginCommand("nats", "ship", "hypervisor-nats"),
        "Send a journal to the stream of a fleet.",
    ),
    "status": (f"{_PACKAGE}.status:status", "Say how running processes deliver."),
    "tail": (f"{_PACKAGE}.tail:tail", "Show events as they are recorded."),
    "traces": (f"{_PACKAGE}.traces:traces", "List traces: how each ended, what it used."),
    "tree": (f"{_PACKAGE}.tree:tree", "Draw who caused what, from recorded events."),
}
"""Subcommands: name to where the command is found, and what ``--help`` says of it. A plugin's can
be called under the plugin's name, too."""

_MOVED = {
    "erase": "journal erase",
    "journal-key": "journal key",
    "verify": "journal verify",
}
"""What was a subcommand once, and the plugin's command that it is now."""

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes beside 0. The last is that of a shell: 128 and the number of SIGINT."""


class Unusable(click.ClickException):
    """A configuration that cannot be used; shown as ``ConfigError`` writes it."""

    exit_code = USAGE

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the problems and nothing else."""
        click.echo(self.format_message(), file=file, err=file is None)


class Hvobs(click.Group):
    """Subcommands by name, loaded late; then the names of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names of the subcommands, then those of plugins, from metadata."""
        return [*COMMANDS, *_plugin_names()]

    def get_command(
        self,
        ctx: click.Context,
        cmd_name: str,
    ) -> click.Command | None:
        """Load the one that is called *cmd_name*; None if there is none."""
        if cmd_name in COMMANDS:
            place, _ = COMMANDS[cmd_name]
            if isinstance(place, str):
                return _load(cmd_name, place)
            from .plugin_commands import short_command

            return short_command(place, ctx)
        if cmd_name in _plugin_names() or cmd_name in _shipped():
            from .plugin_commands import PluginCommands

            return PluginCommands(cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with, or say which one may have been meant."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return name, command, args[1:]
        if name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        place, _ = COMMANDS.get(name, ("", ""))
        if isinstance(place, PluginCommand):
            from .plugin_commands import why_missing

            raise click.UsageError(why_missing(name, place), ctx)
        if name in _MOVED:
            text = f"no such command: '{name}' (did you mean 'hvobs {_MOVED[name]}'?)"
            raise click.UsageError(text, ctx)
        names = self.list_commands(ctx)
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
        raise click.UsageError(f"no such command or plugin: '{name}' ({hint})", ctx)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write what there is, without loading any of it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        plugins = _plugin_names()
        if plugins:
            with formatter.section("Plugins (hvobs NAME --help)"):
                formatter.write_dl(
                    [
                        (output.one_line(name), output.one_line(text))
                        for name, text in plugins.items()
                    ]
                )

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse *args*; say in a line what went wrong, even if it is the writing of help."""
        with _explained(traceback="--traceback" in args):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> None:
        """Call the command; say in a line what went wrong. What it returns is of no matter."""
        with _explained(traceback=ctx.params["traceback"]):
            super().invoke(ctx)


@contextmanager
def _explained(*, traceback: bool) -> Iterator[None]:
    """Turn what nobody expected into one line, and a reader who had enough into success.

    Args:
        traceback: Whether to let it pass instead, for Python to show where it comes from.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
        raise
    except ConfigError as error:
        raise Unusable(str(error)) from error
    except BaseException as error:  # a plugin may raise anything, SystemExit too
        if isinstance(error, BrokenPipeError) and output.reader_is_gone():
            raise click.exceptions.Exit(0) from None  # as in: hvobs tree ... | head
        if traceback:
            raise
        text = output.reason(error)
        if not isinstance(error, (OSError, ObservabilityError)):
            text += " (hvobs --traceback ... shows where)"
        raise click.ClickException(text) from error


def _load(name: str, place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    try:
        command = getattr(import_module(module), attribute)
    except Exception as error:  # a part that is broken must not hurt the others
        text = f"'{name}' cannot be loaded: {line_of(error)}"
        raise click.ClickException(text) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"'{name}' cannot be loaded: {attribute} is no command")
    return command


def _shipped() -> Container[str]:
    """Give the names of our own plugins: one that is not installed says where it comes from."""
    from ..host.plugins import SHIPPED

    return SHIPPED


def _plugin_names() -> dict[str, str]:
    """Give what ``--help`` says of each plugin, by name."""
    from ..host.discovery import found_plugins

    return {
        name: " and ".join(one.origin for one in found)
        for name, found in found_plugins(configured_plugins_dir()).items()
        if name not in COMMANDS
    }


@click.group(
    cls=Hvobs,
    invoke_without_command=True,
    subcommand_metavar="COMMAND | PLUGIN ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="hvobs", message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where an unexpected error comes from.")
@click.pass_context
def hvobs(ctx: click.Context, traceback: bool) -> None:  # noqa: ARG001, FBT001 - click's flag; the group reads it
    """Look at the observability of a system of agents.

    Data goes to stdout, all else to stderr. Exit codes: 0, 1 if something failed, 2 for a
    mistake in the call or in the configuration.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


hvobs.params.append(plugins_dir_parameter())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``hvobs`` and exit.

    Args:
        arguments: Those of the process unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        # Names of agents hold any character; not every terminal has them all.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = hvobs.main(arguments, prog_name="hvobs", standalone_mode=False)
    except click.Abort as error:
        # Otherwise a question that was answered with no.
        code = INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else FAILED
        if code == FAILED:
            output.note("\naborted")  # below the question
    except click.ClickException as error:
        _show(error)
        code = error.exit_code
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        gone = output.reader_is_gone()
        output.discard_stdout()
        if not gone:
            output.note(f"Error: {output.reason(error)}")
            return FAILED
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException) -> None:
    text = io.StringIO()
    error.show(text)
    output.note(text.getvalue().rstrip("\n"))
