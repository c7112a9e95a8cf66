"""Find plugins, importing none: installed ones by the metadata of their distributions, and those of
a directory by the names of its files.
"""

import re
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from ..config.lookup import plugins_directory
from ..hookspecs import ENTRY_POINT_GROUP
from .plugin_files import PluginFile, plugin_files


class FoundPlugin(Protocol):
    """A plugin that a table can turn on."""

    @property
    def name(self) -> str:
        """What its table is called."""

    @property
    def distribution(self) -> str | None:
        """The distribution that provides it, as indexes spell it; None of a file."""

    @property
    def version(self) -> str | None:
        """Of the distribution."""

    @property
    def module(self) -> str:
        """What would be imported."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""

    @property
    def what(self) -> str:
        """What its origin says is the plugin's class."""

    @property
    def upgrade(self) -> str:
        """What is to be replaced by a newer version."""

    def load(self) -> Any:
        """Import the class.

        Raises:
            BaseException: Whatever the module raises.
        """


@frozen
class InstalledPlugin:
    """An entry point of the group ``hypervisor.observability``; see :class:`FoundPlugin`."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def module(self) -> str:
        """The module that the entry point names."""
        return self.entry_point.module

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"

    @property
    def what(self) -> str:
        """The entry point."""
        return self.entry_point.value

    @property
    def upgrade(self) -> str:
        """The distribution."""
        return self.distribution

    def load(self) -> Any:
        """Import what the entry point names."""
        return self.entry_point.load()


def found_plugins(directory: Path | None = None) -> dict[str, tuple[FoundPlugin, ...]]:
    """Give installed plugins and those of a directory by name, sorted; several are a conflict.

    Args:
        directory: ``plugins_dir`` of the configuration.

    Raises:
        ConfigError: The directory cannot be used.
    """
    found: dict[str, tuple[FoundPlugin, ...]] = {**installed_plugins()}
    path = plugins_directory(directory)
    files: list[PluginFile] = [] if path is None else plugin_files(path)
    for one in files:
        found[one.name] = (*found.get(one.name, ()), one)
    return {name: found[name] for name in sorted(found)}


def installed_plugins() -> dict[str, tuple[InstalledPlugin, ...]]:
    """Give the installed plugins by name, sorted; more than one of a name is a conflict."""
    found: dict[str, dict[str, InstalledPlugin]] = {}
    for distribution in distributions():
        for entry_point in distribution.entry_points:
            if entry_point.group == ENTRY_POINT_GROUP:
                plugin = InstalledPlugin(
                    entry_point.name,
                    canonical(str(distribution.metadata["Name"])),
                    distribution.version,
                    entry_point,
                )
                # The first on the path is the one that an import finds.
                found.setdefault(plugin.name, {}).setdefault(plugin.distribution, plugin)
    return {name: tuple(found[name].values()) for name in sorted(found)}


def canonical(distribution: str) -> str:
    """Give the name as indexes compare it (PEP 503); metadata may spell it otherwise."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
