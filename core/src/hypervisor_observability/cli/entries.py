"""Entries of a store as commands write them: a line each, as JSON or for people."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from .. import output
from ..events.event import is_erased
from ..events.timestamps import as_datetime
from ..search.agent_names import AgentNames
from ..search.one_line import short_trace, summary
from ..stores import Entry
from ..text.terminal_text import MAX_MARKS, fit

_MAX_NAME = 120


def as_dict(entry: Entry) -> dict[str, Any]:
    """Give what ``to_dict()`` gives, with the entry's place in the store."""
    erased = {"erased": True} if is_erased(entry.event) else {}
    return {
        **entry.event.to_dict(),
        **erased,
        "sequence": entry.sequence,
        "run": entry.run,
    }


def write_json(entry: Entry) -> None:
    """Write a line of JSON, of ASCII characters alone."""
    click.echo(json.dumps(as_dict(entry), ensure_ascii=True))


def write_line(entry: Entry, names: AgentNames) -> None:
    """Write a line for people."""
    event = entry.event
    parts = [
        moment_text(event.timestamp_ns),
        _short(short_trace(event.causal_trace_id) or "-"),
        _short(event.event_type.value),
        _short(_agent(event.agent_did, names)),
        _short(event.session_id or "-"),
        summary(event),
    ]
    output.tell(" ".join(parts).rstrip())


def moment_text(timestamp_ns: int) -> str:
    """Write a time for people: UTC, to the millisecond."""
    moment = as_datetime(timestamp_ns)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _agent(did: str | None, names: AgentNames) -> str:
    if did is None:
        return "-"
    name = names.of(did)
    return f"{name} ({did})" if name else did


def _short(text: str) -> str:
    # Cut first: a long text need not be looked at to its end.
    return fit(output.one_line(text[: _MAX_NAME * (1 + MAX_MARKS) + 1]), _MAX_NAME)


def writer(*, as_json: bool, names: AgentNames) -> Callable[[Entry], None]:
    """Choose how entries are written.

    Args:
        as_json: Whether as JSON, else for people.
        names: To show beside the agents' DIDs.
    """
    return write_json if as_json else partial(write_line, names=names)
