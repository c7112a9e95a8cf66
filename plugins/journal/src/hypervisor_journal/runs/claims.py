"""Claims: which process delivers what a dead run has left. Two never deliver the same run.

A claim is a lock on one byte of one file, which stands for the run: a process that holds ten
thousand runs needs one descriptor, the system lets go of them when it dies, and whoever looks
takes nothing.
"""

import os
from hashlib import sha256
from io import FileIO
from pathlib import Path

from attrs import define, field

from hypervisor_journal.locks import is_byte_locked, try_lock_byte, unlock_byte
from hypervisor_observability.files.regular_file import open_regular

CLAIMS_NAME = "claims"
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
        if self._file is None:
            self._file = open_regular(self.directory / CLAIMS_NAME, os.O_RDWR | os.O_CREAT)
        return try_lock_byte(self._file, _byte_of(run))

    def release(self, run: Path) -> None:
        """Let another process claim the run.

        Raises:
            OSError: The system does not answer.
        """
        if self._file is not None:
            unlock_byte(self._file, _byte_of(run))

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
    try:
        file = open_regular(run.parent / CLAIMS_NAME)
    except FileNotFoundError:
        return False
    with file:
        return is_byte_locked(file, _byte_of(run))


def _byte_of(run: Path) -> int:
    """Give the byte that stands for *run*."""
    return int.from_bytes(sha256(run.name.encode()).digest()[:8], "big") >> (64 - _OFFSET_BITS)
