"""A segment while it is written: a mapped file whose blocks were allocated before."""

import contextlib
import mmap
import os
import struct
import sys
import time
from pathlib import Path

from attrs import define, field

from .frames import CHECKSUM_BYTES, HEADER_BYTES, SegmentHeader, checksum_of
from .runs import SPARE_SUFFIX, Run

_NAME_BYTES = 8
_CHECKSUM = struct.Struct("<I")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


@define(eq=False)
class SegmentFile:
    """A segment that is written.

    Attributes:
        number: In its run; -1 before it has begun.
        size: Bytes that are allocated.
        end: Behind the last record.
        synced_end: Up to where the disk is known to have it; set by who syncs.
    """

    size: int
    _path: Path
    _descriptor: int
    _memory: mmap.mmap
    number: int = field(default=-1, init=False)
    end: int = field(default=0, init=False)
    synced_end: int = field(default=0, init=False)
    _named: bool = field(default=False, init=False)

    @classmethod
    def allocate(cls, run: Run, size: int) -> "SegmentFile":
        """Make a file with all its blocks, empty, and of no number yet.

        Raises:
            OSError: It cannot be made: the disk is full, the directory has gone.
        """
        path = run.path / f"{os.urandom(_NAME_BYTES).hex()}{SPARE_SUFFIX}"
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            memory = mmap.mmap(descriptor, size)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return cls(size, path, descriptor, memory)

    def begin(self, run: Run, number: int, first_sequence: int, chain: bytes) -> None:
        """Write the header, and give the file its name: from now on it belongs to *run*.

        Raises:
            OSError: It cannot be renamed.
        """
        header = SegmentHeader(run.id, number, first_sequence, chain, time.time_ns())
        self._memory[:HEADER_BYTES] = header.to_bytes()
        self.end = HEADER_BYTES
        self._path = self._path.rename(run.segment_path(number))
        self.number = number

    def store(self, rest: bytes) -> bool:
        """Store a record, given from behind its checksum; False if there is no room."""
        start = self.end
        end = start + CHECKSUM_BYTES + len(rest)
        if end > self.size:
            return False
        # The checksum comes last: who dies in between leaves none.
        self._memory[start + CHECKSUM_BYTES : end] = rest
        _CHECKSUM.pack_into(self._memory, start, checksum_of(rest))
        self.end = end
        return True

    def store_again(self, records: bytes) -> bool:
        """Store whole records that another segment held; False if there is no room."""
        end = self.end + len(records)
        if end > self.size:
            return False
        self._memory[self.end : end] = records
        self.end = end
        return True

    def read(self, start: int, end: int) -> bytes:
        """Give what was stored."""
        return self._memory[start:end]

    def sync(self) -> None:
        """Have the disk hold all that was stored before this call, and the file's name.

        Raises:
            OSError: It does not: nothing may be stored any more.
        """
        if sys.platform != "linux":
            self._memory.flush()
        # Writes mapped pages back too on Linux, and lets other threads run, as msync does not.
        getattr(os, "fdatasync", os.fsync)(self._descriptor)
        if not self._named:
            # Its name has to be on the disk too; not when it was given: an emitter waited then.
            _sync_directory(self._path.parent)
            self._named = True

    def close(self, *, trim: bool) -> None:
        """Let go of it; with *trim* give back what was allocated and not used."""
        with contextlib.suppress(BufferError, ValueError):
            self._memory.close()
        with contextlib.suppress(OSError):
            if trim:
                os.ftruncate(self._descriptor, self.end)
            os.close(self._descriptor)

    def discard(self) -> None:
        """Let go of a spare one that was never begun."""
        self.close(trim=False)
        with contextlib.suppress(OSError):
            self._path.unlink()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
