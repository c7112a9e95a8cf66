"""``hvobs replay``: give what a store holds to the plugins of a configuration once more."""

from pathlib import Path

import click
from attrs import evolve

from .. import output
from ..config import StateConfig, load_config
from ..host.observability import Observability
from .chosen_store import readers_alone
from .config_option import need_file
from .history_option import Past, chosen_runs, store_options

_STEP_EVENTS = 10_000
_FLUSH_SECONDS = 600.0


@store_options
@click.command(
    short_help="Deliver recorded events once more.",
    epilog=output.examples("hvobs replay --journal journal", "hvobs replay --config staging.toml"),
)
@click.option("--run", "run_name", metavar="NAME", help="Only this run.")
@click.option(
    "--from", "first", type=click.IntRange(min=0), default=0, help="First sequence number."
)
@click.option("--to", "last", type=click.IntRange(min=0), help="Last sequence number.")
def replay(
    config_file: Path | None,
    directory: Path | None,
    store: str | None,
    run_name: str | None,
    first: int,
    last: int | None,
) -> None:
    """Deliver the events of a store to the plugins of the configuration, with their own times.

    Ids of spans are functions of the events: a backend that has them already gets the same
    ones. Nothing is recorded, and nothing is saved: no position, no status and no dead
    letters, for the state directory is that of the application. What a backend refuses is told.
    Exit code 1 if something was not delivered, or no event was chosen.
    """
    config = load_config(need_file(config_file))
    notices: list[str] = []
    count, complete = 0, True
    with (
        Past(config_file, directory, store).history(notices.append, bar="replaying") as history,
        Observability(evolve(readers_alone(config), state=StateConfig())) as observability,
    ):
        for entry in history.events(runs=chosen_runs(history, run_name)):
            if entry.sequence < first or (last is not None and entry.sequence > last):
                continue
            observability.bus.emit(entry.event)
            count += 1
            if count % _STEP_EVENTS == 0:
                complete = observability.flush(_FLUSH_SECONDS) and complete
        complete = observability.flush(_FLUSH_SECONDS) and complete
        counts = observability.counts()
    for name, one in counts.items():
        refused = f", rejected {one.rejected}" if one.rejected else ""
        output.tell(output.one_line(f"{name}: delivered {one.delivered} of {one.emitted}{refused}"))
    for notice in notices:
        output.note(notice)
    if not count:
        output.note("no event was chosen: nothing was replayed")
    if notices or not complete or not count:
        raise click.exceptions.Exit(1)
