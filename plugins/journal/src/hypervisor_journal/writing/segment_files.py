"""A segment while it is written: a mapped file whose blocks were allocated before.

Invariants:

* A file object holds the descriptor from the moment when it is open: whatever strikes then, it is
  closed with the object.
* A file that has no number yet has one of few names, and is of no meaning. Who makes another one
  of that name removes it first: nothing piles up.
* A file whose sync failed is read into memory, let go of, and never written again. What takes its
  name is a copy that was synced before.
"""

import errno
import mmap
import os
import struct
import sys
import time
import zlib
from io import FileIO
from pathlib import Path

from attrs import define, field

from hypervisor_journal.format.frames import (
    CHECKSUM_BYTES,
    HEADER_BYTES,
    RECORD_BYTES,
    SegmentHeader,
)
from hypervisor_journal.runs.runs import SPARE_SUFFIX, Run
from hypervisor_journal.writing.entries import BLANK
from hypervisor_observability.files.atomic_file import sync_folder
from hypervisor_observability.threads.interruptions import ignoring

GAP_ROOM_BYTES = RECORD_BYTES + len(BLANK) + 32
"""Kept free at the end of a segment, so that a full disk does not keep its own record out."""

NEXT, AHEAD, COPY = "next", "ahead", "copy"
"""Names of files without a number: made by who appends, by upkeep, and in place of a failed one."""

_CHECKSUM = struct.Struct("<I")


@define(eq=False)
class SegmentFile:
    """A segment that is written.

    Attributes:
        number: In its run; -1 before it has begun.
        size: Bytes that are allocated.
        synced_end: Up to where the disk is known to have it; set by who syncs.
        held: All its bytes, once the disk failed it; else None.
    """

    size: int
    _path: Path
    _file: FileIO
    _memory: mmap.mmap
    number: int = field(default=-1, init=False)
    synced_end: int = field(default=0, init=False)
    held: bytes | None = field(default=None, init=False, repr=False)
    _named: bool = field(default=False, init=False)
    _limit: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._limit = self.size - GAP_ROOM_BYTES

    @classmethod
    def allocate(cls, run: Run, size: int, name: str = NEXT) -> "SegmentFile":
        """Make a file with all its blocks, empty, and of no number yet.

        Raises:
            OSError: It cannot be made: the disk is full, the directory has gone.
        """
        path = run.path / f"{name}{SPARE_SUFFIX}"
        try:
            file = FileIO(path, "x+")
        except FileExistsError:
            path.unlink()  # an exception struck while it was made
            file = FileIO(path, "x+")
        try:
            os.fchmod(file.fileno(), 0o600)
            os.posix_fallocate(file.fileno(), 0, size)
            return cls(size, path, file, mmap.mmap(file.fileno(), size))
        except BaseException:
            file.close()
            with ignoring(OSError):
                path.unlink()
            raise

    def begin(self, run: Run, number: int, first_sequence: int, chain: bytes) -> None:
        """Write the header, and give the file its name: from now on it belongs to *run*.

        It may be done again when it was interrupted.

        Raises:
            OSError: It cannot be renamed.
        """
        header = SegmentHeader(run.id, number, first_sequence, chain, time.time_ns())
        self._memory[:HEADER_BYTES] = header.to_bytes()
        self._take_name(run.segment_path(number))
        self.number = number

    def _take_name(self, path: Path) -> None:
        if not _is_same(self._file, path):
            self._path.rename(path)
        self._path = path

    def store(self, start: int, rest: bytes, *, into_reserve: bool = False) -> int:
        """Store a record, given from behind its checksum, at byte *start*.

        Returns:
            The byte behind it; 0 if there is no room.
        """
        end = start + CHECKSUM_BYTES + len(rest)
        if end > self._limit and (not into_reserve or end > self.size):
            return 0
        # The checksum comes last: who dies in between leaves none. It is never 0.
        self._memory[start + CHECKSUM_BYTES : end] = rest
        _CHECKSUM.pack_into(self._memory, start, zlib.crc32(rest) or 1)
        return end

    def has_room(self, start: int, size: int) -> bool:
        """Tell whether records of *size* bytes have room from byte *start* on."""
        return start + size <= self._limit

    def read(self, start: int, end: int) -> bytes:
        """Give what was stored."""
        return self._memory[start:end] if self.held is None else self.held[start:end]

    def sync(self) -> None:
        """Have the disk hold all that was stored before this call, and the file's name.

        Raises:
            OSError: It does not: nothing may be stored any more.
        """
        self._sync_data()
        if not self._named:
            # Its name has to be on the disk too; not when it was given: an emitter waited then.
            run = self._path.parent
            sync_folder(run)
            sync_folder(run.parent)
            with ignoring(PermissionError):  # somebody else's, where the directory was there before
                sync_folder(run.parent.parent)
            self._named = True

    def _sync_data(self) -> None:
        if sys.platform != "linux" and not self._memory.closed:
            self._memory.flush()
        # Writes mapped pages back too on Linux, and lets other threads run, as msync does not.
        getattr(os, "fdatasync", os.fsync)(self._descriptor())

    def _descriptor(self) -> int:
        if self._file.closed:
            raise OSError(errno.EBADF, "the segment is closed")
        return self._file.fileno()

    @property
    def has_name(self) -> bool:
        """Whether anybody could find what it holds.

        Raises:
            OSError: That cannot be told.
        """
        if os.fstat(self._descriptor()).st_nlink:
            return True
        # An exception may have struck behind the moment when its copy took the name.
        return self.held is not None and self._path.exists()

    def fail(self, end: int) -> None:
        """Hold in memory what was stored up to *end*: the disk may forget it at any time."""
        if self.held is None:
            self.held = self._memory[:end]
        self.close(trim_to=end, keep_file=True)

    def mend(self, run: Run) -> None:
        """Give the name of one that failed to a copy of it, once the disk holds that.

        Raises:
            OSError: The disk does not.
        """
        held = self.held
        if held is None:
            return
        copy = SegmentFile.allocate(run, len(held), COPY)
        try:
            copy._memory[:] = held
            copy._sync_data()
            copy._take_name(self._path)
            failed, self._file = self._file, copy._file
        except BaseException:
            if not _is_same(copy._file, self._path):
                copy.discard()
            raise
        copy._memory.close()
        failed.close()
        self._named = False
        self.sync()

    def close(self, *, trim_to: int | None = None, keep_file: bool = False) -> None:
        """Let go of it.

        Args:
            trim_to: Give back what was allocated behind this byte.
            keep_file: Let go of the mapping alone.
        """
        if self._file.closed:
            return
        with ignoring(BufferError, ValueError):
            self._memory.close()
        with ignoring(OSError):
            if trim_to is not None:
                os.ftruncate(self._file.fileno(), trim_to)
            if not keep_file:
                self._file.close()

    def leave_to_parent(self) -> None:
        """Have no part in it any more, in a fork's child that may be in the middle of a store."""
        self._memory = mmap.mmap(-1, self.size)
        self._file.close()

    def discard(self) -> None:
        """Let go of one that was never begun."""
        self.close()
        with ignoring(OSError):
            self._path.unlink()


def _is_same(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False
