"""``hvobs query``: events from a journal."""

import sys
from collections import deque
from pathlib import Path
from typing import Any

import click

from ..journal.history import Entry
from . import entries, output
from .history_option import history_of, index_option
from .journal_option import journal_of, journal_option, wanted_of, wanted_options


@journal_option
@click.command(short_help="Find events in a journal.")
@wanted_options
@click.option("--limit", type=click.IntRange(min=0), help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
@index_option
def query(
    config_file: Path | None,
    directory: Path | None,
    limit: int | None,
    as_json: bool,  # noqa: FBT001 - click's flag
    no_index: bool,  # noqa: FBT001 - click's flag
    **options: Any,
) -> None:
    """Write the events of a journal that match every filter, oldest first.

    With --json each line is what HypervisorEvent.to_dict() gives, with the event's place: its
    sequence number, and the run that has it. What cannot be read is told on stderr; exit code 1
    then.
    """
    wanted = wanted_of(options)
    notices: list[str] = []
    journal = journal_of(config_file, directory)
    write = entries.writer(as_json=as_json)
    # A bar among lines is of no use to anybody.
    bar = "reading" if limit is not None or not sys.stdout.isatty() else None
    newest: deque[Entry] = deque(maxlen=limit)
    with history_of(journal, notices.append, no_index=no_index, bar=bar) as history:
        found = history.find(wanted)
        if limit is None:
            for entry in found:
                write(entry)
        else:
            newest.extend(found)
    for entry in newest:
        write(entry)
    for notice in notices:
        output.note(notice)
    if notices:
        raise click.exceptions.Exit(1)
