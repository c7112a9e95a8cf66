"""Retention: which segments of a journal's directory go, and when."""

import time
from pathlib import Path

from attrs import frozen

from .runs import SPARE_SUFFIX, Run, runs_of

_BLOCK_BYTES = 512  # the unit of st_blocks (POSIX, <sys/stat.h>)


@frozen
class Retention:
    """The bounds of a directory. Who reads a segment late counts what it held as expired.

    Attributes:
        max_bytes: Most bytes on the disk; the oldest segments go first.
        max_age_seconds: Longest time since a segment was last written to; None for no bound.
    """

    max_bytes: int
    max_age_seconds: float | None = None

    def apply(self, directory: Path) -> int:
        """Remove what is beyond the bounds, but never the newest segment of a living run.

        Returns:
            Bytes that are left.

        Raises:
            OSError: A segment cannot be removed.
        """
        found: list[_Segment] = []
        for run in runs_of(directory):
            _remove_spares(run)
            found += _segments_of(run)
        total = sum(segment.size for segment in found)
        now = time.time()
        for segment in found:
            old = self.max_age_seconds is not None and now - segment.time > self.max_age_seconds
            if total <= self.max_bytes and not old:
                continue
            if segment.last and segment.run.is_alive():
                continue
            segment.path.unlink(missing_ok=True)
            total -= segment.size
            if segment.last:
                segment.run.remove()
        return total


@frozen
class _Segment:
    run: Run
    path: Path
    size: int
    time: float
    last: bool


def _segments_of(run: Run) -> list[_Segment]:
    found = []
    paths = [path for _, path in run.segments()]
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # another process keeps the bounds too
        size = status.st_blocks * _BLOCK_BYTES
        found.append(_Segment(run, path, size, status.st_mtime, last=path == paths[-1]))
    return found


def _remove_spares(run: Run) -> None:
    """Remove what a process that has died had allocated in advance."""
    spares = list(run.path.glob(f"*{SPARE_SUFFIX}"))
    if spares and not run.is_alive():
        for spare in spares:
            spare.unlink(missing_ok=True)
