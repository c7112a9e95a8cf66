"""``hvobs check``: can a process journal where the table says, and what is there already?

The answer costs no running process anything: no run is made or opened, no lock is taken, and no
file is left behind.
"""

import contextlib
import errno
import os
from math import inf
from pathlib import Path

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.proof.key_files import check_key_file
from hypervisor_journal.runs.runs import bytes_in, runs_of
from hypervisor_observability.files.atomic_file import kind_of

_MIB = 1024 * 1024
# Opening a file without a name is refused with these where the file system has none.
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def check_journal(config: JournalConfig, table: str) -> str:
    """Say in a line where the journal is, and how much it holds.

    Args:
        config: The table.
        table: Its name, for messages.

    Raises:
        OSError: No process could journal there; the text says why, and what would be right.
        ValueError: The key file cannot be used; likewise.
    """
    if config.anchor_key_file is not None:
        check_key_file(config.anchor_key_file)
    if config.anchor_file is not None:
        _check_anchor_file(config.anchor_file, f"{table}.anchor_file")
    directory = config.directory
    place = _check_folder(directory, f"{table}.directory")
    free = _free_bytes(place)
    if free < config.segment_bytes:
        raise OSError(
            f"{directory}: its disk has {_mib(free)} left, and a segment takes"
            f" {_mib(config.segment_bytes)}: make room, or set {table}.segment_bytes"
        )
    if place != directory:
        return f"journal in {directory}: made by the first process that starts"
    sizes = _sizes_of_runs(directory)
    if not sizes:
        return f"journal in {directory}: nothing is recorded yet"
    runs = "1 run" if len(sizes) == 1 else f"{len(sizes):,} runs"
    return f"journal in {directory}: {runs}, {_mib(sum(sizes))} of at most {_mib(config.max_bytes)}"


def _sizes_of_runs(directory: Path) -> list[int]:
    sizes = []
    try:
        for run in runs_of(directory):
            with contextlib.suppress(FileNotFoundError):  # the bounds of the directory
                sizes.append(bytes_in(run.path))
    except OSError as error:
        raise OSError(
            f"{error.filename or directory}: cannot be looked at: {error.strerror}: let this user"
            " read every run, as each process does that journals here"
        ) from error
    return sizes


def _check_folder(folder: Path, key: str) -> Path:
    """Give *folder*, or the nearest one above it that is there, in which files can be made.

    Raises:
        OSError: No file can be made in it.
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


def _check_anchor_file(path: Path, key: str) -> None:
    if not os.path.lexists(path):
        _check_folder(path.parent, key)
        return
    kind = kind_of(path)
    if kind is not None:
        raise OSError(f"{path}: {kind}, where a file should be: set {key}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(f"{path}: cannot be read and written by this user: set {key}")


def _free_bytes(folder: Path) -> float:
    status = os.statvfs(folder)
    if not status.f_blocks:  # a file system that does not say
        return inf
    return status.f_frsize * (status.f_bavail if os.geteuid() else status.f_bfree)


def _mib(size: float) -> str:
    return f"{size / _MIB:,.1f} MiB"
