"""``hvobs report``: what was recorded as one page with pictures."""

from pathlib import Path

import click

from .. import output
from ..files.atomic_file import write_where_told
from ..report import Findings, report_page
from ..search.choice import Choice
from .event_options import wanted_options
from .history_option import Past, history_options
from .prices_option import prices_of, prices_option


@history_options
@click.command(
    short_help="Write what was recorded as one page with pictures.",
    epilog=output.examples(
        "hvobs report --output report.html",
        "hvobs report --since 1d --session checkout-42 --output report.html",
    ),
)
@wanted_options
@prices_option
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to, a regular file or a pipe; else to stdout.",
)
def report(past: Past, choice: Choice, file: Path | None, estimates: bool) -> None:  # noqa: FBT001 - click's flag
    """Write one HTML file about the events of a store, with pictures and without scripts.

    It shows rings, breaches, decisions, runs, calls of tools and models, handoffs and sagas, needs
    no network, and can be read on a phone and printed. What cannot be read is told on stderr; exit
    code 1 then.
    """
    prices = prices_of(past.config_file, estimates=estimates)
    notices: list[str] = []
    with past.history(notices.append, bar="reading") as history:
        choice.learn_names(history, shown=False)
        events = (entry.event for entry in choice.events(history))
        findings = Findings.of(events, prices=prices)
        page = report_page(findings, history.place)
    if file is None:
        click.echo(page, nl=False)
    else:
        write_where_told(file, page.encode())
    for notice in notices:
        output.note(notice)
    if notices:
        raise click.exceptions.Exit(1)
