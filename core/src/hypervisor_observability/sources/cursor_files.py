"""Cursors on the disk: how far a plugin has come in a run, and what it holds of it."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from ..atomic_file import replace_file
from ..limited_log import LimitedLog
from ..regular_file import read_json

_VERSION = 1
_MAX_BYTES = 256 * 1024 * 1024
_SYNC_SECONDS = 1.0
# What is small is saved with each batch, so that a crash repeats one at most. Saving more takes
# no more than this part of a plugin's time, but for once a second.
_SMALL_BYTES = 64 * 1024
_SHARE = 0.05
_LONGEST_WAIT_SECONDS = 1.0


@frozen
class Saved:
    """What a cursor's file holds.

    Attributes:
        values: Where to go on: sequence numbers, by whatever name.
        state: What was saved along with them.
    """

    values: Mapping[str, int] = field(factory=dict)
    state: Mapping[str, Any] | None = None


def read_cursor(path: Path) -> Saved:
    """Read a cursor's file; nothing where there is none, or a damaged one."""
    try:
        document = read_json(path, _MAX_BYTES)
        if document["version"] != _VERSION:
            return Saved()
        values = {str(name): int(value) for name, value in document["sequences"].items()}
        state = document["state"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Saved()
    return Saved(values, state if isinstance(state, dict) else None)


@define(eq=False)
class CursorFile:
    """Saves a cursor: with each batch, or as often as it is worth it.

    Attributes:
        name: Of the plugin.
    """

    name: str
    _due: float = field(default=0.0, init=False)
    _sync_due: float = field(default=0.0, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def save(
        self,
        path: Path,
        values: Mapping[str, int],
        state: Callable[[], Mapping[str, Any] | None],
        *,
        last: bool,
    ) -> bool:
        """Save it to *path*, unless that was just done and it is not the last time.

        Returns:
            Whether it was saved. What fails is told, and tried again with the next call.
        """
        begun = time.monotonic()
        if not last and begun < self._due:
            return False
        document = {"version": _VERSION, "sequences": dict(values)}
        sync = last or begun >= self._sync_due
        try:
            document["state"] = state()
            data = json.dumps(document).encode("ascii")
            replace_file(path, data, sync=sync)
        except Exception as error:  # noqa: BLE001 - a plugin's own state may be odd as well
            self._limited_log.warning("save", "the cursor of plugin %s is not saved: %s",
                                      self.name, error)  # fmt: skip
            return False
        ended = time.monotonic()
        if sync:  # which takes long, but seldom
            self._sync_due = ended + _SYNC_SECONDS
        elif len(data) > _SMALL_BYTES:
            self._due = ended + min(_LONGEST_WAIT_SECONDS, (ended - begun) / _SHARE)
        return True
