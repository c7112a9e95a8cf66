"""Locks on files: whoever holds one lives, or is at work. They go with the process.

Windows has none of them. The package can be imported there all the same; the table says what is
missing.
"""

import os
import struct
import sys
from io import FileIO
from pathlib import Path

from hypervisor_observability.files.regular_file import open_regular

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

NO_LOCKS = "the journal needs Linux or macOS: this system has no flock"

# struct flock (POSIX, <fcntl.h>); the order of its members is the system's.
_DARWIN = sys.platform == "darwin"
_FLOCK = struct.Struct("@qqihh" if _DARWIN else "@hhqqi0q")


def try_lock(file: FileIO | int) -> bool:
    """Take the lock of *file*, and let nobody share it; False if another process has it.

    Raises:
        OSError: It cannot be told, or the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: FileIO | int) -> None:
    """Take the lock of *file*, and let nobody share it, as soon as nobody else has it.

    Raises:
        OSError: The file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock file *path*; one that is missing nobody holds.

    Whoever looks shares the lock for that moment with all others who do.

    Raises:
        OSError: It cannot be told at present.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def try_lock_byte(file: FileIO, offset: int) -> bool:
    """Lock one byte of *file*, as long as it is open; False if another process has that byte.

    Raises:
        OSError: It cannot be told.
    """
    try:
        _control(file, "F_OFD_SETLK", fcntl.F_WRLCK, offset)
    except (BlockingIOError, PermissionError):  # either says that it is locked (POSIX, fcntl)
        return False
    return True


def unlock_byte(file: FileIO, offset: int) -> None:
    """Release one byte of *file*.

    Raises:
        OSError: The system does not answer.
    """
    _control(file, "F_OFD_SETLK", fcntl.F_UNLCK, offset)


def is_byte_locked(file: FileIO, offset: int) -> bool:
    """Tell whether another process has one byte of *file*; nothing is locked for it.

    Raises:
        OSError: It cannot be told.
    """
    return _control(file, "F_OFD_GETLK", fcntl.F_WRLCK, offset) != fcntl.F_UNLCK


def _control(file: FileIO, command: str, kind: int, offset: int) -> int:
    """Lock or unlock a byte, or ask for it; give the kind of the answer."""
    if _DARWIN:
        asked = _FLOCK.pack(offset, 1, 0, kind, os.SEEK_SET)
    else:
        asked = _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)
    number = getattr(fcntl, command, None)
    if number is None:
        raise OSError("this system has no locks that belong to an open file")
    answer = _FLOCK.unpack(fcntl.fcntl(file.fileno(), number, asked)[: _FLOCK.size])
    return int(answer[3 if _DARWIN else 0])
