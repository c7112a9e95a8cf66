"""The options by which commands choose a journal, and what of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from ..config import load_config
from ..events.timestamps import nanoseconds
from ..host.agent import CURSORS
from ..journal.claims import CLAIMS_NAME
from ..journal.event_index import FOLDER as INDEX
from ..journal.history import Wanted, trace_key
from ..journal.run_ledger import LEDGER_NAME
from ..journal.runs import Run, runs_of
from ..sources.delivered_runs import FOLDER as DELIVERED
from .config_option import config_option, find_file

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def journal_option(command: click.Command) -> click.Command:
    """Give *command* the options ``--journal`` and ``--config``."""
    command.params.insert(
        0,
        click.Option(
            ["--journal", "directory"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="The journal's directory; else [journal] directory of the configuration.",
        ),
    )
    return config_option(command)


def wanted_options(command: Command) -> Command:
    """Give *command* the options that choose events."""
    for option in (
        click.option("--until", type=Moment(), help="Up to this time, as --since."),
        click.option(
            "--since", type=Moment(), help="From this time on: ISO 8601, or 30s, 5m, 2h, 1d ago."
        ),
        click.option("--trace", metavar="ID", help="Only of this trace."),
        click.option("--agent", metavar="DID", help="Only of this agent."),
        click.option("--session", metavar="ID", help="Only of this session."),
        click.option("--type", "event_type", metavar="TYPE", help="Only of this type."),
    ):
        command = option(command)
    return command


def wanted_of(options: dict[str, Any]) -> Wanted:
    """Take what ``wanted_options`` gave out of *options*."""
    trace = options.pop("trace")
    return Wanted(
        event_type=options.pop("event_type"),
        session_id=options.pop("session"),
        agent_did=options.pop("agent"),
        trace=None if trace is None else trace_key(trace),
        since_ns=options.pop("since"),
        until_ns=options.pop("until"),
    )


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic for type checkers alone
    """A time: ISO 8601 (UTC unless it says otherwise), or how long ago."""

    name = "time"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - click's signature
    ) -> int:
        """Give nanoseconds since the epoch."""
        if isinstance(value, int):
            return value
        try:
            if value[-1:] in _UNITS and value[:-1].isdecimal():
                ago = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
                return nanoseconds(datetime.now(UTC) - ago)
            moment = datetime.fromisoformat(value)
            return nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: expected 2026-11-26T12:00, or 30s, 5m, 2h, 1d", param)


def journal_of(
    config_file: Path | None, directory: Path | None, *, may_be_empty: bool = False
) -> Path:
    """Find the journal's directory. Whatever else it holds, one without a run is no journal.

    Args:
        config_file: The configuration.
        directory: What the command was given; None: that of the configuration.
        may_be_empty: Whether the runs may be gone, or still to come.

    Raises:
        ConfigError: There is a configuration, and it cannot be used.
        UsageError: None is named, or there is none.
    """
    if directory is None:
        path = find_file(config_file)
        journal = None if path is None else load_config(path).journal
        if journal is None:
            raise click.UsageError("no journal: name its directory with --journal")
        directory = journal.directory
    if not directory.is_dir() or not (holds_runs(directory) or may_be_empty):
        raise click.UsageError(f"there is no journal in {directory}")
    return directory


def holds_runs(directory: Path) -> bool:
    """Whether a process has journalled there."""
    return any(True for _ in runs_of(directory))


def refuse_foreign(directory: Path) -> None:
    """Refuse a directory that holds other things than a journal, or what may become one.

    Raises:
        UsageError: It does. Hidden names, and what a new file system holds, are passed over.
    """
    if not directory.is_dir() or holds_runs(directory):
        return
    ours = {CURSORS, INDEX, LEDGER_NAME, CLAIMS_NAME, DELIVERED, "lost+found"}
    foreign = sorted(
        path.name
        for path in directory.iterdir()
        if path.name not in ours and not path.name.startswith(".")
    )
    if foreign:
        raise click.UsageError(f"there is no journal in {directory}, but {foreign[0]!r}")


def chosen_runs(directory: Path, name: str | None) -> list[Run]:
    """Give the runs of a directory, or the one that is called *name* (a part of its name will do).

    Raises:
        UsageError: There is none of this name, or more than one.
    """
    found = [run for run in runs_of(directory) if name is None or name in run.path.name]
    if name is not None and len(found) != 1:
        raise click.UsageError(f"{len(found)} runs are called {name!r} in {directory}")
    return found
