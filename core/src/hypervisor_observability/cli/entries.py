"""Entries of a store as commands write them: a line each, as JSON or for people."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from .. import output
from ..events.event import is_erased
from ..stores import Entry
from ..text.terminal_text import MAX_MARKS, fit

_MAX_PAYLOAD = 200
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


def write_line(entry: Entry) -> None:
    """Write a line for people."""
    event = entry.event
    moment = datetime.fromtimestamp(event.timestamp_ns / 1e9, UTC)
    parts = [
        f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}",
        _short(event.event_type.value),
        _short(event.agent_did or "-"),
        _short(event.session_id or "-"),
    ]
    if is_erased(event):
        parts.append("(erased)")
    elif event.payload:
        payload = json.dumps(event.to_dict()["payload"], ensure_ascii=False)
        parts.append(_short(payload, _MAX_PAYLOAD))
    output.tell(" ".join(parts))


def _short(text: str, width: int = _MAX_NAME) -> str:
    # Cut first: a long text need not be looked at to its end.
    return fit(output.one_line(text[: width * (1 + MAX_MARKS) + 1]), width)


def writer(*, as_json: bool) -> Callable[[Entry], None]:
    """Choose how entries are written."""
    return write_json if as_json else write_line
