"""Where the backends of a configuration show a trace."""

from collections.abc import Callable, Mapping
from pathlib import Path

from .. import output
from ..config import load_config
from ..errors import ConfigError
from ..host.plugin import Plugin
from ..host.plugins import load_plugins
from .config_option import need_file

TraceLinks = Callable[[str], Mapping[str, str]]


def no_links(_trace: str) -> Mapping[str, str]:
    """Give none: nobody has asked for any."""
    return {}


def links_of(config_file: Path | None) -> TraceLinks:
    """Give what tells a trace's addresses, by the names of plugins.

    Raises:
        ConfigError: There is no configuration, or it is wrong.
    """
    plugins, found = load_plugins(load_config(need_file(config_file)))
    if found:
        raise ConfigError(found)

    def links(trace: str) -> Mapping[str, str]:
        asked = {plugin.name: _ask(plugin, trace) for plugin in plugins}
        return {name: url for name, url in asked.items() if url is not None}

    return links


def _ask(plugin: Plugin, trace: str) -> str | None:
    try:
        url = plugin.ask("trace_url", trace=trace)
        return None if url is None else output.one_line(str(url))
    except Exception as error:  # noqa: BLE001 - a plugin's hook may raise anything
        output.note(f"plugin {plugin.name} gives no link: {output.reason(error)}")
        return None
