"""Cursors on the disk: how far a plugin has come in its runs, and what it holds of them.

A cursor's file begins with a *snapshot*: positions, and the state that a plugin's worker had
there, such as open spans. It is replaced as a whole, and synced, once a second or less often.
Behind it stands a line for each batch since: how far that came. Such a *step* is appended, in
microseconds, whatever the size of the state. So a killed process repeats one batch at most: who
goes on reads the snapshot, reads the events of the steps again, for the state alone, and delivers
from there. The steps are synced once a second: a power cut repeats what was delivered in that
second.

Where there is no file, nothing was delivered. A file that cannot be read says nothing: it is
waited for. A damaged one is kept under another name, and told with its byte; what stands before
that byte holds, and what was delivered since is delivered again. If that is the whole snapshot,
then all is delivered again: rather twice than never.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.files.atomic_file import replace_file, sync_folder
from hypervisor_observability.files.regular_file import open_regular, read_regular
from hypervisor_observability.text.limited_log import LimitedLog

_VERSION = 1
_MAX_BYTES = 256 * 1024 * 1024
_MOST = 2**63  # a journal's sequence numbers have 64 bits
_SYNC_SECONDS = 1.0
_SNAPSHOT_SECONDS = 1.0
# Snapshots take no more than this part of a plugin's time.
_SHARE = 0.05
_STATE_KEY = b', "state":'

_ALL_AGAIN = "all that it stood for is delivered again"
_SOME_AGAIN = "what was delivered since is delivered again"
_NOTHING_OPEN = "what was open is lost"

State = Callable[[], Mapping[str, Any] | None]
Step = tuple[str, int]
"""A run, by whatever name, and the sequence number that was reached in it."""


@frozen
class CursorDamage:
    """Where a cursor's file is damaged.

    Attributes:
        offset: Byte in it.
        reason: What is wrong.
        effect: What comes of it.
    """

    offset: int
    reason: str
    effect: str


@frozen
class Saved:
    """What a cursor's file holds.

    Attributes:
        values: Where to go on: sequence numbers, by whatever name.
        state: What was saved along with the snapshot.
        since: Where the snapshot was taken.
        steps: How the positions came from there to where they are, in order.
        damage: Where the file is damaged; None if it is not.
    """

    values: Mapping[str, int] = field(factory=dict)
    state: Mapping[str, Any] | None = None
    since: Mapping[str, int] = field(factory=dict)
    steps: tuple[Step, ...] = ()
    damage: CursorDamage | None = None


def read_cursor(path: Path) -> Saved:
    """Read a cursor's file; nothing where there is none.

    Raises:
        StreamUnavailableError: It cannot be read at present.
    """
    try:
        data = read_regular(path, _MAX_BYTES)
    except FileNotFoundError:
        return Saved()
    except (OSError, ValueError) as error:
        raise StreamUnavailableError(path, error) from error
    snapshot, _, rest = data.partition(b"\n")
    since, state, damage = _read_snapshot(snapshot)
    if damage is not None and not since:
        return Saved(damage=damage)
    steps, bad = _read_steps(rest, len(snapshot) + 1)
    return Saved({**since, **dict(steps)}, state, since, steps, damage or bad)


def _read_snapshot(
    data: bytes,
) -> tuple[dict[str, int], Mapping[str, Any] | None, CursorDamage | None]:
    try:
        return *_parse_snapshot(data), None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        offset = error.pos if isinstance(error, json.JSONDecodeError) else 0
        reason = f"no cursor: {type(error).__name__}: {error}"
    before, key, _ = data.partition(_STATE_KEY)
    if key:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError):
            values, _ = _parse_snapshot(before + key + b" null}")
            return values, None, CursorDamage(offset, reason, _NOTHING_OPEN)
    return {}, None, CursorDamage(offset, reason, _ALL_AGAIN)


def _parse_snapshot(data: bytes) -> tuple[dict[str, int], Mapping[str, Any] | None]:
    document = json.loads(data)
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']!r}; this release reads {_VERSION}")
    values = dict(map(_step, document["sequences"].items()))
    state = document["state"]
    return values, state if isinstance(state, dict) else None


def _step(pair: Any) -> Step:
    name, number = pair
    if type(name) is not str or type(number) is not int or not 0 <= number < _MOST:
        raise ValueError(f"no position: {pair!r:.80}")
    return name, number


def _read_steps(data: bytes, offset: int) -> tuple[tuple[Step, ...], CursorDamage | None]:
    """Read the steps; one that is torn at the end was never reported as saved."""
    found: list[Step] = []
    whole, _, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    for number, line in enumerate(lines):
        try:
            found += map(_step, json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            if not b"".join([*lines[number:], torn]).strip(b"\0"):
                break  # a power cut: the file had grown, and what was written had not come
            return tuple(found), CursorDamage(offset, f"no step: {error}", _SOME_AGAIN)
        offset += len(line) + 1
    return tuple(found), None


@define(eq=False)
class CursorFile:
    """A plugin's cursor, in one file after another.

    Attributes:
        name: Of the plugin.
    """

    name: str
    _path: Path | None = field(default=None, init=False)
    """The file whose snapshot is this process's own: steps may be appended to it."""
    _due: float = field(default=0.0, init=False)
    _sync_due: float = field(default=0.0, init=False)
    _no_try_before: float = field(default=0.0, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def read(self, path: Path) -> Saved:
        """Read *path*. What is damaged is told, and kept under another name.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        saved = read_cursor(path)
        if saved.damage is None:
            return saved
        kept = path.with_name(f"{path.stem}.damaged{path.suffix}")
        try:
            replace_file(kept, read_regular(path, _MAX_BYTES))
        except (OSError, ValueError) as error:
            raise StreamUnavailableError(path, error) from error
        self._limited_log.warning(
            f"damage {path}",
            "the cursor of plugin %s is damaged: %s, byte %d: %s: %s; the file is kept as %s",
            self.name, path, saved.damage.offset, saved.damage.reason, saved.damage.effect,
            kept.name,
        )  # fmt: skip
        return saved

    def save(
        self,
        path: Path,
        steps: Sequence[Step],
        values: Callable[[], Mapping[str, int]],
        state: State,
        *,
        last: bool = False,
    ) -> bool:
        """Save that *steps* were made: at the end of *path*, or with a snapshot in its place.

        Args:
            path: The file. What it holds was read, or is of no use.
            steps: What was reached since the last call that returned True, in order.
            values: Gives all positions, with *steps*.
            state: Gives what is saved along with a snapshot, of the same moment.
            last: Whether this is the last time for *path*: then a snapshot is taken.

        Returns:
            Whether it was saved. What fails is told, and tried again with the next call.
        """
        now = time.monotonic()
        snapshot = partial(self._snapshot, path, values, state)
        append = partial(self._append, path, steps)
        ways = [append, snapshot]
        if last or path != self._path or now >= self._due:
            ways.reverse()
        if path != self._path:
            ways.remove(append)
            if not last and now < self._no_try_before:
                return False
        # A snapshot that fails leaves the one before as it is, and a step will do until the next
        # try; where a step fails, a snapshot makes good whatever came of it.
        return any(self._is_done(way, path) for way in ways)

    def _is_done(self, way: Callable[[], bool], path: Path) -> bool:
        try:
            return way()
        except Exception as error:  # noqa: BLE001 - a plugin's own state may be odd as well
            self._due = self._no_try_before = time.monotonic() + _SNAPSHOT_SECONDS
            self._limited_log.warning("save", "the cursor of plugin %s is not saved: %s: %s",
                                      self.name, path, error)  # fmt: skip
            return False

    def _snapshot(self, path: Path, values: Callable[[], Mapping[str, int]], state: State) -> bool:
        begun = time.monotonic()
        document = {"version": _VERSION, "sequences": dict(values()), "state": state()}
        data = json.dumps(document).encode("ascii") + b"\n"
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            return True  # its run has gone, and its cursor with it
        replace_file(path, data, sync=True, make_folder=False)
        if self._path != path:  # the first one here: its folder may be new
            sync_folder(path.parent.parent)
        ended = time.monotonic()
        self._path = path
        self._due = ended + max(_SNAPSHOT_SECONDS, (ended - begun) / _SHARE)
        self._sync_due = ended + _SYNC_SECONDS
        return True

    def _append(self, path: Path, steps: Sequence[Step]) -> bool:
        """Append *steps*; False if there is no file to append to."""
        # Opened each time: a directory may have more runs than a process may open files.
        try:
            file = open_regular(path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return False
        with file:
            line = json.dumps(steps, separators=(",", ":")).encode("ascii") + b"\n"
            self._path = None  # behind a torn line nothing may stand
            if os.write(file.fileno(), line) != len(line):
                raise OSError("it was written in part")
            self._path = path
            now = time.monotonic()
            if now >= self._sync_due:
                getattr(os, "fdatasync", os.fsync)(file.fileno())
                self._sync_due = now + _SYNC_SECONDS
        return True
