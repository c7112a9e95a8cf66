"""Runs: a directory for each process that writes, with a lock that only the living hold."""

import contextlib
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from itertools import islice
from pathlib import Path

from attrs import frozen

from hypervisor_journal.format.frames import RUN_BYTES
from hypervisor_journal.locks import is_locked, try_lock
from hypervisor_journal.runs.claims import is_claimed
from hypervisor_journal.runs.run_ledger import EndedRun, EndedSegment, RunLedger
from hypervisor_observability.files.regular_file import open_regular

SEGMENT_SUFFIX = ".hvj"
SPARE_SUFFIX = ".new"
"""Ending of files that were allocated, and hold nothing yet."""
LOCK_NAME = "lock"
BLOCK_BYTES = 512
"""The unit of ``st_blocks`` (POSIX, <sys/stat.h>)."""
_GONE_SUFFIX = ".gone"
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_MOST_MISSED = 256
_TRIES = 10
_LOOK_SECONDS = 0.01
_RUN_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-([0-9a-f]{32})", re.ASCII)
_HALF_MADE_NAME = re.compile(_RUN_NAME.pattern + r"\.(new|gone)", re.ASCII)
_SEGMENT_NAME = re.compile(r"(\d{8})\.hvj", re.ASCII)


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

    @property
    def begun(self) -> float:
        """When it was made, in seconds since the epoch: its name says so.

        Raises:
            ValueError: It has another name than a run has.
        """
        moment = self.path.name.partition("-")[0]
        return datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC).timestamp()

    def segments(self) -> list[tuple[int, Path]]:
        """Give the numbers and files of its segments, the first one first.

        What is no regular file, or has another name, is passed over.

        Raises:
            FileNotFoundError: The run has gone.
            OSError: Its directory cannot be read at present.
        """
        found: dict[int, Path] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = _SEGMENT_NAME.fullmatch(entry.name)
                if name is not None and entry.is_file(follow_symlinks=False):
                    found[int(name[1])] = self.path / entry.name
        # A listing may leave out what came while it was read, and show what came after that.
        first, last = min(found, default=0), max(found, default=0)
        missing = (number for number in range(last, first, -1) if number not in found)
        for number in islice(missing, _MOST_MISSED):
            path = self.segment_path(number)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    found[number] = path
        return sorted(found.items())

    def segment_path(self, number: int) -> Path:
        """Give the file of a segment."""
        return self.path / f"{number:08d}{SEGMENT_SUFFIX}"

    def is_written(self) -> bool:
        """Tell whether the process that writes it lives.

        Nobody takes its lock alone but the writer, before the run has its name: so no look is
        in anybody's way.

        Raises:
            OSError: It cannot be told at present.
        """
        return is_locked(self.path / LOCK_NAME)

    def is_alive(self) -> bool:
        """Tell whether a process holds it: the one that writes it, or who delivers its rest.

        Raises:
            OSError: It cannot be told at present.
        """
        return self.is_written() or is_claimed(self.path)

    def note_end(self, end: int) -> None:
        """Note the sequence number behind its last event: nobody writes it any more.

        What cannot be noted is found out again by who finds it dead.
        """
        with contextlib.suppress(OSError):
            RunLedger(self.path.parent).note(self.path.name, self.ended(end))

    def ended(self, end: int) -> EndedRun:
        """Give what the ledger keeps of it.

        Args:
            end: Sequence number behind its last event.

        Raises:
            OSError: It cannot be looked at.
        """
        segments = []
        for number, path in self.segments():
            with contextlib.suppress(FileNotFoundError):  # the bounds of the directory
                status = path.stat()
                size = status.st_blocks * BLOCK_BYTES
                segments.append(EndedSegment(number, size, status.st_mtime))
        held = sum(one.size for one in segments)
        return EndedRun(end, max(0, bytes_in(self.path) - held), segments)

    def remove(self) -> None:
        """Remove all of it, as far as that can be done."""
        shutil.rmtree(self.path, ignore_errors=True)


def is_run_name(name: str) -> bool:
    """Tell whether a run may have this name."""
    return _RUN_NAME.fullmatch(name) is not None


def run_names(directory: Path) -> list[str]:
    """Give the names of the runs in *directory*, the oldest first; what is none is passed over.

    Raises:
        OSError: The directory cannot be read at present. There are none where there is none.
    """
    return _folders_in(directory, _RUN_NAME)


def runs_of(directory: Path) -> Iterator[Run]:
    """Give the runs in *directory*, the oldest first; what is none is passed over.

    Raises:
        OSError: The directory cannot be read at present. There are none where there is none.
    """
    return (Run(directory / name) for name in run_names(directory))


def new_run(directory: Path) -> tuple[Run, FileIO]:
    """Make the directory of a run, and hold its lock.

    Returns:
        The run, and the file that holds the lock until it is closed.

    Raises:
        OSError: It cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):  # taken for what a dead process has left
            return _new_run(directory)
    return _new_run(directory)


def _new_run(directory: Path) -> tuple[Run, FileIO]:
    moment = datetime.now(UTC).strftime(_MOMENT)
    run = Run(directory / f"{moment}-{os.urandom(RUN_BYTES).hex()}")
    # It gets its name once it is locked: a run that nobody holds is taken for a dead one.
    unnamed = run.path.with_name(run.path.name + SPARE_SUFFIX)
    file: FileIO | None = None
    try:
        unnamed.mkdir(mode=0o700)
        file = open_regular(unnamed / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        _lock(file)
        unnamed.rename(run.path)
    except BaseException:
        if file is not None:
            file.close()
        shutil.rmtree(unnamed, ignore_errors=True)
        raise
    return run, file


def remove_half_made(directory: Path) -> None:
    """Remove the folders of processes that have died while they made a run.

    Raises:
        OSError: One cannot be looked at, or not be removed.
    """
    for name in _folders_in(directory, _HALF_MADE_NAME):
        path = directory / name
        if name.endswith(SPARE_SUFFIX):
            if is_locked(path / LOCK_NAME):
                continue
            # At once, so that its maker either has it whole or sees that it has gone.
            gone = path.with_suffix(_GONE_SUFFIX)
            with contextlib.suppress(FileNotFoundError):
                path.rename(gone)
            path = gone
        shutil.rmtree(path, ignore_errors=True)


def _folders_in(directory: Path, named: re.Pattern[str]) -> list[str]:
    is_named = named.fullmatch  # there may be very many: nothing in vain
    try:
        with os.scandir(directory) as entries:
            found = [one for one in entries if is_named(one.name)]
            return sorted([one.name for one in found if one.is_dir(follow_symlinks=False)])
    except FileNotFoundError:
        return []


def _lock(file: FileIO) -> None:
    """Lock the file of a run that is being made.

    Raises:
        OSError: It cannot be had, not even when who looks at it has looked.
    """
    for _ in range(_TRIES):
        if try_lock(file):
            return
        time.sleep(_LOOK_SECONDS)
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), LOCK_NAME)


def bytes_in(path: Path) -> int:
    """Give what a folder takes on the disk with all that is in it.

    Raises:
        OSError: It cannot be looked at.
    """
    total = path.stat().st_blocks
    with os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_in(Path(entry.path)) // BLOCK_BYTES
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks
    return total * BLOCK_BYTES
