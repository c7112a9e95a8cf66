"""The runs of a directory, listed again when something has come or gone."""

import time
from pathlib import Path

from attrs import define, field

from hypervisor_journal.runs.runs import run_names

_SETTLED_SECONDS = 2.0
"""A directory that was not changed for as long has a time that tells of every later change."""


@define(eq=False)
class RunListing:
    """Lists runs, at the cost of one look where nothing has changed.

    Attributes:
        directory: The journal's.
    """

    directory: Path
    _listed_at: int = field(default=-1, init=False)

    def look(self) -> list[str] | None:
        """Give the names of the runs, the oldest first; None where they are those of the last look,
        or there is no directory.

        Raises:
            OSError: The directory cannot be read at present.
        """
        try:
            time_ns = self.directory.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if time_ns == self._listed_at:
            return None
        # A change within the grain of the clock would not be seen: look again later.
        settled = time.time_ns() - time_ns > _SETTLED_SECONDS * 1e9
        names = run_names(self.directory)
        self._listed_at = time_ns if settled else -1
        return names
