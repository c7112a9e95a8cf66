"""A file that several processes append to, and that one of them may move away meanwhile."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from .regular_file import open_regular

_TRIES = 100
_PAUSE_SECONDS = 0.01


@contextmanager
def open_locked(path: Path, flags: int) -> Iterator[FileIO]:
    """Open *path* and lock it: while it is locked, *path* names this file and no other.

    Everyone who writes it, or moves it, must come here. Where the file system has no locks, it is
    opened without one.

    Args:
        path: A regular file, no symbolic link.
        flags: As of ``os.open``.

    Raises:
        OSError: It cannot be opened, or another process has held the lock for a second.
    """
    for _ in range(_TRIES):
        with open_regular(path, flags) as file:
            if lock(file.fileno()):
                try:
                    if _is_named(path, file.fileno()):
                        yield file
                        return
                finally:
                    _unlock(file.fileno())  # a process forked meanwhile has the descriptor too
        time.sleep(_PAUSE_SECONDS)
    raise OSError("another process holds its lock")


def lock(descriptor: int) -> bool:
    """Lock a file for this process alone, until it is closed; False if another one has."""
    try:
        import fcntl  # Windows has none

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # a system, or a file system, without locks
        return True
    return True


def _unlock(descriptor: int) -> None:
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_named(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
