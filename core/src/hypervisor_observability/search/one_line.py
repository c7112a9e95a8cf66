"""What an event says, in one line for people."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..causality.traceparent import is_wide_trace, narrow_trace
from ..events.event import HypervisorEvent, is_erased
from ..text.terminal_text import one_line

MAX_CHARACTERS = 200
"""Longest line."""

_ERASED = "(erased)"
_DIGITS = 6
_TRACE_DIGITS = 12
# The first of them that is there stands alone: it says what the event is about.
_TITLES = ("name", "tool_name", "attempted_tool", "model", "step_action", "action", "path")
# Then what became of it, and why.
_FIRST = ("status", "outcome", "phase", "allowed", "severity", "error_type", "error", "reason")
_RANKS = {key: rank for rank, key in enumerate(_FIRST)}
_PLAIN_WORD = re.compile(r"[^\s\"'=,{}\[\]]+").fullmatch
_quoted = json.JSONEncoder(ensure_ascii=False).encode
# So much is looked at, as white space may be half of it.
_LOOKED_AT = 2 * MAX_CHARACTERS + 1


def summary(event: HypervisorEvent) -> str:
    """Say in at most 200 characters what the payload of *event* says: ``charge status=error ...``.

    What it is about comes first, then what became of it, then all else; ids last. Numbers are
    rounded to six digits. Nothing in the text can command a terminal or hide something.
    """
    if is_erased(event):
        return _ERASED
    line = one_line(_told(event.payload))
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 1]}…"


def short_trace(causal_id: str | None) -> str | None:
    """Give what names the trace of a causal id and is short; None where there is no id.

    Everything that lists traces or events shows this one, so that people find a trace of one list
    in another; ``hvobs tree`` takes it.
    """
    if causal_id is None:
        return None
    trace = causal_id.partition("/")[0]
    return narrow_trace(trace) or (trace[:_TRACE_DIGITS] if is_wide_trace(trace) else trace)


def _told(payload: Mapping[Any, Any]) -> str:
    told: list[str] = []
    keys = sorted(payload, key=_rank)
    title = next((key for key in _TITLES if payload.get(key)), None)
    if title is not None:
        told.append(_text(payload[title], _LOOKED_AT))
        keys.remove(title)
    room = _LOOKED_AT
    for key in keys:
        if room <= 0:
            break
        text = f"{str(key)[:room]}={_text(payload[key], room)}"
        told.append(text)
        room -= len(text) + 1
    return " ".join(told)


def _rank(key: Any) -> int:
    rank = _RANKS.get(key)
    return rank if rank is not None else len(_RANKS) + str(key).endswith("_id")


def _text(value: Any, room: int) -> str:
    """Write a value, or its beginning: not much more than so many characters."""
    if isinstance(value, str):
        text = value[:room]
        return text if _PLAIN_WORD(text) else _quoted(text)
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, dict):
        pairs = ((f"{str(key)[:room]}=", one) for key, one in value.items())
        return "{" + _joined(pairs, room) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + _joined((("", one) for one in value), room) + "]"
    if value is None or isinstance(value, bool):
        return _quoted(value)
    return str(value)[:room]


def _joined(values: Iterable[tuple[str, Any]], room: int) -> str:
    told: list[str] = []
    for before, value in values:
        if room <= 0:
            break
        text = f"{before}{_text(value, room)}"
        told.append(text)
        room -= len(text) + 2
    return ", ".join(told)
