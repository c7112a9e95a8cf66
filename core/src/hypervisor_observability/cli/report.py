"""``hvobs report``: what was recorded as one page with pictures."""

from pathlib import Path
from typing import Any

import click

from .. import output
from ..files.atomic_file import write_where_told
from ..report import Findings, report_page
from .event_options import wanted_of, wanted_options
from .history_option import history_of, history_option, index_option


@history_option
@click.command(short_help="Write what was recorded as one page with pictures.")
@wanted_options
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to, a regular file or a pipe; else to stdout.",
)
@index_option
def report(
    config_file: Path | None,
    directory: Path | None,
    file: Path | None,
    no_index: bool,  # noqa: FBT001 - click's flag
    **options: Any,
) -> None:
    """Write one HTML file about the events of a store, with pictures and without scripts.

    It shows rings, breaches, elevations, decisions and sagas, needs no network, and can be read
    on a phone and printed. What cannot be read is told on stderr; exit code 1 then.
    """
    wanted = wanted_of(options)
    notices: list[str] = []
    with history_of(
        config_file, directory, notices.append, indexed=not no_index, bar="reading"
    ) as history:
        findings = Findings.of(entry.event for entry in history.events(wanted))
        page = report_page(findings, history.place)
    if file is None:
        click.echo(page, nl=False)
    else:
        write_where_told(file, page.encode())
    for notice in notices:
        output.note(notice)
    if notices:
        raise click.exceptions.Exit(1)
