"""The options by which commands choose events."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from ..events.timestamps import nanoseconds
from ..search.choice import Choice
from ..stores import Wanted, trace_key

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


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


since_option = click.option(
    "--since",
    type=Moment(),
    help="From this time on: ISO 8601 (UTC unless it says otherwise), or 30s, 5m, 2h, 1d ago.",
)
agent_option = click.option(
    "--agent",
    metavar="AGENT",
    help="Only of this agent: its DID or its name; a pattern, such as 'build*', will do.",
)
session_option = click.option("--session", metavar="ID", help="Only of this session.")


def wanted_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give *function* the options that choose events: the argument ``choice``."""

    @wraps(function)
    def command(**options: Any) -> Any:
        return function(choice=_choice_of(options), **options)

    for option in (
        click.option("--until", type=Moment(), help="Up to this time, as --since."),
        since_option,
        click.option("--trace", metavar="ID", help="Only of this trace."),
        agent_option,
        session_option,
        click.option(
            "--type",
            "event_type",
            metavar="TYPE",
            help="Only of this type; a pattern, such as 'ring.*', will do.",
        ),
    ):
        option(command)
    return command


def _choice_of(options: dict[str, Any]) -> Choice:
    """Take what ``wanted_options`` gave out of *options*."""
    trace = options.pop("trace")
    return Choice(
        wanted=Wanted(
            session_id=options.pop("session"),
            trace=None if trace is None else trace_key(trace),
            since_ns=options.pop("since"),
            until_ns=options.pop("until"),
        ),
        event_type=options.pop("event_type"),
        agent=options.pop("agent"),
    )
