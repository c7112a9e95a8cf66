"""Find installed plugins by their distributions' metadata, importing none of them."""

import re
from importlib.metadata import EntryPoint, distributions

from attrs import frozen

from ..hookspecs import ENTRY_POINT_GROUP


@frozen
class InstalledPlugin:
    """An entry point of the group ``hypervisor.observability``.

    Attributes:
        name: Of the plugin: what its table is called.
        distribution: The distribution that provides it, as indexes spell it.
        version: Of the distribution.
        entry_point: Imports the plugin's class when it is loaded.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint


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
