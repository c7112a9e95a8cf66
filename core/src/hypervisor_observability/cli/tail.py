"""``hvobs tail``: what is recorded now, as it comes."""

import time

import click

from .. import output
from ..search.choice import Choice
from . import entries
from .event_options import wanted_options, words_argument
from .history_option import Past, history_options

_POLL_SECONDS = 0.2


@history_options
@click.command(
    short_help="Show events as they are recorded.",
    epilog=output.examples(
        "hvobs tail", "hvobs tail --wrong", "hvobs tail -n 0 --type 'saga.*' --agent 'build*'"
    ),
)
@wanted_options
@words_argument
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
    past: Past,
    choice: Choice,
    lines: int,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Write the newest events of a store, such as a journal, then each that comes, until Ctrl-C.

    New processes that record into it are followed too. With WORDS, only events in which all of them
    stand somewhere.
    """
    write = entries.writer(as_json=as_json, names=choice.names)
    with past.history(output.note, may_be_empty=True) as history:
        choice.learn_names(history, shown=False)
        follower = history.follow()
        for entry in choice.newest(follower, lines):
            write(entry)
        try:
            while True:
                for entry in follower.news():
                    if choice.covers(entry.event):
                        write(entry)
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
