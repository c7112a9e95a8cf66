"""The runs of a directory, listed again when one was added or removed."""

import time
from pathlib import Path

from attrs import define, field

from hypervisor_journal.runs.runs import run_names

_SETTLED_SECONDS = 2.0
"""If a directory has been unchanged for this long, any later change also changes its time."""


@define(eq=False)
class RunListing:
    """Lists runs; costs one ``stat`` while nothing changes.

    Attributes:
        directory: Of the journal.
    """

    directory: Path
    _listed_at: int = field(default=-1, init=False)

    def look(self) -> list[str] | None:
        """Return the names of the runs, oldest first; None if nothing has changed since the last
        look, or there is no directory.

        Raises:
            OSError: The directory cannot be read.
        """
        try:
            time_ns = self.directory.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if time_ns == self._listed_at:
            return None
        # A change within the clock's resolution would be missed: look again later.
        settled = time.time_ns() - time_ns > _SETTLED_SECONDS * 1e9
        names = run_names(self.directory)
        self._listed_at = time_ns if settled else -1
        return names
