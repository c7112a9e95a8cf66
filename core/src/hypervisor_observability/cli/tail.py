"""``hvobs tail``: what is journalled now, as it comes."""

import contextlib
import heapq
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from attrs import define, field

from ..journal.history import EVERYTHING, Entry, History, Wanted, entry_of
from ..journal.reader import RunReader
from ..journal.runs import Run, runs_of
from ..journal.segment_reader import Damage
from . import entries, output
from .history_option import history_of, index_option
from .journal_option import holds_runs, journal_of, journal_option, wanted_of, wanted_options

_POLL_SECONDS = 0.2


@define(eq=False)
class Followed:
    """Runs, and how far each was read."""

    directory: Path
    _readers: dict[Run, tuple[RunReader, int]] = field(factory=dict)
    _trouble: dict[Path, str] = field(factory=dict)

    def skip(self) -> None:
        """Leave out what is there, as far as it can be read."""
        for run in self._runs():
            with self._telling_of(run.path):
                reader = RunReader(run, _tell)
                self._readers[run] = (reader, reader.bounds[1])

    def skipped(self, history: History, wanted: Wanted, count: int) -> list[Entry]:
        """Give the newest *count* of what was left out and is *wanted*."""
        if wanted == EVERYTHING:
            ends = (self._end_of(run, position, count) for run, position in self._positions())
            found = heapq.merge(*ends, key=lambda entry: entry.event.timestamp_ns)
        else:
            found = (
                entry
                for entry in history.find(wanted, list(self._readers))
                # What came meanwhile is news.
                if entry.sequence < self._readers[entry.run][1]
            )
        return list(deque(found, maxlen=count))

    def _positions(self) -> list[tuple[Run, int]]:
        return [(run, position) for run, (_, position) in self._readers.items()]

    def _end_of(self, run: Run, position: int, count: int) -> Iterator[Entry]:
        with self._telling_of(run.path):
            for record in RunReader(run, _tell).records(max(0, position - count)):
                if record.sequence >= position:
                    break
                entry = entry_of(run, record, output.note)
                if entry is not None:
                    yield entry

    def news(self) -> Iterator[Entry]:
        """Give what has come since the last call; what cannot be read is tried again with it."""
        for run in self._runs():
            reader, position = self._readers.get(run) or (RunReader(run, _tell), 0)
            with self._telling_of(run.path):
                for record in reader.records(position):
                    position = record.sequence + 1
                    entry = entry_of(run, record, output.note)
                    if entry is not None:
                        yield entry
            self._readers[run] = (reader, position)

    def _runs(self) -> list[Run]:
        """Give the runs that there are; those that are known where they cannot be listed."""
        runs = list(self._readers)
        with self._telling_of(self.directory):
            runs = list(runs_of(self.directory))
        for gone in self._readers.keys() - set(runs):
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
                output.note(f"cannot be read: {path}: {error}")


def _tell(damage: Damage) -> None:
    output.note(f"cannot be read: {damage}")


@journal_option
@click.command(short_help="Show events as they are journalled.")
@wanted_options
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of the events that are there to show first.",
)
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
@index_option
def tail(
    config_file: Path | None,
    directory: Path | None,
    lines: int,
    as_json: bool,  # noqa: FBT001 - click's flag
    no_index: bool,  # noqa: FBT001 - click's flag
    **options: Any,
) -> None:
    """Write the newest events of a journal, then each that comes, until Ctrl-C.

    New processes that journal into the directory are followed too.
    """
    wanted = wanted_of(options)
    journal = journal_of(config_file, directory, may_be_empty=True)
    followed = Followed(journal)
    followed.skip()
    write = entries.writer(as_json=as_json)
    if lines and holds_runs(journal):
        with history_of(journal, output.note, no_index=no_index) as history:
            for entry in followed.skipped(history, wanted, lines):
                write(entry)
    try:
        while True:
            for entry in followed.news():
                if wanted.covers(entry.event):
                    write(entry)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
