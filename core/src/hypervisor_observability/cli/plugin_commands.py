"""``hvobs NAME ...``: the commands of one plugin, which alone is imported."""

import difflib
from pathlib import Path
from typing import Any

import attrs
import click

from ..config import Config, PluginTable, read_config
from ..config.structuring import Origin
from ..config.wording import key_text
from ..errors import ConfigError, ConfigProblem
from ..host.plugins import load_plugins
from . import output
from .config_option import config_parameter, find_file


class PluginCommands(click.Group):
    """The commands that the plugin *name* gives by its hook ``commands()``."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            params=[config_parameter()],
            help=f"Commands of the plugin {output.one_line(name)}.",
            subcommand_metavar="COMMAND ...",
        )
        self.plugin = name
        self._loaded: dict[str, click.Command] | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of the plugin's commands."""
        return sorted(self._commands(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the one that is called *cmd_name*; None if there is none."""
        return self._commands(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with, or say which one may have been meant."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], names, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
            raise click.UsageError(f"no such command of {self.plugin}: '{args[0]}' ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def _commands(self, ctx: click.Context) -> dict[str, click.Command]:
        if self._loaded is None:
            self._loaded = load_commands(self.plugin, ctx.params.get("config_file"))
        if not self._loaded:
            raise click.UsageError(f"the plugin '{self.plugin}' has no commands of its own", ctx)
        return self._loaded


def load_commands(name: str, config_file: Path | None) -> dict[str, click.Command]:
    """Import plugin *name*, configure it by its table or its defaults, and ask it.

    Raises:
        ConfigError: It cannot be imported, or its table is wrong. What else is wrong in the
            file is of no matter here.
        ClickException: Its hook raised, or gave something that is no command.
    """
    path = find_file(config_file)
    config = Config()
    problems: list[ConfigProblem] = []
    if path is not None:
        read, problems = read_config(path)
        if read is None:
            raise ConfigError(problems)
        config = read
    origin = Origin(f"hvobs {name}" if path is None else str(path))
    table = config.plugins.get(name, PluginTable(name, origin=origin))
    own = key_text(table.path)
    problems = [
        one for one in problems if one.key == own or one.key.startswith((f"{own}.", f"{own}["))
    ]
    loaded, found = load_plugins(attrs.evolve(config, plugins={name: table}))
    if problems or found:
        raise ConfigError([*problems, *found])
    try:
        commands = loaded[0].ask("commands") or ()
        return {str(command.name): _command(command) for command in commands}
    except Exception as error:
        text = f"the plugin '{name}' cannot give its commands: {output.reason(error)}"
        raise click.ClickException(text) from error


def _command(given: Any) -> click.Command:
    if not isinstance(given, click.Command):
        raise TypeError(f"expected a click command, got a {type(given).__name__}")
    return given
