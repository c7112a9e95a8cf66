"""What each running process tells of itself, written each second, and how it is read."""

import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from ..delivery.counts import Counts
from ..delivery.worker import Worker
from ..errors import ObservabilityError
from ..files.regular_file import read_json
from ..text.error_text import reason_of
from .status_files import STALE_SECONDS, VERSION, status_paths

_MAX_BYTES = 1024 * 1024
_GREATEST = 1e18


class NoStatusError(ObservabilityError):
    """There is no status to read; the text says why, and what to do."""


class DamagedStatusError(NoStatusError):
    """What is there is no status of this package."""


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


@frozen
class Statuses:
    """What the processes with one state directory tell of themselves.

    Attributes:
        found: Of each, those that still write first, then the newest first. At least one.
        damaged: What cannot be read, a line each.
    """

    found: Sequence[Mapping[str, Any]]
    damaged: Sequence[str]

    def of_process(self, pid: int) -> Sequence[Mapping[str, Any]]:
        """Give those of the processes with this number: one, or several in containers."""
        return [one for one in self.found if one["pid"] == pid]


def is_running(status: Mapping[str, Any], now: float) -> bool:
    """Tell whether the process was running lately.

    Args:
        status: What it told.
        now: Seconds since the epoch.
    """
    return bool(status["state"] == "running" and now - status["written_at"] <= STALE_SECONDS)


def read_statuses(directory: Path) -> Statuses:
    """Read what processes told: of that shape, whatever the files hold.

    Raises:
        NoStatusError: There is no file.
        DamagedStatusError: None of them can be read, or the directory cannot.
    """
    now = time.time()
    try:
        paths = status_paths(directory, now)
    except OSError as error:
        raise DamagedStatusError(f"{directory} cannot be read: {reason_of(error)}") from error
    if not paths:
        raise NoStatusError(_why_none(directory))
    found, damaged = [], []
    for path in paths:
        try:
            found.append(_read(path))
        except FileNotFoundError:  # removed meanwhile
            continue
        except DamagedStatusError as error:
            damaged.append(str(error))
    if not found:
        raise DamagedStatusError("; ".join(damaged) or _why_none(directory))
    found.sort(key=lambda one: (is_running(one, now), one["written_at"]), reverse=True)
    return Statuses(found, damaged)


def read_status(directory: Path) -> Mapping[str, Any]:
    """Read what the process told that runs and has written last, or else wrote last.

    Raises:
        NoStatusError: There is none.
        DamagedStatusError: None can be read.
    """
    return read_statuses(directory).found[0]


def _why_none(directory: Path) -> str:
    try:
        kind = stat.S_IFMT(directory.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return f"{directory} is not there: no process with this [state] directory has started yet"
    if kind != stat.S_IFDIR:
        return f"{directory} is not a directory"
    return f"{directory} has no status: no process with this [state] directory has started yet"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        status = read_json(path, _MAX_BYTES)
    except FileNotFoundError:
        raise
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
