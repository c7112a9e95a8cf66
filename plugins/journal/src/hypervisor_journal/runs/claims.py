"""Claims: which process delivers what a dead run has left. Two never deliver the same run.

A claim is a lock on one byte of one file, which stands for the run: a process that holds ten
thousand runs needs one descriptor, the system lets go of them when it dies, and whoever looks
takes nothing.
"""

import os
import struct
import sys
from hashlib import sha256
from io import FileIO
from pathlib import Path

from attrs import define, field

from hypervisor_observability.files.regular_file import open_regular

CLAIMS_NAME = "claims"
# struct flock (POSIX, <fcntl.h>); the order of its members is the system's.
_DARWIN = sys.platform == "darwin"
_FLOCK = struct.Struct("@qqihh" if _DARWIN else "@hhqqi0q")
_OFFSET_BITS = 62  # an offset is signed, and the byte behind it has to be one too


@define(eq=False)
class Claims:
    """The claims of one process.

    Attributes:
        directory: The journal's.
    """

    directory: Path
    _file: FileIO | None = field(default=None, init=False)

    def take(self, run: Path) -> bool:
        """Claim the dead run whose folder is *run*; False if another process has claimed it.

        Raises:
            OSError: It cannot be told.
        """
        import fcntl  # as the journal, not for Windows

        if self._file is None:
            self._file = open_regular(self.directory / CLAIMS_NAME, os.O_RDWR | os.O_CREAT)
        try:
            _control(self._file.fileno(), "F_OFD_SETLK", fcntl.F_WRLCK, run)
        except (BlockingIOError, PermissionError):  # either says that it is locked (POSIX, fcntl)
            return False
        return True

    def release(self, run: Path) -> None:
        """Let another process claim the run.

        Raises:
            OSError: The system does not answer.
        """
        import fcntl

        if self._file is not None:
            _control(self._file.fileno(), "F_OFD_SETLK", fcntl.F_UNLCK, run)

    def close(self) -> None:
        """Let go of all. In a fork's child they stay the parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def is_claimed(run: Path) -> bool:
    """Tell whether a process delivers what *run* has left; nothing is locked for it.

    Raises:
        OSError: It cannot be told.
    """
    import fcntl

    try:
        file = open_regular(run.parent / CLAIMS_NAME)
    except FileNotFoundError:
        return False
    with file:
        found = _control(file.fileno(), "F_OFD_GETLK", fcntl.F_WRLCK, run)
    return found != fcntl.F_UNLCK


def _control(descriptor: int, command: str, kind: int, run: Path) -> int:
    """Lock or unlock the byte that stands for *run*, or ask for it; give the kind of the answer."""
    import fcntl

    offset = int.from_bytes(sha256(run.name.encode()).digest()[:8], "big") >> (64 - _OFFSET_BITS)
    if _DARWIN:
        asked = _FLOCK.pack(offset, 1, 0, kind, os.SEEK_SET)
    else:
        asked = _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)
    number = getattr(fcntl, command, None)
    if number is None:
        raise OSError("this system has no locks that belong to an open file")
    answer = _FLOCK.unpack(fcntl.fcntl(descriptor, number, asked)[: _FLOCK.size])
    return int(answer[3 if _DARWIN else 0])
