"""A journal's directory, as an agent follows it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_journal.reading.event_index import FOLDER as INDEX
from hypervisor_journal.runs.claims import CLAIMS_NAME
from hypervisor_journal.runs.run_ledger import LEDGER_NAME
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.streams.delivered_runs import FOLDER as DELIVERED
from hypervisor_journal.streams.failed_reads import or_wait
from hypervisor_journal.streams.followed_runs import FollowedRuns
from hypervisor_observability import MetricFamily
from hypervisor_observability.errors import NoHistoryError, StoreInUseError

CURSORS = "agent"
"""Folder of a journal's directory in which the agent's cursors are."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


@define(eq=False)
class FollowedJournal:
    """All runs of a directory, for the readers of one agent.

    Attributes:
        directory: Of the journal.
    """

    directory: Path
    _streams: dict[str, FollowedRuns] = field(factory=dict, init=False)
    _lock_descriptor: int = field(default=-1, init=False)

    @property
    def place(self) -> str:
        """The directory."""
        return str(self.directory)

    def start(self) -> None:
        """Take the lock of the one agent that there may be.

        Raises:
            NoHistoryError: The directory holds other things than a journal, or what may become
                one.
            StoreInUseError: Another one has it.
            StreamUnavailableError: The directory cannot be looked at.
            OSError: It cannot be written: cursors could not be kept.
        """
        with or_wait(self.directory):
            _refuse_foreign(self.directory)
        self._lock_descriptor = _lock(self.directory / CURSORS)

    def stop(self) -> None:
        """Release it."""
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def stream_for(self, reader: str, *, defers: bool) -> FollowedRuns:
        """Give what *reader* reads of all runs.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next process.
        """
        if reader not in self._streams:
            path = self.directory / CURSORS / f"{reader}.json"
            self._streams[reader] = FollowedRuns(reader, self.directory, path, defers)
        return self._streams[reader]

    def status(self) -> Mapping[str, Any]:
        """Tell of it, in plain data."""
        return {"directory": str(self.directory)}

    def metrics(self) -> list[MetricFamily]:
        """Give none: who writes tells of what is written."""
        return []


def _refuse_foreign(directory: Path) -> None:
    """Refuse a directory that holds something else, hidden names and what a file system has aside.

    Raises:
        NoHistoryError: It does.
    """
    if not directory.is_dir() or any(True for _ in runs_of(directory)):
        return
    ours = {CURSORS, INDEX, LEDGER_NAME, CLAIMS_NAME, DELIVERED, "lost+found"}
    foreign = sorted(
        path.name
        for path in directory.iterdir()
        if path.name not in ours and not path.name.startswith(".")
    )
    if foreign:
        raise NoHistoryError(f"there is no journal in {directory}, but {foreign[0]!r}")


def _lock(folder: Path) -> int:
    import fcntl  # as the journal, not for Windows

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise StoreInUseError(f"another agent reads {folder.parent} already") from None
        raise
    return descriptor
