"""Which store a command uses: that of the configuration, or one named on the command line."""

from pathlib import Path

import click
from attrs import evolve

from ..config import Config, PluginTable
from ..config.lookup import FILE_NAME
from ..config.structuring import Origin
from ..errors import ConfigError
from ..host.kinds import SOURCE, STORE, Kind, kind_of_class
from ..host.loading import store_tables, tables_of, two_stores
from ..host.plugins import load_class, plugins_for
from .config_option import find_file, read_leniently
from .own_table import OwnTable

_JOURNAL = "journal"


def journal_table(directory: Path) -> OwnTable:
    """Give a table for the journal in *directory*."""
    values = {"directory": directory.absolute()}
    return OwnTable.of(PluginTable(_JOURNAL, values, Origin("--journal")), Config(), ())


def with_journal(config: Config, directory: Path) -> Config:
    """Make the journal in *directory* the store, in place of the one that is on."""
    table = config.plugins.get(_JOURNAL, PluginTable(_JOURNAL))
    table = evolve(table, values={**table.values, "directory": directory.absolute()})
    return _with_store(config, table)


def with_store(config: Config, name: str) -> Config:
    """Make the plugin *name* the store, in place of the one that is on.

    Raises:
        ConfigError: There is no such plugin, or it cannot be imported.
        UsageError: It is not a store.
    """
    table = config.plugins.get(name) or PluginTable(name, origin=Origin(f"--store {name}"))
    _check_store(table, config)
    return _with_store(config, table)


def _with_store(config: Config, table: PluginTable) -> Config:
    return evolve(config, plugins={**_without(config, STORE).plugins, table.name: table})


def named_table(name: str, config_file: Path | None) -> OwnTable:
    """Give the table of the store *name*; an empty one without a table or a configuration.

    Raises:
        ConfigError: There is no such plugin, or it cannot be imported.
        UsageError: It is not a store.
    """
    own = OwnTable.find(name, config_file, f"--store {name}")
    _check_store(own.table, own.config)
    return own


def _check_store(table: PluginTable, config: Config) -> None:
    """Check that the plugin of *table* is a store, without creating it.

    Raises:
        ConfigError: There is no such plugin, or it cannot be imported.
        UsageError: It is not a store.
    """
    installed, problems = plugins_for(evolve(config, plugins={table.name: table}))
    if problems:
        raise ConfigError(problems)
    plugin_class, problems = load_class(table, installed)
    if problems:
        raise ConfigError(problems)
    kind = kind_of_class(plugin_class)
    if kind is not STORE:
        raise click.UsageError(
            f"{table.name} is {kind.name}, not a store: name one that keeps events, such as"
            f" {_JOURNAL} or nats"
        )


def readers_alone(config: Config) -> Config:
    """Turn off every store and source: a source would add events to those that were recorded."""
    return _without(config, STORE, SOURCE)


def _without(config: Config, *kinds: Kind) -> Config:
    stores = {table.name for table in tables_of(config, *kinds)[0]} | {_JOURNAL}
    others = {name: table for name, table in config.plugins.items() if name not in stores}
    return evolve(config, plugins=others)


def nothing_named(*, files: bool = False) -> str:
    """Say that there is no configuration, and what to name; *files*: also a file of events."""
    events = "a file of events, " if files else ""
    return (
        f"there is no {FILE_NAME} in this directory: change to the one that has it, or name"
        f" {events}a journal with --journal, a store with --store, or a configuration with --config"
    )


def asked_table(config_file: Path | None) -> OwnTable:
    """Give the table of the store that the configuration turns on.

    Raises:
        ConfigError: It turns on two, or has problems that may hide the store.
        UsageError: There is none, or no configuration.
    """
    path = find_file(config_file)
    if path is None:
        raise click.UsageError(nothing_named())
    config, problems = read_leniently(path)
    stores, unknown = store_tables(config)
    if len(stores) > 1:
        message = two_stores(table.name for table in stores)
        raise ConfigError(table.problem(message) for table in stores)
    if not stores and (problems or unknown):
        raise ConfigError([*problems, *unknown])  # one of these is why
    if not stores:
        raise click.UsageError(
            f"{path} turns on no store: add a table such as [plugins.{_JOURNAL}],"
            " or name a journal with --journal, or a store with --store"
        )
    return OwnTable.of(stores[0], config, problems)
