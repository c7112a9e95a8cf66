"""``status.json``: what a running process tells of itself, written each second."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic_file import replace_file
from .delivery.accounts import Counts
from .delivery.worker import Worker
from .errors import ObservabilityError

FILE_NAME = "status.json"
VERSION = 1
STALE_SECONDS = 10.0
"""A file that is older was left by a process that has ended, or that hangs."""

_MAX_BYTES = 1024 * 1024


class NoStatusError(ObservabilityError):
    """There is no status to read; the text says why, and what to do."""


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
        "breaker": None if worker is None else worker.breaker_state.value,
        "delivered": counts.delivered,
        "rejected": counts.rejected,
        "dropped": dict(counts.dropped),
        "in_flight": counts.in_flight,
        "pending": counts.pending,
    }


def read_status(directory: Path) -> dict[str, Any]:
    """Read what ``write_status`` wrote.

    Raises:
        NoStatusError: There is no such file, or another one.
    """
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            status = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        raise NoStatusError(
            f"{path} is not there: no process with this [state] directory has started yet"
        ) from None
    except (OSError, ValueError) as error:
        raise NoStatusError(f"{path} cannot be read: {error}") from error
    if not isinstance(status, dict) or status.get("version") != VERSION:
        raise NoStatusError(f"{path} is of another version of this package")
    return status
