"""Rotation: the segments of a run, one behind the other, and the run itself.

Invariants:

* A step that fails or is interrupted leaves nothing behind: what was made is held by an attribute
  until it is in use, and is taken up by the next try.
* A number is given once. The segment in the making keeps its number until it is in use.
* While no segment can be had, it is tried once in ``TRY_AGAIN_SECONDS``, and told once.
"""

import os
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from hypervisor_journal.format.frames import HEADER_BYTES
from hypervisor_journal.runs.runs import Run, new_run
from hypervisor_journal.writing.segment_files import AHEAD, GAP_ROOM_BYTES, SegmentFile
from hypervisor_observability.threads.interruptions import is_from_handler

TRY_AGAIN_SECONDS = 1.0
"""Time between two tries to have a segment while there is none to be had."""


class Rotation:
    """Makes the segments of a run.

    Args:
        directory: Of the journal; the run gets a directory in it.
        segment_bytes: Bytes of a segment.
        tell: Told what is to be logged.
    """

    def __init__(
        self, directory: Path, segment_bytes: int, tell: Callable[[str, str], object]
    ) -> None:
        self.directory = directory
        self.segment_bytes = segment_bytes
        self.run: Run | None = None
        self.closed = False
        self.degraded = False
        """Whether no segment could be had when the last one was asked for."""
        self.next_number = 0
        self.ready: SegmentFile | None = None
        """A segment in the making: allocated, and begun perhaps."""
        self._lock_file: FileIO | None = None
        self._no_try_before = 0.0
        self._tell = tell

    def next_segment(
        self, record_bytes: int, first_sequence: int, chain: bytes
    ) -> SegmentFile | None:
        """Give another segment; None if there is none to be had.

        It is given again, and stays in the making, until it is settled.
        """
        if self.closed or time.monotonic() < self._no_try_before:
            return None
        try:
            run = self.run or self._begin_run()
            size = max(self.segment_bytes, HEADER_BYTES + record_bytes + 2 * GAP_ROOM_BYTES)
            if self.ready is not None and self.ready.size < size:
                self._drop_ready()
            if self.ready is None:
                self.ready = SegmentFile.allocate(run, size)
            self.ready.begin(run, self.next_number, first_sequence, chain)
        except OSError as error:
            if is_from_handler(error):
                raise
            self._degrade(error)
            return None
        if self.degraded:
            self.degraded = False
            self._tell("recovered", "events are journalled again")
        return self.ready

    def allocate_ahead(self, current: SegmentFile) -> SegmentFile | None:
        """Allocate a segment without holding up who appends; None if there is one.

        Raises:
            OSError: It cannot be had.
        """
        if self.run is None or (self.ready is not None and self.ready is not current):
            return None
        return SegmentFile.allocate(self.run, self.segment_bytes, AHEAD)

    def keep_ahead(self, current: SegmentFile | None, segment: SegmentFile) -> bool:
        """Take what was allocated ahead; False if it is of no use any more."""
        if current is not None:
            self.settle(current)
        if self.closed or self.ready is not None or self.run is None:
            return False
        self.ready = segment
        return True

    def leave_run_if_gone(self) -> None:
        """Go on in another run if somebody has removed this one. Numbers follow."""
        if self.run is None or os.path.lexists(self.run.path):
            return
        self._drop_ready()
        self.run = None
        self._unlock()

    def close(self, current: SegmentFile | None, events: int) -> None:
        """Let go of the run, of *events*; one without any goes."""
        self.closed = True
        if current is not None:
            self.settle(current)
        self._drop_ready()
        if self.run is not None:
            if events:
                self.run.note_end(events)
            else:
                self.run.remove()
        self._unlock()

    def leave_to_parent(self) -> None:
        """Let go of what a parent holds, in its child."""
        self.closed, self.run = True, None
        if self.ready is not None:
            self.ready.leave_to_parent()
            self.ready = None
        self._unlock()

    def settle(self, current: SegmentFile) -> None:
        """Know that *current* is in use; at the latest before the one behind it is asked for."""
        if self.ready is current:
            self.ready = None
        self.next_number = max(self.next_number, current.number + 1)

    def _begin_run(self) -> Run:
        run, self._lock_file = new_run(self.directory)
        self.run = run
        return run

    def _unlock(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _drop_ready(self) -> None:
        if self.ready is not None:
            self.ready.discard()
            self.ready = None

    def _degrade(self, error: OSError) -> None:
        self._no_try_before = time.monotonic() + TRY_AGAIN_SECONDS
        self.degraded = True
        self.leave_run_if_gone()
        self._tell("degraded", f"events are not journalled: {error}")
