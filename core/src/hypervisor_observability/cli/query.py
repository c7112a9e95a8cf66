"""``hvobs query``: events that were recorded."""

import sys

import click

from .. import output
from ..search.choice import Choice
from ..stores import Entry, finds_fast
from . import entries
from .event_options import wanted_options, words_argument
from .history_option import Past, history_options
from .no_match import explain


@history_options
@click.command(
    short_help="Find events that were recorded.",
    epilog=output.examples(
        "hvobs query --type 'ring.*' --since 1h",
        "hvobs query --agent builder --limit 20",
        "hvobs query --wrong 'card declined'",
        "hvobs query --trace da557855c5a8 --json | hvobs tree -",
    ),
)
@wanted_options
@words_argument
@click.option("--limit", type=click.IntRange(min=0), help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
def query(
    past: Past,
    choice: Choice,
    limit: int | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Write the events of a store, such as a journal, that match every option, oldest first.

    With WORDS, only those in which all of them stand somewhere, as with --text for each.

    Each line has the time, the trace (as 'hvobs tree' takes it), the type, the agent, the session
    and what the payload says. With --json it is what HypervisorEvent.to_dict() gives, with the
    event's place: its sequence number, and the run that has it. Standard error names what cannot be
    read; exit code 1 then.
    """
    notices: list[str] = []
    newest: list[Entry] = []  # they are written once the bar is done
    write = entries.writer(as_json=as_json, names=choice.names)
    # A bar among lines is of no use to anybody.
    bar = "reading" if limit is not None or not sys.stdout.isatty() else None
    count = 0
    with past.history(notices.append, bar=bar) as history:
        met_in_time = limit is None and choice.is_everything
        cheap = past.indexed and finds_fast(history)
        choice.learn_names(history, shown=cheap and not as_json and not met_in_time)
        found = choice.events(history, limit)
        if limit is None:
            for count, entry in enumerate(found, start=1):  # noqa: B007 - it is told below
                write(entry)
        else:
            newest = list(found)
            count = len(newest) if limit else 1
        reasons = [] if count else explain(choice, (one.event for one in history.events()))
    for entry in newest:
        write(entry)
    for notice in notices:
        output.note(notice)
    for reason in reasons:
        output.note(reason)
    if notices:
        raise click.exceptions.Exit(1)
