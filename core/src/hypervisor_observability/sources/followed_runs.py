"""All runs of a journal's directory, the dead and the living, as one source for one plugin."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from ..journal.reader import RunReader
from ..journal.runs import Run, runs_of
from ..log import Reading
from .cursor_files import CursorFile, read_cursor


@define(eq=False)
class _Followed:
    """A run that is read.

    Attributes:
        reader: Reads it.
        next: Sequence number of the next event to read.
        end: The greatest that was seen to stand behind its last event.
        done: Whether it is dead, and read to its end.
    """

    reader: RunReader
    next: int
    end: int = 0
    done: bool = False

    @property
    def run(self) -> Run:
        return self.reader.run

    def look(self) -> None:
        """Find out how far it goes."""
        if self.done:
            return
        # Asked first: what it wrote last is seen when it lives no more.
        living = self.run.is_alive()
        try:
            end = self.reader.bounds[1]
        except OSError:  # gone: retention
            end = self.end
        self.end = max(self.end, end, self.next)
        self.done = not living and self.next >= self.end


@define(eq=False)
class FollowedRuns:
    """A source, and the cursor in it. Positions count what was read since the process began.

    Attributes:
        name: Of the plugin.
        directory: The journal's.
        path: Where the cursor is kept.
        defers: Whether what is left is for the next process; if not, it is skipped at the start.
    """

    name: str
    directory: Path
    path: Path
    defers: bool = True
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    state: Mapping[str, Any] | None = field(default=None, init=False)
    current: Run | None = field(default=None, init=False)
    """The run from which was read last."""
    _saved: dict[str, int] = field(factory=dict, init=False)
    _followed: dict[str, _Followed] = field(factory=dict, init=False)
    _handed_over: int = field(default=0, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)
    _file: CursorFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = CursorFile(self.name)

    def open(self) -> None:
        """Read the cursor, before anything else is read."""
        saved = read_cursor(self.path)
        self._saved, self.state = dict(saved.values), saved.state
        if self.defers:
            return
        with self._lock:
            self._look_for_runs()
            for followed in self._followed.values():
                followed.look()
                self.skipped += followed.end - followed.next
                followed.next = followed.end

    @property
    def unfinished(self) -> set[str]:
        """Names of the runs that live, or have something left."""
        with self._lock:
            return {name for name, one in self._followed.items() if not one.done}

    @property
    def bounds(self) -> tuple[int, int]:
        """0, and the position behind what all runs have."""
        with self._lock:
            self._look_for_runs()
            waiting = 0
            for followed in self._followed.values():
                followed.look()
                waiting += followed.end - followed.next
            return 0, self._handed_over + waiting

    def read(self, position: int, max_events: int) -> Reading:
        """Read on, from one run; *position* is the one behind the last reading."""
        with self._lock:
            self._look_for_runs()
            for followed in self._in_turn():
                reading = self._read_run(followed, position, max_events)
                if reading is not None:
                    return reading
            return Reading((), position, 0)

    def _read_run(self, followed: _Followed, position: int, max_events: int) -> Reading | None:
        # Asked first: what it wrote last is read when it lives no more.
        living = followed.run.is_alive()
        try:
            reading = followed.reader.read(followed.next, max_events)
            skipped, events = reading.skipped, reading.events
        except OSError:
            skipped, events = 0, ()
        if not events:
            # What a dead run does not show, though it was seen, is gone.
            skipped = 0 if living else max(0, followed.end - followed.next)
            followed.done = not living
            if not skipped:
                return None
        followed.next += skipped + len(events)
        followed.end = max(followed.end, followed.next)
        self._handed_over = position + skipped + len(events)
        self.current = followed.run
        return Reading(events, position + skipped, skipped)

    def _in_turn(self) -> list[_Followed]:
        """Give those that may have something, beginning behind the one that was read last."""
        open_ones = [one for one in self._followed.values() if not one.done]
        last = -1 if self.current is None else _place(open_ones, self.current)
        return open_ones[last + 1 :] + open_ones[: last + 1]

    def _look_for_runs(self) -> None:
        found = list(runs_of(self.directory))
        for run in found:
            name = run.path.name
            if name not in self._followed:
                self._followed[name] = _Followed(RunReader(run), self._saved.get(name, 0))
        names = {run.path.name for run in found}
        for name, followed in list(self._followed.items()):
            if name not in names and (followed.done or followed.end <= followed.next):
                del self._followed[name]

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save how far each run was read; *position* is the one behind the last reading."""
        del position
        with self._lock:
            values = {name: followed.next for name, followed in self._followed.items()}
            self._file.save(self.path, values, state, last=last)

    def begin_anew_after_fork(self) -> None:
        """Nothing forks here but a plugin; its child delivers nothing."""
        self._followed.clear()
        self._saved.clear()
        self._lock = threading.RLock()


def _place(followed: list[_Followed], run: Run) -> int:
    for place, one in enumerate(followed):
        if one.run == run:
            return place
    return -1
