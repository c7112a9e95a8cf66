"""The plugins of a configuration, parted: those that read, that write, and the one that keeps."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from ..bus.log import EventLog
from ..config import Config, PluginTable, disabled, read_config
from ..errors import ConfigError, ConfigProblem, SettingError
from ..stores import OnlyReadError, StoreContext
from ..threads.interruptions import is_of_application
from .kinds import READER, SOURCE, STORE, Kind, kind_of, kind_of_class
from .plugin import Plugin
from .plugins import SHIPPED, load_class, load_plugins, plugins_for, take_instances
from .sources.framework import Framework
from .store_parts import ask_store

SHIPPED_KINDS = {
    **dict.fromkeys(("journal", "nats"), STORE),
    **dict.fromkeys(("agent-hypervisor", "genai", "langchain", "openai-agents"), SOURCE),
}
"""Our own plugins that are no readers: none need be imported to know it."""


@frozen
class Parts:
    """The plugins of a process.

    Attributes:
        readers: Those that events are handed to, or that expose metrics.
        sources: Those that write events.
        store: What keeps events; None if none is on.
    """

    readers: list[Plugin]
    sources: list[Plugin]
    store: Plugin | None


def part_plugins(loaded: Iterable[Plugin], config: Config) -> tuple[Parts, list[ConfigProblem]]:
    """Tell the plugins by their kinds.

    Returns:
        The parts, and what is wrong: there are two stores, or a plugin that is of two kinds, or
        that has a hook which nobody calls on one of its kind, or a source that makes no sense.
    """
    of_kind: dict[Kind, list[Plugin]] = {READER: [], SOURCE: [], STORE: []}
    problems = []
    for plugin in loaded:
        kind = kind_of(plugin)
        of_kind[kind].append(plugin)
        mistakes = list(kind.mistakes(plugin.hooks))
        if kind is SOURCE:
            try:
                Framework.of(plugin.instance)
            except ValueError as error:
                mistakes.append(str(error))
        problems += [problem_of(plugin, config, mistake) for mistake in mistakes]
    stores = of_kind[STORE]
    names = [store.name for store in stores]
    # One whose table is wrong was not made, and is one all the same.
    made = {plugin.name for plugins in of_kind.values() for plugin in plugins}
    if config.plugins.keys() - made:
        names += [table.name for table in store_tables(config)[0] if table.name not in made]
    if len(names) > 1:
        problems += [_problem_of(name, config, two_stores(names)) for name in names]
    parts = Parts(of_kind[READER], of_kind[SOURCE], stores[0] if stores else None)
    return parts, problems


def store_tables(config: Config) -> tuple[list[PluginTable], list[ConfigProblem]]:
    """Find the tables of stores, as ``tables_of`` does."""
    return tables_of(config, STORE)


def tables_of(config: Config, *kinds: Kind) -> tuple[list[PluginTable], list[ConfigProblem]]:
    """Find the tables of some kinds. Our own plugins that are of another are not imported.

    Returns:
        The tables, and what is wrong with those whose classes cannot be had: each may be one.
    """
    installed, problems = plugins_for(config)
    tables: list[PluginTable] = []
    if problems:
        return tables, problems
    for name, table in config.plugins.items():
        if name in SHIPPED and SHIPPED_KINDS.get(name, READER) not in kinds:
            continue
        plugin_class, found = load_class(table, installed)
        problems += found
        if not found and kind_of_class(plugin_class) in kinds:
            tables.append(table)
    return tables, problems


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


def loaded_parts(config: Config, instances: Iterable[object] = ()) -> Parts:
    """Load the plugins of *config*, with those that the caller has made, and tell their kinds.

    Raises:
        ConfigError: Something is wrong in their tables, or with them together.
    """
    loaded, problems = load_plugins(config)
    loaded += take_instances(instances, loaded, config.delivery)
    parts, found = part_plugins(loaded, config)
    if problems or found:
        raise ConfigError([*problems, *found])
    return parts


def examine_plugins(config: Config) -> tuple[list[Plugin], list[ConfigProblem]]:
    """Load the plugins of *config*, and find all that is wrong with them; nothing is opened."""
    loaded, problems = load_plugins(config)
    parts, found = part_plugins(loaded, config)
    store = parts.store
    problems += found
    fault = None if store is None else opening_fault(store, config.service)
    if store is not None and isinstance(fault, SettingError):
        problems.append(setting_problem(store, config, fault))
    return loaded, problems


def usable_config(path: Path) -> Config:
    """Read a file from which everything that it names can be made.

    Raises:
        ConfigError: The file, or a plugin's table in it, has problems. It lists them all.
    """
    config, problems = read_config(path)
    if config is None:
        raise ConfigError(problems)
    if problems:
        found = [] if disabled(os.environ) else examine_plugins(config)[1]
        raise ConfigError([*problems, *found])
    return config


def opening_fault(store: Plugin, service: str) -> BaseException | None:
    """Try whether *store* can be opened; give why not. Nothing is opened by that. A table that is
    right for reading alone is no fault.
    """
    logger = logging.getLogger(__name__)
    context = StoreContext(
        name=store.name, service=service, logger=logger, log=EventLog(1, None),
        admit=lambda event: event, announce=lambda *_: None,
    )  # fmt: skip
    try:
        ask_store(store, "open_store", context)
    except OnlyReadError:
        return None
    except BaseException as error:
        if is_of_application(error):
            raise
        return error
    return None
