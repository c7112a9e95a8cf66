"""Where a command of a plugin is that ``hvobs`` also has under a name of its own."""

from typing import NamedTuple


class PluginCommand(NamedTuple):
    """A command of a plugin. It is looked for when it is called.

    Attributes:
        plugin: The plugin's name.
        command: The command's name there.
        needs: What has to be installed for it.
    """

    plugin: str
    command: str
    needs: str
