"""The files in which processes tell of themselves: ``status/PID-WORD.json`` in the state directory.

Several processes may share that directory: each has a file of its own. Those of processes that
have ended stay for a day, since they say what was lost. Earlier releases wrote one ``status.json``
for all; it is read like the others.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from ..files.atomic_file import replace_file

FOLDER = "status"
"""In the state directory."""

FORMER_NAME = "status.json"
"""The one file of earlier releases, in the state directory itself."""

VERSION = 1
STALE_SECONDS = 10.0
"""A file that is older was left by a process that has ended, or that hangs."""

MOST_PROCESSES = 64
"""Most files that are kept and read: the newest."""

KEPT_SECONDS = 86_400.0
"""For how long the file of a process is kept that writes no more. The newest stays."""

_NAME = re.compile(r"[0-9]{1,10}-[0-9a-f]{8}\.json")
_LEFT_BEHIND = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]+\.tmp")


@frozen(order=True)
class _Found:
    """A file of some process, as the directory has it."""

    written_at: float
    path: Path


@define(eq=False)
class StatusFile:
    """The file of this process.

    Attributes:
        path: Where it is.
    """

    path: Path
    _has_tidied: bool = field(default=False, init=False)

    @classmethod
    def of(cls, directory: Path) -> "StatusFile":
        """Choose a name in the state *directory* that no other process has, in any container."""
        return cls(directory / FOLDER / f"{os.getpid()}-{secrets.token_hex(4)}.json")

    def write(self, status: Mapping[str, Any]) -> None:
        """Replace the file at once, so that nobody reads half of it. The first time, remove what
        processes left that ended long ago.

        Raises:
            OSError: It cannot be written.
        """
        document = {"version": VERSION, "pid": os.getpid(), "written_at": time.time(), **status}
        replace_file(self.path, json.dumps(document).encode("ascii"))
        if not self._has_tidied:
            self._has_tidied = True
            _tidy(self.path.parent)


def write_status(directory: Path, status: Mapping[str, Any]) -> None:
    """Write a file for a process into the state *directory*.

    Raises:
        OSError: It cannot be written.
    """
    StatusFile.of(directory).write(status)


def _tidy(folder: Path) -> None:
    """Remove files of processes that write no more, and what a killed one was about to write."""
    now = time.time()
    found = sorted(_files_in(folder, _NAME), reverse=True)
    kept = {one.path for one in _kept(found, now)}
    left = [one for one in found if one.path not in kept and now - one.written_at > STALE_SECONDS]
    left += [one for one in _files_in(folder, _LEFT_BEHIND) if now - one.written_at > KEPT_SECONDS]
    for one in left:
        one.path.unlink(missing_ok=True)


def _kept(newest_first: Sequence[_Found], now: float) -> Iterable[_Found]:
    for place, one in enumerate(newest_first[:MOST_PROCESSES]):
        if place == 0 or now - one.written_at <= KEPT_SECONDS:
            yield one


def _files_in(folder: Path, name: re.Pattern[str]) -> Iterable[_Found]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if name.fullmatch(entry.name):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
            yield _Found(found.st_mtime, Path(entry.path))


def status_paths(directory: Path, now: float) -> list[Path]:
    """Give the files in the state *directory*, the newest first.

    Args:
        directory: It may not be there.
        now: Seconds since the epoch.

    Raises:
        OSError: It cannot be listed.
    """
    files = [*_files_in(directory / FOLDER, _NAME), *_former(directory)]
    return [one.path for one in _kept(sorted(files, reverse=True), now)]


def _former(directory: Path) -> Iterable[_Found]:
    path = directory / FORMER_NAME
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return [_Found(found.st_mtime, path)]
