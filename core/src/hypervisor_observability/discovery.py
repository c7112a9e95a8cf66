"""Find installed plugins by their distributions' metadata, importing none of them."""

from importlib.metadata import Distribution, EntryPoint, distributions

from attrs import frozen

from .hookspecs import ENTRY_POINT_GROUP


@frozen
class InstalledPlugin:
    """An entry point of the group ``hypervisor.observability``.

    Attributes:
        name: Of the plugin: what its table is called.
        distribution: The distribution that provides it.
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
                    _name(distribution),
                    distribution.version,
                    entry_point,
                )
                # The first on the path is the one that an import finds.
                found.setdefault(plugin.name, {}).setdefault(plugin.distribution, plugin)
    return {name: tuple(found[name].values()) for name in sorted(found)}


def _name(distribution: Distribution) -> str:
    return str(distribution.metadata["Name"])
