"""The table of one plugin, for commands that have to do with that plugin alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from attrs import evolve, fields_dict, frozen

from ..config import Config, PluginTable
from ..config.structuring import Origin
from ..config.wording import key_text
from ..errors import ConfigError, ConfigProblem
from ..host.plugin import Plugin
from ..host.plugins import load_class, load_plugins, plugins_for, structure_table
from .config_option import find_file, read_leniently


@frozen
class OwnTable:
    """A plugin's table. What else is wrong in the file does not matter to it.

    Attributes:
        config: In which it stands.
        table: As it was written; an empty one where there is none.
        problems: What is wrong in it, as far as can be told without the plugin.
    """

    config: Config
    table: PluginTable
    problems: Sequence[ConfigProblem]

    @classmethod
    def find(cls, name: str, config_file: Path | None, named_by: str | None = None) -> Self:
        """Look for it in the configuration that there is.

        Args:
            name: Of the plugin.
            config_file: The configuration; None: that of the working directory.
            named_by: Where the plugin is named if no table names it; None: ``hvobs NAME``.

        Raises:
            ConfigError: There is a file, and it cannot be read as TOML.
        """
        path = find_file(config_file)
        config, problems = (Config(), []) if path is None else read_leniently(path)
        origin = Origin((named_by or f"hvobs {name}") if path is None else str(path))
        return cls.of(
            config.plugins.get(name) or PluginTable(name, origin=origin), config, problems
        )

    @classmethod
    def of(cls, table: PluginTable, config: Config, problems: Iterable[ConfigProblem]) -> Self:
        """Take what is wrong in *table* out of all the *problems* of *config*."""
        own = key_text(table.path)
        # One that stands at the top by mistake is its own, too.
        misplaced = {table.name} - fields_dict(Config).keys()
        mine = [
            one
            for one in problems
            if one.key in {own, *misplaced} or one.key.startswith((f"{own}.", f"{own}["))
        ]
        return cls(config, table, mine)

    @property
    def stands(self) -> bool:
        """Whether the configuration has it, be it in the wrong place."""
        return self.table.name in self.config.plugins or bool(self.problems)

    def plugin(self) -> Plugin:
        """Import the plugin, and make an instance.

        Raises:
            ConfigError: It cannot be imported, or its table is wrong.
        """
        loaded, found = load_plugins(evolve(self.config, plugins={self.table.name: self.table}))
        if self.problems or found:
            raise ConfigError([*self.problems, *found])
        return loaded[0]

    def settings(self) -> Any:
        """Import the plugin, and make its ``Config``.

        Raises:
            ConfigError: It cannot be imported, or its table is wrong.
        """
        installed, found = plugins_for(evolve(self.config, plugins={self.table.name: self.table}))
        plugin_class, settings = None, None
        if not found:
            plugin_class, found = load_class(self.table, installed)
        if not found:
            settings, _, found = structure_table(self.table, plugin_class, self.config.delivery)
        if self.problems or found:
            raise ConfigError([*self.problems, *found])
        return settings
