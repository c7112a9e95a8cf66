"""``hvobs query``: events that were recorded."""

import sys

import click

from .. import output
from ..stores import Entry, Wanted
from . import entries
from .event_options import wanted_options
from .history_option import Past, history_options


@history_options
@click.command(short_help="Find events that were recorded.")
@wanted_options
@click.option("--limit", type=click.IntRange(min=0), help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
def query(
    past: Past,
    wanted: Wanted,
    limit: int | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Write the events of a store, such as a journal, that match every filter, oldest first.

    With --json each line is what HypervisorEvent.to_dict() gives, with the event's place: its
    sequence number, and the run that has it. What cannot be read is told on stderr; exit code 1
    then.
    """
    notices: list[str] = []
    newest: list[Entry] = []  # they are written once the bar is done
    write = entries.writer(as_json=as_json)
    # A bar among lines is of no use to anybody.
    bar = "reading" if limit is not None or not sys.stdout.isatty() else None
    with past.history(notices.append, bar=bar) as history:
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
