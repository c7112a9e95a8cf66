"""Runs: a directory for each process that writes, with a lock that only the living hold."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from ..atomic_file import replace_file
from .frames import RUN_BYTES

SEGMENT_SUFFIX = ".hvj"
SPARE_SUFFIX = ".new"
"""Ending of files that were allocated, and hold nothing yet."""
LOCK_NAME = "lock"
_END_NAME = "end"
_MAX_END_BYTES = 20
_RUN_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-([0-9a-f]{32})", re.ASCII)
_SEGMENT_NAME = re.compile(r"(\d{8})\.hvj", re.ASCII)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


@frozen(order=True)
class Run:
    """A run's directory.

    Attributes:
        path: Where it is. Paths in the order of their names are in the order of time.
    """

    path: Path

    @property
    def id(self) -> bytes:
        """What stands in the headers of its segments.

        Raises:
            ValueError: It has another name than a run has.
        """
        found = _RUN_NAME.fullmatch(self.path.name)
        if found is None:
            raise ValueError(f"{self.path} is no run of a journal")
        return bytes.fromhex(found[1])

    def segments(self) -> list[tuple[int, Path]]:
        """Give the numbers and files of its segments, the first one first.

        What is no regular file, or has another name, is passed over.
        """
        found = []
        for path in self.path.iterdir():
            name = _SEGMENT_NAME.fullmatch(path.name)
            if name is not None and path.is_file() and not path.is_symlink():
                found.append((int(name[1]), path))
        return sorted(found)

    def segment_path(self, number: int) -> Path:
        """Give the file of a segment."""
        return self.path / f"{number:08d}{SEGMENT_SUFFIX}"

    def is_alive(self) -> bool:
        """Tell whether a process holds it: the one that writes it, or who delivers its rest."""
        try:
            descriptor = os.open(self.path / LOCK_NAME, os.O_RDONLY | _NO_FOLLOW)
        except OSError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def claim(self) -> int | None:
        """Hold it in place of the process that wrote it, if that is dead.

        Returns:
            The descriptor that holds the lock until it is closed; None if somebody else does.
        """
        try:
            descriptor = os.open(self.path / LOCK_NAME, os.O_RDONLY | _NO_FOLLOW)
        except OSError:
            return None
        if _try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def known_end(self) -> int | None:
        """Give the sequence number behind its last event, if that was noted when it had died."""
        try:
            return int((self.path / _END_NAME).read_bytes()[:_MAX_END_BYTES])
        except (OSError, ValueError):
            return None

    def note_end(self, end: int) -> None:
        """Note the sequence number behind its last event; nobody writes it any more."""
        with contextlib.suppress(OSError):
            replace_file(self.path / _END_NAME, b"%d" % end)

    def remove(self) -> None:
        """Remove all of it, as far as that can be done."""
        shutil.rmtree(self.path, ignore_errors=True)


def runs_of(directory: Path) -> Iterator[Run]:
    """Give the runs in *directory*, the oldest first; what is none is passed over."""
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        if _RUN_NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield Run(path)


def new_run(directory: Path) -> tuple[Run, int]:
    """Make the directory of a run, and hold its lock.

    Returns:
        The run, and the descriptor that holds the lock until it is closed.

    Raises:
        OSError: It cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    run = Run(directory / f"{moment}-{os.urandom(RUN_BYTES).hex()}")
    # It gets its name once it is locked: a run that nobody holds is taken for a dead one.
    unnamed = run.path.with_name(run.path.name + SPARE_SUFFIX)
    unnamed.mkdir(mode=0o700)
    descriptor = -1
    try:
        descriptor = os.open(
            unnamed / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600
        )
        if not _try_lock(descriptor):
            raise OSError(f"{unnamed} is locked by another process")
        unnamed.rename(run.path)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        shutil.rmtree(unnamed, ignore_errors=True)
        raise
    return run, descriptor


def _try_lock(descriptor: int) -> bool:
    # Windows has no fcntl, and so no journal.
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
