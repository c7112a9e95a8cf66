"""The log in memory with the journal behind it, and with what earlier runs have left before it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.streams.cursor_files import CursorFile, State
from hypervisor_journal.streams.failed_reads import damage_teller, reading_of
from hypervisor_journal.streams.rests import SEQUENCE, Rests, cursor_path
from hypervisor_observability.bus.log import EventLog, Reading
from hypervisor_observability.events.event import HypervisorEvent


@define(eq=False)
class JournalledLog:
    """A stream, and the cursor in it, for one plugin.

    Positions are those of the log. What earlier runs have left stands before it, at negative
    positions, so that all that counts from 0 goes on doing so.

    Attributes:
        name: Of the plugin.
        log: The log in memory.
        run: Gives the run that is written; None while there is none.
        replays: Whether what is left is for the next process.
        directory: The journal's, where earlier runs are; None where there is nothing to go on from.
        rests: What earlier runs have left.
    """

    name: str
    log: EventLog
    run: Callable[[], Run | None]
    replays: bool = True
    directory: Path | None = None
    rests: Rests = field(init=False)
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    _reader: RunReader | None = field(default=None, init=False)
    _file: CursorFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begin(self.directory)

    def _begin(self, directory: Path | None) -> None:
        self._file = CursorFile(self.name)
        self.rests = Rests(self.name, directory, self._file)

    def begin(self) -> None:
        """Begin with the rests, when all were added."""
        self.start = self.rests.begin()

    @property
    def defers(self) -> bool:
        """Whether the next process will find what is left: not where no run could be written."""
        return self.replays and (self.run() is not None or self.start < 0)

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What an earlier process has saved."""
        return self.rests.state

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what came between that and its position."""
        return self.rests.since_state()

    # As a stream

    @property
    def bounds(self) -> tuple[int, int]:
        """``start``, and the end of the log."""
        return self.start, self.log.bounds[1]

    def read(self, position: int, max_events: int) -> Reading:
        """Read from memory what it has, else from the disk.

        Raises:
            StreamUnavailableError: The disk has what memory has not, and cannot be read at present.
        """
        if position < 0:
            return self.rests.read(position, max_events)
        reading = self.log.read(position, max_events)
        run = self.run()
        if not reading.skipped or run is None:
            return reading
        if self._reader is None or self._reader.run != run:
            self._reader = RunReader(run, damage_teller(self.name))
        older = reading_of(self._reader, position, min(max_events, reading.skipped))
        if older is None or not older.events or older.position >= reading.position:
            return reading
        return older

    # As a cursor

    def commit(self, position: int, state: State, *, last: bool) -> None:
        """Save *position* in the run that has it."""
        self.rests.commit(position, state, last=last)
        run = self.run()
        if position >= 0 and run is not None:
            self._file.save(
                cursor_path(run, self.name),
                [(SEQUENCE, position)],
                lambda: {SEQUENCE: position},
                state,
                last=last,
            )

    def begin_anew_after_fork(self) -> None:
        """Leave the earlier runs to the parent."""
        self.start = self.skipped = 0
        self._reader = None
        self._begin(None)
