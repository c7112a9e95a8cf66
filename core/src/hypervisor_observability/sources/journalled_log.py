"""The log in memory with the journal behind it, and with what earlier runs have left before it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from ..journal.reader import RunReader
from ..journal.runs import Run
from ..log import EventLog, Reading
from .cursor_files import CursorFile, read_cursor

CURSORS = "cursors"
"""Folder of a run in which the plugins' cursors are."""

_SEQUENCE = "sequence"


@frozen(eq=False)
class Rest:
    """What an earlier run still has for a plugin.

    Attributes:
        reader: Reads the run.
        start: Sequence number of the first event that was not delivered.
        end: Sequence number behind its last one.
    """

    reader: RunReader
    start: int
    end: int


def cursor_path(run: Run, name: str) -> Path:
    """Give the file of a plugin's cursor in *run*."""
    return run.path / CURSORS / f"{name}.json"


@define(eq=False)
class JournalledLog:
    """A source, and the cursor in it, for one plugin.

    Positions are those of the log. What earlier runs have left stands before it, at negative
    positions, so that all that counts from 0 goes on doing so.

    Attributes:
        name: Of the plugin.
        log: The log in memory.
        run: Gives the run that is written; None while there is none.
        defers: Whether what is left is for the next process.
    """

    name: str
    log: EventLog
    run: Callable[[], Run | None]
    defers: bool = True
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    state: Mapping[str, Any] | None = field(default=None, init=False)
    _rests: list[Rest] = field(factory=list, init=False)
    _reader: RunReader | None = field(default=None, init=False)
    _file: CursorFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = CursorFile(self.name)

    def recover(self, runs: Sequence[tuple[RunReader, int]]) -> None:
        """Put what *runs* have left before the log. Called once, before anything is read.

        Args:
            runs: Each with its end, the oldest first. Nobody else delivers them.
        """
        for reader, end in runs:
            saved = read_cursor(cursor_path(reader.run, self.name))
            start = saved.values.get(_SEQUENCE, 0)
            if saved.state is not None:
                self.state = saved.state
            if start >= end:
                continue
            if self.defers:
                self._rests.append(Rest(reader, start, end))
            else:
                self.skipped += end - start
                self._save(reader.run, end, lambda: None, last=True)
        self.start = -sum(rest.end - rest.start for rest in self._rests)

    @property
    def earlier_runs(self) -> list[Run]:
        """Those that have something left."""
        return [rest.reader.run for rest in self._rests]

    # As a source

    @property
    def bounds(self) -> tuple[int, int]:
        """``start``, and the end of the log."""
        return self.start, self.log.bounds[1]

    def read(self, position: int, max_events: int) -> Reading:
        """Read from memory what it has, else from the disk."""
        if position < 0:
            return self._read_rest(position, max_events)
        reading = self.log.read(position, max_events)
        run = self.run()
        if not reading.skipped or run is None:
            return reading
        if self._reader is None or self._reader.run != run:
            self._reader = RunReader(run)
        try:
            older = self._reader.read(position, min(max_events, reading.skipped))
        except OSError:
            return reading
        return older if older.events and older.position < reading.position else reading

    def _read_rest(self, position: int, max_events: int) -> Reading:
        rest, end = self._rest_at(position)
        sequence = rest.end - (end - position)
        try:
            reading = rest.reader.read(sequence, min(max_events, end - position))
        except OSError:
            return Reading((), end, end - position)
        events = reading.events[: max(0, rest.end - reading.position)]
        if not events:
            return Reading((), end, end - position)
        return Reading(events, position + reading.skipped, reading.skipped)

    def _rest_at(self, position: int) -> tuple[Rest, int]:
        """Give what stands at a negative *position*, and the position behind it."""
        end = 0
        for rest in reversed(self._rests):
            if position >= end - (rest.end - rest.start):
                return rest, end
            end -= rest.end - rest.start
        raise IndexError(position)

    # As a cursor

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save *position* in the run that has it."""
        while self._rests and position >= self._end_of_first():
            # Done: whoever finds this run later has nothing to do.
            done = self._rests.pop(0)
            self._save(done.reader.run, done.end, state, last=True)
        if position < 0:
            rest, end = self._rest_at(position)
            self._save(rest.reader.run, rest.end - (end - position), state, last=last)
        elif (run := self.run()) is not None:
            self._save(run, position, state, last=last)

    def _end_of_first(self) -> int:
        return -sum(rest.end - rest.start for rest in self._rests[1:])

    def _save(
        self,
        run: Run,
        sequence: int,
        state: Callable[[], Mapping[str, Any] | None],
        *,
        last: bool,
    ) -> None:
        if run.path.is_dir():
            self._file.save(cursor_path(run, self.name), {_SEQUENCE: sequence}, state, last=last)

    def begin_anew_after_fork(self) -> None:
        """Leave the earlier runs to the parent."""
        self._rests.clear()
        self.start = self.skipped = 0
        self.state = None
        self._reader = None
        self._file = CursorFile(self.name)
