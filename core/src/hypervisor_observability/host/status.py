"""``status.json``: what a running process tells of itself, written each second."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..delivery.counts import Counts
from ..delivery.worker import Worker
from ..errors import ObservabilityError
from ..files.atomic_file import replace_file
from ..files.regular_file import read_json
from ..text.error_text import reason_of

FILE_NAME = "status.json"
VERSION = 1
STALE_SECONDS = 10.0
"""A file that is older was left by a process that has ended, or that hangs."""

_MAX_BYTES = 1024 * 1024


_GREATEST = 1e18


class NoStatusError(ObservabilityError):
    """There is no status to read; the text says why, and what to do."""


class DamagedStatusError(NoStatusError):
    """What is there is no status of this package."""


def write_status(directory: Path, status: Mapping[str, Any]) -> None:
    """Replace the file in *directory* at once, so that nobody reads half of it.

    Raises:
        OSError: It cannot be written.
    """
    document = {"version": VERSION, "pid": os.getpid(), "written_at": time.time(), **status}
    replace_file(directory / FILE_NAME, json.dumps(document).encode("ascii"))


def reader_status(state: str, worker: Worker | None, counts: Counts) -> dict[str, Any]:
    """Tell of one reader, in plain data."""
    return {
        "state": state,
        "breaker": None if worker is None else worker.state.breaker.state.value,
        "delivered": counts.delivered,
        "rejected": counts.rejected,
        "dropped": dict(counts.dropped),
        "in_flight": counts.in_flight,
        "pending": counts.pending,
    }


def read_status(directory: Path) -> dict[str, Any]:
    """Read what ``write_status`` wrote: of that shape, whatever stands in the file.

    Raises:
        NoStatusError: There is no such file.
        DamagedStatusError: It holds something else.
    """
    path = directory / FILE_NAME
    try:
        status = read_json(path, _MAX_BYTES)
    except FileNotFoundError:
        raise NoStatusError(
            f"{path} is not there: no process with this [state] directory has started yet"
        ) from None
    except (OSError, ValueError) as error:
        raise DamagedStatusError(f"{path} cannot be read: {reason_of(error)}") from error
    if not isinstance(status, dict) or status.get("version") != VERSION:
        raise DamagedStatusError(f"{path} is of another version of this package")
    try:
        return _status(status)
    except _OddError as odd:
        raise DamagedStatusError(f"{path} cannot be read: {odd}") from None


class _OddError(Exception):
    """Something is missing, or of another type."""


def _status(status: Mapping[str, Any]) -> dict[str, Any]:
    """Check what readers of it rely on; leave out what is neither that nor a scalar."""
    for key in ("pid", "written_at", "started_at", "emitted"):
        _need(_is_number(status.get(key)), key, "a number")
    _need(isinstance(status.get("state"), str), "state", "a string")
    plugins, store = status.get("plugins"), status.get("store")
    if not isinstance(plugins, dict):
        raise _OddError("plugins: expected an object")
    sources = status.get("sources", {})  # a process of an older release tells of none
    if not isinstance(sources, dict):
        raise _OddError("sources: expected an object")
    _need(store is None or isinstance(store, dict), "store", "an object or null")
    return {
        **_scalars(status),
        "store": None if store is None else _scalars(store),
        "plugins": {name: _reader(one, f"plugins.{name}") for name, one in plugins.items()},
        "metrics": _reader(status.get("metrics"), "metrics"),
        "sources": {name: _source(one, f"sources.{name}") for name, one in sources.items()},
    }


def _reader(given: Any, key: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _OddError(f"{key}: expected an object")
    _need(isinstance(given.get("state"), str), f"{key}.state", "a string")
    _need(isinstance(given.get("breaker"), str | None), f"{key}.breaker", "a string or null")
    for number in ("delivered", "rejected", "in_flight", "pending"):
        _need(_is_number(given.get(number)), f"{key}.{number}", "a number")
    dropped = given.get("dropped")
    if not isinstance(dropped, dict) or not all(map(_is_number, dropped.values())):
        raise _OddError(f"{key}.dropped: expected an object of numbers")
    return {"breaker": None, **_scalars(given), "dropped": dropped}


def _source(given: Any, key: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _OddError(f"{key}: expected an object")
    _need(isinstance(given.get("state"), str), f"{key}.state", "a string")
    _need(_is_number(given.get("errors")), f"{key}.errors", "a number")
    return _scalars(given)


def _need(right: bool, key: str, what: str) -> None:  # noqa: FBT001 - as assert
    if not right:
        raise _OddError(f"{key}: expected {what}")


def _is_number(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and -_GREATEST < value < _GREATEST  # type: ignore[operator]  # a number; none that is none is between


def _scalars(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in given.items() if isinstance(value, str | int | float | None)
    }
