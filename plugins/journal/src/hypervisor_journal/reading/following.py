"""What is journalled from now on, by the runs that there are and by those to come."""

import contextlib
import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from attrs import define, field

from hypervisor_journal.reading.reader import Notice, RunReader, entry_of
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_observability.stores import EVERYTHING, Entry, Wanted


class Past(Protocol):
    """What a history gives."""

    def __call__(self, wanted: Wanted, *, runs: Iterable[str]) -> Iterator[Entry]:
        """Give the events that are *wanted* of *runs*."""


@define(eq=False)
class _Place:
    """How far a run was read.

    Attributes:
        reader: Reads on.
        position: Sequence number of the event that comes next.
        ended: Whether it was read to its end, and nobody writes it any more.
    """

    reader: RunReader
    position: int
    ended: bool = False

    @property
    def run(self) -> Run:
        """The run."""
        return self.reader.run


@define(eq=False)
class FollowedHistory:
    """The runs of a journal, and how far each was read: at first to its end.

    Attributes:
        directory: Of the journal.
        notice: Told of what cannot be read, a line each.
        past: Gives the events that are wanted of the runs that are named, by time.
    """

    directory: Path
    notice: Notice
    past: Past
    _places: dict[str, _Place] = field(factory=dict, init=False)
    _trouble: dict[Path, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        ledger = RunLedger(self.directory)
        with contextlib.suppress(OSError):  # then each run is looked at
            ledger.look()
        for run in self._runs():
            known = ledger.runs.get(run.path.name)
            reader = RunReader(run, self._tell)
            if known is not None:
                self._places[run.path.name] = _Place(reader, known.end, ended=True)
                continue
            with self._telling_of(run.path):
                self._places[run.path.name] = _Place(reader, reader.bounds[1])

    def newest(self, wanted: Wanted, count: int) -> list[Entry]:
        """Give the newest *count* of what was there at the beginning and is *wanted*."""
        if not count or not self._places:
            return []
        if wanted == EVERYTHING:
            found = self.recent(count)
        else:
            found = (
                entry
                for entry in self.past(wanted, runs=list(self._places))
                # What came meanwhile is news.
                if entry.sequence < self._places[entry.run].position
            )
        return list(deque(found, maxlen=count))

    def recent(self, count: int) -> Iterator[Entry]:
        """Give what was there at the beginning, by time, from a moment on: at least the newest
        *count* events, if there are so many. They are not held in memory.
        """
        places = [one for one in self._newest_runs(count) if one.position]
        ends = (self._end_of(one.run, one.position, count) for one in places)
        return heapq.merge(*ends, key=lambda entry: entry.event.timestamp_ns)

    def _newest_runs(self, count: int) -> list[_Place]:
        """Leave out the runs that had ended before those began which hold *count* events."""
        places = sorted(self._places.values(), key=lambda one: one.run, reverse=True)
        found = 0
        for number, place in enumerate(places, 1):
            found += self._held(place)
            if found >= count:
                begun = place.run.begun
                older = (one for one in places[number:] if not self._ended_before(one, begun))
                return [*places[:number], *older]
        return places

    def _held(self, place: _Place) -> int:
        """Give how many events a run holds; 0 where it is not known."""
        segments: list[tuple[int, Path]] = []
        with self._telling_of(place.run.path):
            segments = place.run.segments()
        # Without the first segment, it is not known without reading where the run begins.
        return place.position if segments and segments[0][0] == 0 else 0

    def _ended_before(self, place: _Place, moment: float) -> bool:
        if not place.ended:
            return False
        try:
            times = [path.stat().st_mtime for _, path in place.run.segments()]
        except OSError:  # which is told where it is read
            return False
        return max(times, default=0) < moment

    def _end_of(self, run: Run, position: int, count: int) -> Iterator[Entry]:
        with self._telling_of(run.path):
            for record in RunReader(run, self._tell).records(max(0, position - count)):
                if record.sequence >= position:
                    break
                entry = entry_of(run, record, self.notice)
                if entry is not None:
                    yield entry

    def news(self) -> Iterator[Entry]:
        """Give what has come since the last call; what cannot be read is tried again with it."""
        for run in self._runs():
            place = self._places.setdefault(run.path.name, _Place(RunReader(run, self._tell), 0))
            if place.ended:
                continue
            with self._telling_of(run.path):
                written = run.is_written()  # before it is read to its end
                for record in place.reader.records(place.position):
                    entry = entry_of(run, record, self.notice)
                    place.position = record.sequence + 1
                    if entry is not None:
                        yield entry
                place.ended = not written

    def _runs(self) -> list[Run]:
        """Give the runs that there are; those that are known where they cannot be listed."""
        runs = [place.run for place in self._places.values()]
        with self._telling_of(self.directory):
            runs = list(runs_of(self.directory))
        for gone in self._places.keys() - {run.path.name for run in runs}:
            del self._places[gone]
        return runs

    @contextlib.contextmanager
    def _telling_of(self, path: Path) -> Iterator[None]:
        """Tell of an ``OSError`` once, as long as it lasts; but not of *path* having gone."""
        try:
            yield
            self._trouble.pop(path, None)
        except FileNotFoundError:
            pass  # the directory's bounds removed it
        except OSError as error:
            if self._trouble.get(path) != str(error):
                self._trouble[path] = str(error)
                self.notice(f"cannot be read: {path}: {error}")

    def _tell(self, damage: Damage) -> None:
        self.notice(f"cannot be read: {damage}")
