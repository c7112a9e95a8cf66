"""From a table in the configuration to a checked plugin; and the plugins that a caller made."""

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from attrs import AttrsInstance, evolve, frozen

from ..config import Config, DeliveryConfig, PluginTable, structure_plugin_table
from ..config.file import UnusableFile
from ..config.plugin_tables import SourceConfig
from ..errors import ConfigError, ConfigProblem
from ..text.error_text import line_of, message_of
from ..threads.interruptions import is_of_application
from .discovery import FoundPlugin, found_plugins
from .kinds import SOURCE, kind_of, kind_of_class
from .plugin import Plugin
from .plugin_api import refuse_other_api
from .plugin_checks import checked

SHIPPED = {
    "journal": "hypervisor-journal",
    "prometheus": "hypervisor-prometheus",
    "otel": "hypervisor-otel",
    "statsd": "hypervisor-statsd",
    "jaeger": "hypervisor-jaeger",
    "agent-hypervisor": "hypervisor-agent-hypervisor",
    "genai": "hypervisor-genai",
    "langchain": "hypervisor-langchain",
    "openai-agents": "hypervisor-openai-agents",
    "nats": "hypervisor-nats",
    "web": "hypervisor-web",
}
"""Our own plugins: name to distribution."""
SEEN_BY = {
    "langgraph": "langchain",
    **dict.fromkeys(("pydantic-ai", "google-adk", "agent-framework", "mcp", "autogen"), "genai"),
    **dict.fromkeys(("openai-agents-sdk", "agents"), "openai-agents"),
    "agent-governance-toolkit": "agent-hypervisor",
}
"""The sources that see frameworks which have no source of their own name."""


def load_plugins(config: Config) -> tuple[list[Plugin], list[ConfigProblem]]:
    """Import, configure and check the plugins that *config* names, and no others."""
    plugins: list[Plugin] = []
    installed, problems = plugins_for(config)
    if problems:
        return plugins, problems
    for table in config.plugins.values():
        plugin, found = _load(table, config, installed)
        problems.extend(found)
        if plugin is not None:
            plugins.append(plugin)
    return plugins, problems


def plugins_for(
    config: Config,
) -> tuple[Mapping[str, Sequence[FoundPlugin]], list[ConfigProblem]]:
    """Find what the tables of *config* can turn on, and what is wrong with its directory."""
    try:
        return (found_plugins(config.plugins_dir) if config.plugins else {}), []
    except ConfigError as error:
        return {}, list(error.problems)


def take_instances(
    instances: Iterable[object], loaded: Iterable[Plugin], delivery: DeliveryConfig
) -> list[Plugin]:
    """Check plugins that a caller made, and tell them apart by name from those *loaded*.

    One that is a ``Plugin`` was checked before.

    Raises:
        ValueError: One is no plugin.
    """
    names = {plugin.name for plugin in loaded}
    plugins = []
    for instance in instances:
        if isinstance(instance, Plugin):  # of the tests for authors, who have a name for it
            names.add(instance.name)
            plugins.append(instance)
            continue
        base = getattr(instance, "name", None) or type(instance).__name__.lower()
        name, number = str(base), 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.add(name)
        plugin = checked(name, instance, delivery)
        if kind_of(plugin) is SOURCE:
            plugin = evolve(plugin, common=_chosen_by(instance))
        plugins.append(plugin)
    return plugins


def load_class(
    table: PluginTable, installed: Mapping[str, Sequence[FoundPlugin]]
) -> tuple[Any, list[ConfigProblem]]:
    """Import the class of the plugin that *table* names."""
    candidates = installed.get(table.name, ())
    if not candidates:
        return None, [table.problem(_not_installed(table.name, installed))]
    if len(candidates) > 1:
        claims = " and ".join(one.origin for one in candidates)
        instead = "uninstall" if all(one.distribution for one in candidates) else "remove"
        return None, [table.problem(f"claimed by {claims}: {instead} all but one of them")]
    found = candidates[0]
    shipped = SHIPPED.get(table.name)
    if shipped is not None and found.distribution != shipped:
        instead = "uninstall it" if found.distribution else "give the file another name"
        message = f"{found.origin} claims this name, which belongs to {shipped}: {instead}"
        return None, [table.problem(message)]
    try:
        plugin_class = found.load()
    except UnusableFile as error:
        return None, [table.problem(str(error))]
    except BaseException as error:  # a module may do anything when imported, even sys.exit()
        if is_of_application(error):
            raise
        return None, [table.problem(f"{found.origin} fails on import ({line_of(error)})")]
    if not inspect.isclass(plugin_class):
        return None, [
            table.problem(f"{found.origin}: {found.what} is not a plugin: expected a class")
        ]
    try:
        refuse_other_api(plugin_class, found.upgrade)
    except ValueError as error:
        return None, [table.problem(f"{found.origin}: {message_of(error)}")]
    return plugin_class, []


def structure_table(
    table: PluginTable, plugin_class: Any, delivery: DeliveryConfig
) -> tuple[Any, AttrsInstance, list[ConfigProblem]]:
    """Make a plugin's configuration of its *table*, with the keys that its kind takes."""
    kind = kind_of_class(plugin_class)
    settings, common, problems = structure_plugin_table(
        table, config_class(plugin_class), kind.common(delivery), takes_no=kind.takes_no
    )
    if config_class(plugin_class) is NoConfig:
        why = f"unknown key: {plugin_class.__name__} has no Config, so it has no keys of its own"
        problems = [
            attrs.evolve(one, message=why) if one.message == "unknown key" else one
            for one in problems
        ]
    return settings, common, problems


@frozen
class NoConfig:
    """The ``Config`` of a plugin that has none: its table takes no keys of its own."""


def config_class(plugin_class: Any) -> Any:
    """Give what a plugin's table is made into."""
    return getattr(plugin_class, "Config", NoConfig)


def _load(
    table: PluginTable, config: Config, installed: Mapping[str, Sequence[FoundPlugin]]
) -> tuple[Plugin | None, list[ConfigProblem]]:
    plugin_class, problems = load_class(table, installed)
    if problems:
        return None, problems
    settings, common, problems = structure_table(table, plugin_class, config.delivery)
    if settings is None or problems:
        return None, problems
    delivery = common if isinstance(common, DeliveryConfig) else config.delivery
    of_source = common if isinstance(common, SourceConfig) else None
    try:
        make = partial(_made, plugin_class, settings)
        return checked(table.name, make(), delivery, make=make, common=of_source), []
    except Exception as error:  # noqa: BLE001 - its __init__ is its author's
        reason = message_of(error) if isinstance(error, ValueError) else line_of(error)
        return None, [table.problem(f"{plugin_class.__name__}: {reason}")]


def _chosen_by(source: object) -> SourceConfig:
    """Read from attributes what a table would say of a source that a caller made."""
    keys = [key.name for key in attrs.fields(SourceConfig)]
    return SourceConfig(**{key: getattr(source, key) for key in keys if hasattr(source, key)})


def _made(plugin_class: type, settings: object) -> object:
    """Make an instance: of *settings*, or of nothing if the plugin has no ``Config``.

    Raises:
        Exception: Whatever its ``__init__`` raises, ``SystemExit`` and the like as a RuntimeError.
        ValueError: Its ``__init__`` does not fit its ``Config``.
    """
    arguments = () if isinstance(settings, NoConfig) else (settings,)
    _check_init(plugin_class, arguments)
    try:
        return plugin_class(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if is_of_application(error):
            raise
        raise RuntimeError(line_of(error)) from error


def _check_init(plugin_class: type, arguments: tuple[object, ...]) -> None:
    """Try whether ``__init__`` takes these *arguments*.

    Raises:
        ValueError: It does not.
    """
    try:
        inspect.signature(plugin_class).bind(*arguments)
    except TypeError:
        if arguments:
            raise ValueError(
                "it has a Config, and its __init__ does not take it: write 'def __init__(self,"
                " config)', or a field 'config'"
            ) from None
        raise ValueError(
            "its __init__ takes an argument, and it has no Config to make it of: write 'Config ="
            " MyConfig' in the class, an attrs class or a dataclass with the keys of its table"
        ) from None
    except ValueError:  # it has no signature that can be read
        return


def _not_installed(name: str, installed: Iterable[str]) -> str:
    names = sorted({*installed, *SHIPPED})
    close = difflib.get_close_matches(name, names, 1)
    if source := SEEN_BY.get(name.lower().replace("_", "-")):
        return (
            f"no such plugin: the source '{source}' sees this, which comes with {SHIPPED[source]}"
        )
    if name in SHIPPED:
        return f"this plugin is not installed: it comes with {SHIPPED[name]}"
    if close:
        return f"no such plugin is installed (did you mean '{close[0]}'?)"
    there = ", ".join(installed) or "none"
    instead = "install it, or name the directory of its file with plugins_dir"
    return f"no such plugin is installed (installed: {there}): {instead}"
