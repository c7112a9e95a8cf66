"""The lock that gives a journal one sender. It ends with its process."""

import contextlib
import os
from io import FileIO
from pathlib import Path

from attrs import define, field

from hypervisor_journal.locks import try_lock
from hypervisor_journal.runs.directory import SHIPPED
from hypervisor_observability.files.regular_file import open_regular

_LOCK_NAME = "lock"
_MAX_DIGITS = 20


@define(eq=False)
class ShippingLock:
    """The lock of a journal's directory.

    Attributes:
        directory: The journal's.
    """

    directory: Path
    _file: FileIO | None = field(default=None, init=False)

    @property
    def folder(self) -> Path:
        """Where the lock and the files of its holder are."""
        return self.directory / SHIPPED

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._file is not None

    def take(self) -> bool:
        """Take it, or keep it; False if another process has it.

        A lock whose file was removed is void: this takes the file that is there now.

        Raises:
            OSError: The file cannot be opened; or there is no journal.
        """
        if self._file is not None and not self._is_there(self._file):
            self.release()
        if self._file is None:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            file = open_regular(self.folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT)
            with contextlib.ExitStack() as until_held:
                until_held.callback(file.close)
                if try_lock(file):
                    with contextlib.suppress(OSError):  # for people alone; the disk may be full
                        os.ftruncate(file.fileno(), 0)
                        os.pwrite(file.fileno(), b"%d\n" % os.getpid(), 0)
                    self._file = file
                    until_held.pop_all()
        return self.held

    def _is_there(self, file: FileIO) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file.fileno()), (self.folder / _LOCK_NAME).lstat())
        return False

    def holder(self) -> str:
        """Name the process that has it, for people."""
        with (
            contextlib.suppress(OSError, ValueError),
            open_regular(self.folder / _LOCK_NAME) as file,
        ):
            return f"process {int(file.read(_MAX_DIGITS) or b'')}"
        return "another process"

    def release(self) -> None:
        """Let another process have it. In a fork's child it stays the parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
