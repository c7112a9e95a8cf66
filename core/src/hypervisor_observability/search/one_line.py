"""What an event says, in one line for people."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..events.event import HypervisorEvent, is_erased
from ..text.terminal_text import one_line

MAX_CHARACTERS = 200
"""Longest line."""

_ERASED = "(erased)"
_DIGITS = 6
# The first of them that is there stands alone: it says what the event is about.
_TITLES = ("name", "tool_name", "attempted_tool", "model", "step_action", "action", "path")
# Then what became of it, and why.
_FIRST = ("status", "outcome", "phase", "allowed", "severity", "error_type", "error", "reason")
_PLAIN_WORD = re.compile(r"[^\s\"'=,{}\[\]]+").fullmatch
# So much is looked at, as white space may be half of it.
_LOOKED_AT = 2 * MAX_CHARACTERS + 1


def summary(event: HypervisorEvent) -> str:
    """Say in at most 200 characters what the payload of *event* says: ``charge status=error ...``.

    What it is about comes first, then what became of it, then all else; ids last. Numbers are
    rounded to six digits. Nothing in the text can command a terminal or hide something.
    """
    if is_erased(event):
        return _ERASED
    line = one_line(_upto(_LOOKED_AT, _words(event.payload)))
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 1]}…"


def _words(payload: Mapping[Any, Any]) -> Iterator[str]:
    title = next((key for key in _TITLES if payload.get(key)), None)
    if title is not None:
        yield "".join(_value(payload[title]))
    keys = sorted((key for key in payload if key != title), key=_rank)
    for key in keys:
        yield _upto(_LOOKED_AT, (f"{str(key)[:_LOOKED_AT]}=", *_value(payload[key])), between="")


def _rank(key: object) -> int:
    if key in _FIRST:
        return _FIRST.index(str(key))
    return len(_FIRST) + str(key).endswith("_id")


def _upto(most: int, texts: Iterable[str], between: str = " ") -> str:
    """Join *texts* until there are enough characters."""
    taken: list[str] = []
    for text in texts:
        taken.append(text[:most])
        most -= len(text) + len(between)
        if most <= 0:
            break
    return between.join(taken)


def _value(value: Any) -> Iterator[str]:
    """Write a value in parts, a little more than is asked for at a time."""
    if isinstance(value, str):
        text = value[:_LOOKED_AT]
        yield text if _PLAIN_WORD(text) else json.dumps(text, ensure_ascii=False)
    elif isinstance(value, Mapping):
        yield "{"
        for number, (key, one) in enumerate(value.items()):
            yield f"{', ' if number else ''}{str(key)[:_LOOKED_AT]}="
            yield from _value(one)
        yield "}"
    elif isinstance(value, list | tuple | set | frozenset):
        yield "["
        for number, one in enumerate(value):
            yield ", " if number else ""
            yield from _value(one)
        yield "]"
    elif isinstance(value, float):
        yield f"{value:.{_DIGITS}g}"
    else:
        yield _scalar(value)


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)[:_LOOKED_AT]
