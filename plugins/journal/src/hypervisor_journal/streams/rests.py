"""What earlier runs have left for one plugin, as a stretch of positions below 0."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.directory import DELIVERED
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.streams.cursor_files import CursorFile, Saved, State
from hypervisor_journal.streams.delivered_runs import DeliveredRuns
from hypervisor_journal.streams.failed_reads import damage_teller, reading_of, replayed
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.text.limited_log import LimitedLog

CURSORS = "cursors"
"""Folder of a run in which the plugins' cursors are."""

SEQUENCE = "sequence"


def cursor_path(run: Run, name: str) -> Path:
    """Give the file of a plugin's cursor in *run*."""
    return run.path / CURSORS / f"{name}.json"


@frozen(eq=False)
class Rest:
    """What an earlier run still has for a plugin.

    Attributes:
        run: The run.
        start: Sequence number of the first event that was not delivered.
        end: Sequence number behind its last one.
    """

    run: Run
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many events that is."""
        return self.end - self.start


@define(eq=False)
class Rests:
    """The rests of a plugin, the oldest run first, and the state that their cursors hold.

    Attributes:
        name: Of the plugin.
        directory: The journal's; None: there is none, and nothing was left.
        file: Its cursor.
    """

    name: str
    directory: Path | None
    file: CursorFile
    _delivered: DeliveredRuns | None = field(default=None, init=False)
    _rests: list[Rest] = field(factory=list, init=False)
    _starts: list[int] = field(factory=list, init=False)
    """Position of each rest."""
    _first: int = field(default=0, init=False)
    """Number of the first rest that is not delivered."""
    _finished: list[Rest] = field(factory=list, init=False)
    """Those that are, but are not noted yet."""
    _settled: list[Run] = field(factory=list, init=False)
    """Those of which nothing was left, or is wanted."""
    _settled_state: Run | None = field(default=None, init=False)
    _reader: RunReader | None = field(default=None, init=False)
    _newest: tuple[Run, Saved] | None = field(default=None, init=False)
    _tell: Callable[[Any], None] = field(init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self._tell = damage_teller(self.name)

    # At the start

    def undelivered(self, names: Sequence[str]) -> set[str]:
        """Give those of the runs *names* that have to be looked at.

        Raises:
            StreamUnavailableError: It cannot be told at present.
        """
        if self.directory is None:
            return set()
        path = self.directory / DELIVERED / self.name
        self._delivered = DeliveredRuns(path, self._tell_line)
        try:
            self._delivered.read(names)
        except OSError as error:
            raise StreamUnavailableError(path, error) from error
        return set(names) - self._delivered.names

    def _tell_line(self, offset: int, line: str) -> None:
        path = None if self.directory is None else self.directory / DELIVERED / self.name
        self._limited_log.warning(
            f"line {offset}", "the list of what plugin %s has is damaged: %s, byte %d: %s;"
            " that run may be delivered again", self.name, path, offset, line,
        )  # fmt: skip

    def saved_in(self, run: Run) -> Saved:
        """Read how far the plugin is in *run*.

        Raises:
            StreamUnavailableError: It cannot be told at present.
        """
        return self.file.read(cursor_path(run, self.name))

    def add(self, run: Run, saved: Saved, end: int, *, replays: bool) -> int | None:
        """Take what *run* has left; the oldest run has to come first.

        Args:
            run: Nobody else delivers it.
            saved: How far the plugin is.
            end: Sequence number behind its last event.
            replays: Whether it is to be delivered.

        Returns:
            How many events are skipped; None if all that is left was taken.
        """
        if saved.state is not None or saved.steps:
            self._newest = run, saved
        rest = Rest(run, saved.values.get(SEQUENCE, 0), end)
        if rest.size > 0 and replays:
            self._rests.append(rest)
            return None
        self._settled.append(run)
        if saved.state is not None:
            self._settled_state = run
        return max(0, rest.size)

    def begin(self) -> int:
        """Begin, when all were added; give the position of the first event."""
        self._note(self._settled, self._settled_state)
        self._settled.clear()
        position = start = -sum(rest.size for rest in self._rests)
        for rest in self._rests:
            self._starts.append(position)
            position += rest.size
        return start

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What the newest run has of it; None if nothing was saved.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        return None if self._saved is None else self._saved[1].state

    @property
    def _saved(self) -> tuple[Run, Saved] | None:
        """The newest run that has a state, and what is saved there."""
        delivered = self._delivered
        if delivered is not None and delivered.with_state is not None:
            name = delivered.with_state
            if self._newest is None or self._newest[0].path.name < name:
                run = Run(delivered.path.parent.parent / name)
                self._newest = run, self.saved_in(run)
        return self._newest

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what came between the state and the position that were saved together.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        if self._saved is None:
            return
        run, saved = self._saved
        start, end = saved.since.get(SEQUENCE, 0), saved.values.get(SEQUENCE, 0)
        yield from replayed(RunReader(run), start, end)

    # Then

    @property
    def runs(self) -> list[Run]:
        """Those that have something left."""
        return [rest.run for rest in self._rests[self._first :]]

    def read(self, position: int, max_events: int) -> Reading:
        """Read from a *position* below 0, of as many runs as it takes.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        events: list[HypervisorEvent] = []
        start = following = position
        while following < 0 and len(events) < max_events:
            try:
                reading = self._read_one(following, max_events - len(events))
            except StreamUnavailableError:
                if not events:
                    raise
                break
            if reading.skipped:
                if events:
                    break
                if not reading.events:
                    return Reading((), reading.position, reading.position - position)
                start = reading.position
            events += reading.events
            following = reading.next_position
        return Reading(events, start, start - position)

    def _read_one(self, position: int, max_events: int) -> Reading:
        number = bisect_right(self._starts, position) - 1
        rest, start = self._rests[number], self._starts[number]
        end = start + rest.size
        gone = Reading((), end, end - position)
        if self._reader is None or self._reader.run != rest.run:
            self._reader = RunReader(rest.run, self._tell)
        sequence = rest.start + position - start
        reading = reading_of(self._reader, sequence, min(max_events, end - position))
        if reading is None:
            return gone
        events = reading.events[: max(0, rest.end - reading.position)]
        # It was seen to its end, so what it does not show is gone.
        return Reading(events, position + reading.skipped, reading.skipped) if events else gone

    def commit(self, position: int, state: State, *, last: bool) -> None:
        """Save *position*, and *state* with it."""
        done = self._first
        while done < len(self._rests) and position >= self._starts[done] + self._rests[done].size:
            done += 1
        self._finished += self._rests[self._first : done]
        self._first = done
        # What is finished counts as delivered only when the state behind it is kept: in the run
        # that is being read, or else in the newest that was.
        kept: Mapping[str, Any] | None = None
        if done < len(self._rests) and position > self._starts[done]:
            rest = self._rests[done]
            sequence = rest.start + position - self._starts[done]
            saved = self._save(rest.run, sequence, state, last=last)
        elif self._finished:
            rest, kept = self._finished[-1], state()
            saved = kept is None or self._save(rest.run, rest.end, lambda: kept, last=True)
        else:
            return
        newest = None if kept is None else self._finished[-1].run
        if saved and self._note([one.run for one in self._finished], newest):
            self._finished.clear()

    def _save(self, run: Run, sequence: int, state: State, *, last: bool) -> bool:
        path = cursor_path(run, self.name)
        return self.file.save(
            path, [(SEQUENCE, sequence)], lambda: {SEQUENCE: sequence}, state, last=last
        )

    def _note(self, runs: Sequence[Run], with_state: Run | None) -> bool:
        """Note that *runs* are delivered; what fails is told, and tried with the next ones."""
        if self._delivered is None:
            return True
        try:
            self._delivered.note(
                [run.path.name for run in runs],
                with_state=None if with_state is None else with_state.path.name,
            )
        except OSError as error:
            self._limited_log.warning(
                "list", "it is not noted what plugin %s has: %s", self.name, error
            )
            return False
        return True
