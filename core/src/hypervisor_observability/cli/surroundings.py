"""What ``hvobs check`` and ``hvobs doctor`` both look at: what a process would trip over, apart
from the backends themselves.
"""

import stat
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from ..config import Config
from ..config.extras import missing_extras
from ..errors import ConfigProblem
from ..events.event_types import EventType
from ..files.places import check_folder, free_bytes
from ..host.plugins import load_class, plugins_for, structure_table
from ..text.error_text import message_of

_LEAST_FREE_BYTES = 1024 * 1024
_TYPES = tuple(one.value for one in EventType)
_FAMILIES = tuple(dict.fromkeys(f"{value.partition('.')[0]}.*" for value in _TYPES))


def missing_in(config: Config, path: Path) -> list[ConfigProblem]:
    """Give the keys that need a package which is not installed."""
    found = []
    for table in attrs.fields(Config):
        settings = getattr(config, table.name)
        for key, problem in missing_extras(settings):
            found.append(ConfigProblem(str(path), None, f"{table.name}.{key}", problem))
    installed, _ = plugins_for(config)
    for plugin_table in config.plugins.values():
        plugin_class, problems = load_class(plugin_table, installed)
        if not problems:
            settings, _, _ = structure_table(plugin_table, plugin_class, config.delivery)
            for key, problem in missing_extras(settings):
                found.append(plugin_table.problem(problem, key))
    return found


def pattern_warnings(config: Config, path: Path) -> list[ConfigProblem]:
    """Give the patterns for events that match no known type. One of the user's own may come."""
    found = [
        ConfigProblem(str(path), None, "delivery.events", warning)
        for warning in _odd_patterns(config.delivery.events)
    ]
    for table in config.plugins.values():
        patterns = table.values.get("events", ())
        if isinstance(patterns, list | tuple):
            found += [table.problem(text, "events") for text in _odd_patterns(patterns)]
    return found


def _odd_patterns(patterns: Iterable[object]) -> Iterable[str]:
    for pattern in patterns:
        glob = str(pattern).removeprefix("!")
        if not any(fnmatchcase(value, glob) for value in _TYPES):
            close = get_close_matches(glob, [*_FAMILIES, *_TYPES], 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            yield f"{pattern!r} matches no known event type{hint}; one of your own may match"


def state_directory_fault(config: Config) -> str | None:
    """Say why no process could write into the state directory; None: each could."""
    folder = config.state.directory
    if folder is None:
        return None
    try:
        place = check_folder(folder, "state.directory")
        if place == folder:
            for part in (folder / "status", folder / "dead"):
                check_folder(part, "state.directory")
            if place.stat().st_mode & stat.S_IWOTH:
                return f"{folder}: everybody may write there: chmod o-w {folder}"
        free = free_bytes(place)
    except OSError as error:
        return message_of(error)
    if free < _LEAST_FREE_BYTES:
        return f"{folder}: its disk is full: make room, or set state.directory"
    return None
