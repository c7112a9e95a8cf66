"""How a file becomes a configuration, and a plugin's table one of the plugin's own class."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from ..errors import ConfigError, ConfigProblem
from .class_fields import field_types
from .file import UnusableFile, read_document
from .interpolation import interpolate, interpolate_tree
from .plugin_tables import DELIVERY_KEYS, PluginTable
from .settings import Config
from .structuring import Origin, structure
from .toml_lines import KeyPath

T = TypeVar("T")
Common = TypeVar("Common", bound=attrs.AttrsInstance)


def load_config(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration file at *path*, without the plugins' own keys.

    Args:
        path: A TOML file.
        environ: Variables for ``${...}``; the process's own unless given.

    Raises:
        ConfigError: Something is wrong. The error lists everything that is.
    """
    config, problems = read_config(path, environ=environ)
    if config is None or problems:
        raise ConfigError(problems)
    return config


def read_config(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
) -> tuple[Config | None, list[ConfigProblem]]:
    """Read the file at *path* as :func:`load_config` does, but return what is wrong.

    Args:
        path: A TOML file.
        environ: Variables for ``${...}``; the process's own unless given.

    Returns:
        The configuration and its problems, in the order of the file. Where there are
        problems, it has defaults in place of what is wrong, so that the plugins' tables can be
        checked too: do not run it. It is None if the file cannot be read as TOML.
    """
    path = Path(path)
    try:
        document = read_document(path)
    except UnusableFile as error:
        return None, [ConfigProblem(str(path), error.line, "", str(error))]
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 - resolve() would follow links
    origin = Origin(str(path), folder, document.lines)
    fill = partial(interpolate, environ=os.environ if environ is None else environ, folder=folder)
    findings: list[tuple[KeyPath, str]] = []
    raw = interpolate_tree(document.values, fill, findings)
    if isinstance(tables := raw.get("plugins"), dict):
        raw["plugins"] = {
            name: PluginTable(name, table, origin) if isinstance(table, dict) else table
            for name, table in tables.items()
        }
    config, problems = _structure_core(raw, origin)
    problems = [_with_place_of_plugin(one, raw) for one in problems]
    problems += [origin.problem(where, message) for where, message in findings]
    return config, sorted(problems, key=lambda problem: problem.line or 0)


def _with_place_of_plugin(problem: ConfigProblem, raw: Mapping[str, Any]) -> ConfigProblem:
    """Say where a plugin's table stands, of one that stands at the top."""
    if problem.message != "unknown key" or not isinstance(raw.get(problem.key), dict):
        return problem
    message = f"unknown table: that of a plugin is called [plugins.{problem.key}]"
    return attrs.evolve(problem, message=message)


def _structure_core(
    raw: dict[str, Any], origin: Origin
) -> tuple[Config | None, list[ConfigProblem]]:
    config, problems = structure(raw, Config, origin)
    if config is not None:
        return config, problems
    # Once more with only those top-level keys that are right by themselves.
    sound: dict[str, Any] = {}
    for key, value in raw.items():
        if key == "plugins" and isinstance(value, dict):
            sound[key] = {n: table for n, table in value.items() if isinstance(table, PluginTable)}
        elif structure({key: value}, Config, origin)[0] is not None:
            sound[key] = value
    return structure(sound, Config, origin)[0], problems


def structure_plugin_table(
    table: PluginTable,
    config_class: type[T],
    common: Common,
    *,
    takes_no: str = "a plugin of this kind takes no such key",
) -> tuple[T | None, Common, list[ConfigProblem]]:
    """Make a plugin's configuration of its *table*.

    Args:
        table: As found in :attr:`Config.plugins`.
        config_class: The plugin's ``Config``, an attrs class or a dataclass.
        common: What holds where the table says nothing. Its class has the keys that all plugins
            of a kind take beside their own: ``DeliveryConfig`` for those that read.
        takes_no: What is said of a key of ``DeliveryConfig`` where the kind does not take it.

    Returns:
        The plugin's configuration, what holds of the common keys, and what is wrong. The first is
        None if something is wrong in it, be it told here or, for a ``${...}`` that could
        not be filled, by :func:`read_config`; the second is then *common* where needed.
    """
    taken: list[str] = [key.name for key in attrs.fields(type(common))]
    known = list(dict.fromkeys([*taken, *DELIVERY_KEYS]))
    own = {key: value for key, value in table.values.items() if key not in known}
    given = {key: value for key, value in table.values.items() if key in taken}
    config, problems = structure(own, config_class, table.origin, table.path, also_known=taken)
    inherited = {key: getattr(common, key) for key in taken}
    changed, found = structure({**inherited, **given}, type(common), table.origin, table.path)
    problems += found
    fields = field_types(config_class)
    for key in known:
        if key in fields:
            kind = "delivery" if key in DELIVERY_KEYS else "every plugin of its kind"
            message = f"the plugin's Config has a field of this name, which {kind} takes"
            problems.append(table.problem(message, key))
        elif key in table.values and key not in taken:
            problems.append(table.problem(takes_no, key))
    return config, changed or common, problems
