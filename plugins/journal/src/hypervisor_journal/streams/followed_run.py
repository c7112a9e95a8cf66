"""One run that is followed: how far it was read, how far it goes, and whether more can come."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.run_ledger import EndedRun
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.streams.failed_reads import or_wait, reading_of
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.events.event import HypervisorEvent


@define(eq=False)
class FollowedRun:
    """A run that is followed.

    Attributes:
        run: The run.
        next: Sequence number of the next event to read.
        end: The greatest that was seen to stand behind its last event.
        ended: Whether nothing more comes behind *end*.
    """

    run: Run
    next: int
    _tell: Callable[[Any], None]
    end: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)
    _reader: RunReader | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.end = self.next

    @property
    def waiting(self) -> int:
        """How many events are known to be left."""
        return self.end - self.next

    @property
    def done(self) -> bool:
        """Whether it is dead, and read to its end."""
        return self.ended and self.next >= self.end

    def note(self, ended: EndedRun) -> None:
        """Take what the ledger says."""
        self.end, self.ended = max(self.end, ended.end), True

    def look(self) -> None:
        """Find out how far it goes.

        Raises:
            StreamUnavailableError: It cannot be looked at.
        """
        if self.ended:
            return
        with or_wait(self.run.path):
            # Asked first: what it wrote last is seen when it lives no more.
            ended = not self.run.is_written()
            with contextlib.suppress(FileNotFoundError):  # the bounds of the directory
                self.end = max(self.end, self._open().bounds[1])
        self.ended = ended

    def read(self, max_events: int) -> tuple[int, Sequence[HypervisorEvent]]:
        """Read on; give how many events have gone, and what comes behind them.

        Raises:
            StreamUnavailableError: It cannot be read; nothing has changed.
        """
        with or_wait(self.run.path):
            # Asked first, as above.
            ended = self.ended or not self.run.is_written()
        reading = reading_of(self._open(), self.next, max_events) or Reading((), self.next, 0)
        skipped, events = reading.skipped, reading.events
        if not events:
            # What a dead run does not show, though it was seen, is gone.
            skipped = max(0, self.end - self.next) if ended else 0
            self.ended = ended
        self.next += skipped + len(events)
        self.end = max(self.end, self.next)
        if self.done:
            self._reader = None
        return skipped, events

    def _open(self) -> RunReader:
        if self._reader is None:
            self._reader = RunReader(self.run, self._tell)
        return self._reader


@frozen
class Part:
    """Events of one run that were read together.

    Attributes:
        run: Their run.
        start: Position of the first of them.
        sequence: Its sequence number.
        end: Position behind the last one.
        events: They; fewer than that where the first ones had gone.
    """

    run: FollowedRun
    start: int
    sequence: int
    end: int
    events: Sequence[HypervisorEvent]

    def cut(self, position: int) -> "tuple[Part, Part]":
        """Give what lies before a *position* within it, and what lies behind."""
        sequence = self.sequence + position - self.start
        behind = self.events[max(0, len(self.events) - (self.end - position)) :]
        before = self.events[: len(self.events) - len(behind)]
        return (
            evolve(self, end=position, events=before),
            evolve(self, start=position, sequence=sequence, events=behind),
        )
