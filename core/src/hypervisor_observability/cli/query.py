"""``hvobs query``: events that were recorded."""

import sys
from pathlib import Path
from typing import Any

import click

from .. import output
from ..stores import Entry
from . import entries
from .event_options import wanted_of, wanted_options
from .history_option import history_of, history_option, index_option


@history_option
@click.command(short_help="Find events that were recorded.")
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
    """Write the events of a store, such as a journal, that match every filter, oldest first.

    With --json each line is what HypervisorEvent.to_dict() gives, with the event's place: its
    sequence number, and the run that has it. What cannot be read is told on stderr; exit code 1
    then.
    """
    wanted = wanted_of(options)
    notices: list[str] = []
    newest: list[Entry] = []  # they are written once the bar is done
    write = entries.writer(as_json=as_json)
    # A bar among lines is of no use to anybody.
    bar = "reading" if limit is not None or not sys.stdout.isatty() else None
    with history_of(
        config_file, directory, notices.append, indexed=not no_index, bar=bar
    ) as history:
        found = history.events(wanted, limit=limit)
        if limit is None:
            for entry in found:
                write(entry)
        else:
            newest = list(found)
    for entry in newest:
        write(entry)
    for notice in notices:
        output.note(notice)
    if notices:
        raise click.exceptions.Exit(1)
