"""Can a process write where the configuration says? Nothing is made or changed to find out."""

import errno
import os
from math import inf
from pathlib import Path

# Opening a file without a name is refused with these where the file system has none.
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def check_folder(folder: Path, key: str) -> Path:
    """Give *folder*, or the nearest one above it that is there, in which files can be made.

    Args:
        folder: It may not be there yet.
        key: What to set in the configuration to have another one.

    Raises:
        OSError: No file can be made in it; the text says why, and what would be right.
    """
    place = folder
    try:
        place = _nearest_to(folder)
        _make_no_file(place)
    except OSError as error:
        what = "written" if place == folder else "made"
        where = "" if place == folder else f" in {place}"
        raise OSError(
            f"{folder}: cannot be {what}{where}: {error.strerror}: let this user write there, or"
            f" set {key}"
        ) from error
    return place


def _nearest_to(folder: Path) -> Path:
    """Give *folder*, or the nearest one above it that is there.

    Raises:
        OSError: It can never be there: its name is too long, its links go round in a circle.
    """
    while True:
        try:
            folder.lstat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            folder = folder.parent
        else:
            return folder


def _make_no_file(folder: Path) -> None:
    """Find out whether a file can be made in *folder*; none is.

    Raises:
        OSError: It cannot.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder.name!r} is not a directory", str(folder))
    unnamed = getattr(os, "O_TMPFILE", None)  # Linux alone
    if unnamed is not None:
        try:
            # Nobody sees a file without a name, and the time of the folder stays what it is.
            os.close(os.open(folder, os.O_WRONLY | unnamed, 0o600))
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
        else:
            return
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def free_bytes(folder: Path) -> float:
    """Give how many bytes this user can still write there; without end where nobody says.

    Raises:
        OSError: It cannot be told.
    """
    status = os.statvfs(folder)
    if not status.f_blocks:  # a file system that does not say
        return inf
    return status.f_frsize * (status.f_bavail if os.geteuid() else status.f_bfree)
