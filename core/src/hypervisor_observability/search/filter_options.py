"""The options that choose events: one table for the command line and for a filter's text."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ..stores import Wanted, trace_key
from .agent_names import AgentNames
from .choice import Choice
from .moments import read_moment, write_moment


@frozen
class FilterOption:
    """An option that chooses events.

    Attributes:
        name: As it is written.
        key: Names its value.
        help: What ``--help`` says of it.
        metavar: What its value is called; None: it is a flag.
        read: Makes the value of text; raises ``ValueError`` with text for people.
        write: Makes text that ``read`` reads as the same value.
        repeats: Whether it may be given several times.
    """

    name: str
    key: str
    help: str
    metavar: str | None
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str
    repeats: bool = False


OPTIONS = (
    FilterOption(
        "--type",
        "event_type",
        "Only of this type; a pattern, such as 'ring.*', will do.",
        metavar="TYPE",
    ),
    FilterOption("--session", "session", "Only of this session.", metavar="ID"),
    FilterOption(
        "--agent",
        "agent",
        "Only of this agent: its DID or its name; a pattern, such as 'build*', will do.",
        metavar="AGENT",
    ),
    FilterOption("--trace", "trace", "Only of this trace.", metavar="ID", read=trace_key),
    FilterOption(
        "--since",
        "since",
        "From this time on: ISO 8601 (UTC unless it says otherwise), or 30s, 5m, 2h, 1d ago.",
        metavar="TIME",
        read=read_moment,
        write=write_moment,
    ),
    FilterOption(
        "--until",
        "until",
        "Up to this time, as --since.",
        metavar="TIME",
        read=read_moment,
        write=write_moment,
    ),
    FilterOption(
        "--text",
        "text",
        "Only with this text somewhere: in a name, an id, the payload. May be given several times.",
        metavar="TEXT",
        repeats=True,
    ),
    FilterOption("--wrong", "wrong", "Only what says that something went wrong.", metavar=None),
)
"""Every option. A new one needs a line in ``choice_of`` and one in ``values_of``."""


def choice_of(values: Mapping[str, Any], names: AgentNames | None = None) -> Choice:
    """Make the choice that the *values* of options mean.

    Args:
        values: By their keys; one may be missing.
        names: The agents' names, where they are known.
    """
    return Choice(
        wanted=Wanted(
            session_id=values.get("session"),
            trace=values.get("trace"),
            since_ns=values.get("since"),
            until_ns=values.get("until"),
        ),
        event_type=values.get("event_type"),
        agent=values.get("agent"),
        text=tuple(values.get("text") or ()),
        wrong_only=bool(values.get("wrong")),
        names=AgentNames() if names is None else names,
    )


def values_of(choice: Choice) -> dict[str, Any]:
    """Give the values of the options that mean *choice*, by their keys."""
    wanted = choice.wanted
    return {
        "event_type": choice.event_type,
        "session": wanted.session_id,
        "agent": choice.agent,
        "trace": wanted.trace,
        "since": wanted.since_ns,
        "until": wanted.until_ns,
        "text": choice.text,
        "wrong": choice.wrong_only,
    }
