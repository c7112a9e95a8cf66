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
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_observability.stores import EVERYTHING, Entry, Wanted


class Past(Protocol):
    """What a history gives."""

    def __call__(self, wanted: Wanted, *, runs: Iterable[str]) -> Iterator[Entry]:
        """Give the events that are *wanted* of *runs*."""


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
    _readers: dict[str, tuple[RunReader, int]] = field(factory=dict, init=False)
    _trouble: dict[Path, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for run in self._runs():
            with self._telling_of(run.path):
                reader = RunReader(run, self._tell)
                self._readers[run.path.name] = (reader, reader.bounds[1])

    def newest(self, wanted: Wanted, count: int) -> list[Entry]:
        """Give the newest *count* of what was there at the beginning and is *wanted*."""
        if not count or not self._readers:
            return []
        if wanted == EVERYTHING:
            ends = (
                self._end_of(reader.run, position, count)
                for reader, position in list(self._readers.values())
            )
            found = heapq.merge(*ends, key=lambda entry: entry.event.timestamp_ns)
        else:
            found = (
                entry
                for entry in self.past(wanted, runs=list(self._readers))
                # What came meanwhile is news.
                if entry.sequence < self._readers[entry.run][1]
            )
        return list(deque(found, maxlen=count))

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
            name = run.path.name
            reader, position = self._readers.get(name) or (RunReader(run, self._tell), 0)
            with self._telling_of(run.path):
                for record in reader.records(position):
                    position = record.sequence + 1
                    entry = entry_of(run, record, self.notice)
                    if entry is not None:
                        yield entry
            self._readers[name] = (reader, position)

    def _runs(self) -> list[Run]:
        """Give the runs that there are; those that are known where they cannot be listed."""
        runs = [reader.run for reader, _ in self._readers.values()]
        with self._telling_of(self.directory):
            runs = list(runs_of(self.directory))
        for gone in self._readers.keys() - {run.path.name for run in runs}:
            del self._readers[gone]
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
