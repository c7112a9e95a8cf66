"""``hvobs check``: can a process journal where the table says, and what is there already?

The answer costs no running process anything: no run is made or opened, no lock is taken, and no
file is left behind.
"""

import contextlib
import os
from pathlib import Path

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.proof.key_files import check_key_file
from hypervisor_journal.runs.runs import bytes_in, runs_of
from hypervisor_observability.files.atomic_file import kind_of
from hypervisor_observability.files.places import check_folder, free_bytes

_MIB = 1024 * 1024


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
    place = check_folder(directory, f"{table}.directory")
    free = free_bytes(place)
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


def _check_anchor_file(path: Path, key: str) -> None:
    if not os.path.lexists(path):
        check_folder(path.parent, key)
        return
    kind = kind_of(path)
    if kind is not None:
        raise OSError(f"{path}: {kind}, where a file should be: set {key}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(f"{path}: cannot be read and written by this user: set {key}")


def _mib(size: float) -> str:
    return f"{size / _MIB:,.1f} MiB"
