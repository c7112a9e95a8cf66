"""The plugins of a configuration, parted: those that read, and the one that keeps."""

import logging
from collections.abc import Iterable

from ..bus.log import EventLog
from ..config import Config, PluginTable
from ..config.plugin_tables import DELIVERY_KEYS
from ..errors import ConfigError, ConfigProblem, SettingError
from ..stores import StoreContext
from ..threads.interruptions import is_of_application
from .discovery import installed_plugins
from .plugin import Plugin
from .plugin_checks import has_hook
from .plugins import SHIPPED, load_class, load_plugins, take_instances
from .store_parts import STORE_HOOKS, ask_store

_EXPORTS = "write a plugin beside it, which exports"
_OF_READERS = {
    "start": "Store.start begins it",
    "flush": "Store.sync has it keep what was recorded",
    "stop": "Store.stop ends it",
    "export_events": _EXPORTS,
    "export_spans": _EXPORTS,
    "export_metrics": _EXPORTS,
}
"""Hooks that a store has no use for, with what is there instead."""

SHIPPED_STORES = frozenset({"journal"})
"""Those of our own plugins that are stores: the others need not be imported to know it."""


def part_store(
    loaded: Iterable[Plugin], config: Config
) -> tuple[list[Plugin], Plugin | None, list[ConfigProblem]]:
    """Tell the store from the plugins that read.

    Returns:
        The readers, the store (None if none is on), and what is wrong: there are two, or one
        that has hooks of readers too, or one whose table says how events are to be delivered to it.
    """
    readers: list[Plugin] = []
    stores: list[Plugin] = []
    for plugin in loaded:
        (stores if plugin.hooks & STORE_HOOKS else readers).append(plugin)
    problems = []
    names = [store.name for store in stores]
    # One whose table is wrong was not made, and is one all the same.
    made = {*names, *(reader.name for reader in readers)}
    if config.plugins.keys() - made:
        names += [table.name for table in store_tables(config)[0] if table.name not in made]
    if len(names) > 1:
        problems += [_problem_of(name, config, two_stores(names)) for name in names]
    for store in stores:
        for hook in sorted(store.hooks & _OF_READERS.keys()):
            message = f"a store keeps events, and nobody calls its hook {hook}"
            problems.append(problem_of(store, config, f"{message}: {_OF_READERS[hook]}"))
        table = config.plugins.get(store.name)
        for key in () if table is None else table.values:
            if key in DELIVERY_KEYS:
                message = "a store keeps every event as it comes: it takes no such key"
                problems.append(problem_of(store, config, message, key))
    return readers, (stores[0] if stores else None), problems


def store_tables(config: Config) -> tuple[list[PluginTable], list[ConfigProblem]]:
    """Find the tables of stores. Our own plugins that are known to be none are not imported.

    Returns:
        The tables, and what is wrong with those whose classes cannot be had: each may be one.
    """
    installed = installed_plugins() if config.plugins else {}
    stores: list[PluginTable] = []
    problems: list[ConfigProblem] = []
    for name, table in config.plugins.items():
        if name in SHIPPED and name not in SHIPPED_STORES:
            continue
        plugin_class, found = load_class(table, installed)
        problems += found
        if not found and any(has_hook(plugin_class, hook) for hook in STORE_HOOKS):
            stores.append(table)
    return stores, problems


def two_stores(names: Iterable[str]) -> str:
    """Say that more than one store is on."""
    return f"there are two stores, {' and '.join(names)}: at most one may be on"


def problem_of(plugin: Plugin, config: Config, message: str, *keys: str) -> ConfigProblem:
    """Make a problem of a plugin's table, or of one that the caller has made."""
    return _problem_of(plugin.name, config, message, *keys)


def _problem_of(name: str, config: Config, message: str, *keys: str) -> ConfigProblem:
    table = config.plugins.get(name)
    if table is not None:
        return table.problem(message, *keys)
    return ConfigProblem("Config(...)", None, ".".join(("plugins", name, *keys)), message)


def setting_problem(plugin: Plugin, config: Config, error: SettingError) -> ConfigProblem:
    """Make a problem of what a plugin says of its table."""
    return problem_of(plugin, config, error.reason, error.key)


def loaded_parts(
    config: Config, instances: Iterable[object] = ()
) -> tuple[list[Plugin], Plugin | None]:
    """Load the plugins of *config*, with those that the caller has made, and tell the store.

    Raises:
        ConfigError: Something is wrong in their tables, or with them together.
    """
    loaded, problems = load_plugins(config)
    loaded += take_instances(instances, loaded, config.delivery)
    readers, store, found = part_store(loaded, config)
    if problems or found:
        raise ConfigError([*problems, *found])
    return readers, store


def examine_plugins(config: Config) -> tuple[list[Plugin], list[ConfigProblem]]:
    """Load the plugins of *config*, and find all that is wrong with them; nothing is opened."""
    loaded, problems = load_plugins(config)
    _, store, found = part_store(loaded, config)
    problems += found
    fault = None if store is None else opening_fault(store, config.service)
    if store is not None and isinstance(fault, SettingError):
        problems.append(setting_problem(store, config, fault))
    return loaded, problems


def opening_fault(store: Plugin, service: str) -> BaseException | None:
    """Try whether *store* can be opened; give why not. Nothing is opened by that."""
    logger = logging.getLogger(__name__)
    context = StoreContext(
        name=store.name, service=service, logger=logger, log=EventLog(1, None),
        admit=lambda event: event, announce=lambda *_: None,
    )  # fmt: skip
    try:
        ask_store(store, "open_store", context)
    except BaseException as error:
        if is_of_application(error):
            raise
        return error
    return None
