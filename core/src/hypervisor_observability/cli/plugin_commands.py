"""``hvobs NAME ...``: the commands of one plugin, which alone is imported."""

import difflib
import inspect
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from attrs import frozen

from .. import output
from ..config import Config, DeliveryConfig, PluginTable, load_config
from ..config.structuring import Origin
from ..errors import ConfigError
from ..facts.prices import Prices
from ..host.discovery import found_plugins
from ..host.plugin import Plugin
from ..host.plugin_checks import checked, has_hook
from ..host.plugins import load_class
from ..stores import History
from .config_option import (
    config_parameter,
    configured_plugins_dir,
    find_file,
    plugins_dir_parameter,
    read_leniently,
)
from .history_option import Past
from .own_table import OwnTable
from .plugin_command import PluginCommand
from .plugin_help import write_about
from .prices_option import prices_of
from .status import told_statuses


@frozen
class ConfigOfCommands:
    """A ``CommandContext``.

    Attributes:
        plugin: Name of the plugin.
        config_file: What ``hvobs NAME --config`` was given.
    """

    plugin: str
    config_file: Path | None

    def state_directory(self, file: Path | None = None) -> Path | None:
        """Give the folder of ``[state]``."""
        path = find_file(file or self.config_file)
        return None if path is None else load_config(path).state.directory

    def settings(self, file: Path | None = None) -> Any:
        """Give the plugin's own configuration."""
        own = OwnTable.find(self.plugin, file or self.config_file)
        return own.settings() if own.stands else None

    def service(self, file: Path | None = None) -> str:
        """Give ``service``."""
        path = find_file(file or self.config_file)
        return (Config() if path is None else read_leniently(path)[0]).service

    def history(
        self,
        notice: Callable[[str], object],
        *,
        journal: Path | None = None,
        store: str | None = None,
        file: Path | None = None,
        may_be_empty: bool = False,
        step: Callable[[], object] | None = None,
    ) -> AbstractContextManager[History]:
        """Open what was recorded."""
        past = Past(file or self.config_file, journal, store, indexed=True)
        return past.history(notice, may_be_empty=may_be_empty, step=step)

    def statuses(self, file: Path | None = None) -> Mapping[str, Any]:
        """Give what processes tell."""
        return told_statuses(file or self.config_file)

    def prices(self, file: Path | None = None, *, estimate: bool = False) -> Prices | None:
        """Give the prices."""
        return prices_of(file or self.config_file, estimates=estimate)


class PluginCommands(click.Group):
    """The commands that the plugin *name* gives by its hook ``commands()``."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            params=[config_parameter(), plugins_dir_parameter()],
            help=f"The plugin {output.one_line(name)}, and its commands.",
            subcommand_metavar="COMMAND ...",
        )
        self.plugin = name
        self._loaded: dict[str, click.Command] | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of the plugin's commands."""
        return sorted(self._commands(ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the plugin is and what its table takes, too."""
        write_about(formatter, self.plugin, ctx.params.get("config_file"))
        super().format_options(ctx, formatter)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the one that is called *cmd_name*; None if there is none."""
        return self._commands(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with, or say which one may have been meant."""
        names = self.list_commands(ctx)
        if not names:
            raise click.UsageError(f"the plugin '{self.plugin}' has no commands of its own", ctx)
        if args[0] not in names and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], names, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
            raise click.UsageError(f"no such command of {self.plugin}: '{args[0]}' ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command, which finds the configuration with ``@click.pass_obj``."""
        ctx.obj = ConfigOfCommands(self.plugin, ctx.params.get("config_file"))
        return super().invoke(ctx)

    def _commands(self, ctx: click.Context) -> dict[str, click.Command]:
        if self._loaded is None:
            self._loaded = load_commands(self.plugin, ctx.params.get("config_file"))
        return self._loaded


def load_commands(name: str, config_file: Path | None) -> dict[str, click.Command]:
    """Import plugin *name*, and ask it: the class where its hook is a class method, else an
    instance that is configured by its table or its defaults.

    Raises:
        ConfigError: It cannot be imported, or its table is wrong, and is needed. What else is
            wrong in the file is of no matter here.
        ClickException: Its hook raised, or gave something that is no command.
    """
    plugin = _of_the_class(name, config_file)
    if plugin is None:
        plugin = OwnTable.find(name, config_file).plugin()
    try:
        commands = plugin.ask("commands") or ()
        return {str(command.name): _command(command) for command in commands}
    except Exception as error:
        text = f"the plugin '{name}' cannot give its commands: {output.reason(error)}"
        raise click.ClickException(text) from error


def short_command(place: PluginCommand, ctx: click.Context) -> click.Command | None:
    """Give a command of a plugin that ``hvobs`` also has under a name of its own.

    Args:
        place: Where it is.
        ctx: Of ``hvobs``; a command that is called below it can ask for the configuration.

    Returns:
        None where it is not installed.

    Raises:
        ConfigError: The plugin cannot be imported.
    """
    if place.plugin not in found_plugins(configured_plugins_dir()):
        return None
    ctx.obj = ConfigOfCommands(place.plugin, None)
    return load_commands(place.plugin, None).get(place.command)


def why_missing(name: str, place: PluginCommand) -> str:
    """Say what to install for a command that ``hvobs`` has as *name*."""
    is_old = place.plugin in found_plugins(configured_plugins_dir())
    needed, options = (f"a newer {place.needs}", "--upgrade ") if is_old else (place.needs, "")
    return f"hvobs {name} needs {needed}: pip install {options}{shlex.quote(place.needs)}"


def _of_the_class(name: str, config_file: Path | None) -> Plugin | None:
    """Give the class, as what is asked; None where an instance is."""
    table = PluginTable(name, origin=Origin(f"hvobs {name}"))
    plugin_class, problems = load_class(table, found_plugins(configured_plugins_dir(config_file)))
    if problems or not has_hook(plugin_class, "commands"):
        return None
    if not isinstance(inspect.getattr_static(plugin_class, "commands"), classmethod):
        return None
    try:
        return checked(name, SimpleNamespace(commands=plugin_class.commands), DeliveryConfig())
    except Exception as error:
        message = f"{plugin_class.__name__}: {output.reason(error)}"
        raise ConfigError([table.problem(message)]) from error


def _command(given: Any) -> click.Command:
    if not isinstance(given, click.Command):
        raise TypeError(f"expected a click command, got a {type(given).__name__}")
    return given
