"""All runs of a journal's directory, the dead and the living, as one stream for one plugin."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.run_listing import RunListing
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.streams.cursor_files import CursorFile, Saved, State, Step
from hypervisor_journal.streams.failed_reads import damage_teller, or_wait, replayed
from hypervisor_journal.streams.followed_run import FollowedRun, Part
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent


@define(eq=False)
class FollowedRuns:
    """A stream, and the cursor in it. Positions count what was read since the process began.

    The runs take turns: one that was read goes behind all others, so that a busy one holds up
    none. One that is dead and read to its end costs nothing more.

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
    damaged: bool = field(default=False, init=False)
    """Whether damage was come across: of the cursor, or in a run."""
    _saved: Saved = field(factory=Saved, init=False)
    _turns: dict[str, FollowedRun] = field(factory=dict, init=False)
    """Those that are not done, the one whose turn it is first."""
    _done: set[str] = field(factory=set, init=False)
    _position: int = field(default=0, init=False)
    """Behind what was read last."""
    _parts: deque[Part] = field(factory=deque, init=False)
    """What was read, and is not committed."""
    _committed: dict[str, int] = field(factory=dict, init=False)
    """Sequence number that is committed, by run."""
    _unsaved: list[Step] = field(factory=list, init=False)
    _ledger: RunLedger = field(init=False)
    _listing: RunListing = field(init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)
    _file: CursorFile = field(init=False)
    _tell_damage: Callable[[Damage], None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = CursorFile(self.name)
        self._ledger = RunLedger(self.directory)
        self._listing = RunListing(self.directory)
        self._tell_damage = damage_teller(self.name)

    def _tell(self, damage: Damage) -> None:
        self.damaged = True
        self._tell_damage(damage)

    def open(self) -> None:
        """Read the cursor, before anything else is read.

        Raises:
            StreamUnavailableError: It cannot be told where to go on: to be called again.
        """
        self._saved = self._file.read(self.path)
        self.damaged = self._saved.damage is not None
        self._committed = dict(self._saved.values)
        if self.defers:
            return
        with self._lock:
            self._look_for_runs()
            for followed in self._turns.values():
                followed.look()
            for name, followed in list(self._turns.items()):
                self.skipped += followed.waiting
                followed.next = self._committed[name] = followed.end
                self._leave_if_done(name, followed)

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position."""
        return self._saved.state

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what was read between the state and the position that were saved together."""
        return (events for _, events in self.since_state_by_run())

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give that with the names of the runs.

        Raises:
            StreamUnavailableError: It cannot be read at present: begin from *state* again.
        """
        readers: dict[str, RunReader] = {}
        reached = dict(self._saved.since)
        for name, end in self._saved.steps:
            if name not in readers:
                readers[name] = RunReader(Run(self.directory / name), self._tell)
            for events in replayed(readers[name], reached.get(name, 0), end):
                yield name, events
            reached[name] = end

    @property
    def unfinished(self) -> set[str]:
        """Names of the runs that live, or have something left."""
        with self._lock:
            return set(self._turns)

    @property
    def in_flight(self) -> list[tuple[str, Sequence[HypervisorEvent]]]:
        """What was read and is not committed, with the names of the runs."""
        with self._lock:
            return [(part.run.run.path.name, part.events) for part in self._parts]

    @property
    def bounds(self) -> tuple[int, int]:
        """0, and the position behind what all runs have."""
        with self._lock:
            self._look_for_runs()
            waiting = 0
            for name, followed in list(self._turns.items()):
                followed.look()
                waiting += followed.waiting
                self._leave_if_done(name, followed)
            return 0, self._position + waiting

    def read(self, position: int, max_events: int) -> Reading:
        """Read on, from as many runs as it takes.

        Args:
            position: The one behind the last reading, or within it: what lies behind it there is
                read again.
            max_events: Most events, of all runs.

        Raises:
            StreamUnavailableError: Something cannot be read, and nothing else was found.
        """
        with self._lock:
            self._go_back(position)
            self._look_for_runs()
            parts: list[Part] = []
            error: StreamUnavailableError | None = None
            left = max_events
            for name, followed in list(self._turns.items()):
                start, sequence = self._position, followed.next
                try:
                    skipped, events = followed.read(left)
                except StreamUnavailableError as why:
                    error = error or why
                    continue
                if skipped and parts:
                    followed.next = sequence  # what has gone is told at the beginning alone
                    break
                if skipped or events:
                    self._position += skipped + len(events)
                    parts.append(Part(followed, start, sequence, self._position, events))
                    self._turns[name] = self._turns.pop(name)  # behind all others
                    left -= len(events)
                self._leave_if_done(name, followed)
                if not left or (skipped and not events):
                    break
            self._parts += parts
            if error is not None and not parts:
                raise error
            found = [event for part in parts for event in part.events]
            skipped = self._position - position - len(found)
            return Reading(found, position + skipped, skipped)

    def commit(self, position: int, state: State, *, last: bool) -> None:
        """Save how far each run was read up to *position*."""
        with self._lock:
            while self._parts and self._parts[0].start < position:
                part = self._parts.popleft()
                sequence = part.sequence + min(position, part.end) - part.start
                name = part.run.run.path.name
                self._committed[name] = sequence
                self._unsaved.append((name, sequence))
                if part.end > position:
                    self._parts.appendleft(part.cut(position)[1])
            if self._file.save(self.path, self._unsaved, lambda: self._committed, state, last=last):
                self._unsaved.clear()

    def begin_anew_after_fork(self) -> None:
        """Nothing forks here but a plugin; its child delivers nothing."""
        self._turns.clear()
        self._done.clear()
        self._parts.clear()
        self._committed.clear()
        self._saved = Saved()
        self._lock = threading.RLock()

    # Under the lock

    def _go_back(self, position: int) -> None:
        """Give back what was read behind *position*, and not taken."""
        while self._parts and self._parts[-1].end > position:
            part = self._parts.pop()
            followed, name = part.run, part.run.run.path.name
            kept, returned = part.cut(max(position, part.start))
            followed.next = returned.sequence
            self._done.discard(name)
            if kept.end > kept.start:  # it had its turn
                self._parts.append(kept)
                self._turns[name] = followed
            else:
                self._turns.pop(name, None)
                self._turns = {name: followed, **self._turns}
            self._position = returned.start

    def _look_for_runs(self) -> None:
        with or_wait(self.directory):
            changed = self._ledger.look()
            names = self._listing.look()
        if names is not None:
            self._take_names(names)
        if changed:
            for name, followed in list(self._turns.items()):
                ended = self._ledger.runs.get(name)
                if ended is not None and not followed.ended:
                    followed.note(ended)
                    self._leave_if_done(name, followed)

    def _take_names(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self._turns or name in self._done:
                continue
            ended, committed = self._ledger.runs.get(name), self._committed.get(name, 0)
            if ended is not None and committed >= ended.end:
                self._done.add(name)
                continue
            followed = FollowedRun(Run(self.directory / name), committed, self._tell)
            if ended is not None:
                followed.note(ended)
            self._turns[name] = followed
        present = {*names, *self._turns}
        self._done &= present
        for name in self._committed.keys() - present:
            del self._committed[name]

    def _leave_if_done(self, name: str, followed: FollowedRun) -> None:
        if not followed.done:
            return
        del self._turns[name]
        self._done.add(name)
        with contextlib.suppress(OSError):  # found out again by the next who looks
            end_of(followed.run, self._ledger, self._tell)
