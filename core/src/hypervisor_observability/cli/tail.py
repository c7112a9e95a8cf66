"""``hvobs tail``: what is journalled now, as it comes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from attrs import define, field

from ..journal.history import Entry, entry_of, read_history
from ..journal.reader import RunReader
from ..journal.runs import runs_of
from . import entries, output
from .journal_option import journal_of, journal_option, wanted_of, wanted_options

_POLL_SECONDS = 0.2


@define(eq=False)
class _Followed:
    """Runs, and how far each was read."""

    directory: Path
    _readers: dict[str, tuple[RunReader, int]] = field(factory=dict)

    def skip(self) -> None:
        """Leave out what is there."""
        for run in runs_of(self.directory):
            reader = RunReader(run)
            self._readers[run.path.name] = (reader, reader.bounds[1])

    def news(self) -> Iterator[Entry]:
        """Give what has come since the last call."""
        for run in runs_of(self.directory):
            reader, position = self._readers.get(run.path.name) or (RunReader(run), 0)
            for record in reader.records(position):
                position = record.sequence + 1
                entry = entry_of(run, record, output.note)
                if entry is not None:
                    yield entry
            self._readers[run.path.name] = (reader, position)


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
def tail(
    config_file: Path | None,
    directory: Path | None,
    lines: int,
    as_json: bool,  # noqa: FBT001 - click's flag
    **options: Any,
) -> None:
    """Write the newest events of a journal, then each that comes, until Ctrl-C.

    New processes that journal into the directory are followed too.
    """
    wanted = wanted_of(options)
    journal = journal_of(config_file, directory)
    followed = _Followed(journal)
    followed.skip()
    write = entries.writer(as_json=as_json)
    if lines:
        there = [one for one in read_history(journal, output.note) if wanted.covers(one.event)]
        for entry in there[-lines:]:
            write(entry)
    try:
        while True:
            for entry in followed.news():
                if wanted.covers(entry.event):
                    write(entry)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
