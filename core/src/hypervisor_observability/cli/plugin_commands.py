"""``hvobs NAME ...``: the commands of one plugin, which alone is imported."""

import difflib
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from attrs import frozen

from .. import output
from ..config import DeliveryConfig, PluginTable, load_config
from ..config.structuring import Origin
from ..errors import ConfigError
from ..host.discovery import found_plugins
from ..host.plugin import Plugin
from ..host.plugin_checks import checked, has_hook
from ..host.plugins import load_class
from .config_option import (
    config_parameter,
    configured_plugins_dir,
    find_file,
    plugins_dir_parameter,
)
from .own_table import OwnTable
from .plugin_help import write_about


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
