"""A journal's directory, as an agent follows it."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_journal.locks import try_lock
from hypervisor_journal.runs.directory import AGENT, AGENT_LOCK, refuse_foreign
from hypervisor_journal.streams.failed_reads import or_wait
from hypervisor_journal.streams.followed_runs import FollowedRuns
from hypervisor_observability import MetricFamily
from hypervisor_observability.errors import StoreInUseError
from hypervisor_observability.files.regular_file import open_regular


@define(eq=False)
class FollowedJournal:
    """All runs of a directory, for the readers of one agent.

    Attributes:
        directory: Of the journal.
    """

    directory: Path
    _streams: dict[str, FollowedRuns] = field(factory=dict, init=False)
    _lock: FileIO | None = field(default=None, init=False)

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
            refuse_foreign(self.directory)
        self._lock = _locked(self.directory / AGENT / AGENT_LOCK)

    def stop(self) -> None:
        """Release it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def stream_for(self, reader: str, *, defers: bool) -> FollowedRuns:
        """Give what *reader* reads of all runs.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next process.
        """
        if reader not in self._streams:
            path = self.directory / AGENT / f"{reader}.json"
            self._streams[reader] = FollowedRuns(reader, self.directory, path, defers)
        return self._streams[reader]

    def status(self) -> Mapping[str, Any]:
        """Tell of it, in plain data."""
        return {"directory": str(self.directory)}

    def metrics(self) -> list[MetricFamily]:
        """Give none: who writes tells of what is written."""
        return []


def _locked(path: Path) -> FileIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as on_failure:
        file = on_failure.enter_context(open_regular(path, os.O_RDWR | os.O_CREAT))
        if not try_lock(file):
            raise StoreInUseError(f"another agent reads {path.parent.parent} already")
        on_failure.pop_all()
        return file
