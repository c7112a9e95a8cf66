"""The words of configuration problems: what was expected, and what was found.

Values are cut to 40 characters, made harmless for a terminal, and left out where they may
be secret: in fields of type ``Secret``, and wherever they came through ``${...}``.
"""

import datetime
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from ..text.terminal_text import escape
from .class_fields import field_types, holds_settings
from .interpolation import Interpolated
from .secret import Secret
from .shown import MAX_SHOWN, cut, harmless
from .toml_lines import KeyPath

_BITS = 64

_SCALARS: Mapping[object, str] = {
    str: "a string",
    Secret: "a string",
    Path: "a path",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    Any: "any value",
}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (Mapping, "a table"),
    ((list, tuple, set, frozenset), "a list"),
    ((datetime.date, datetime.time), "a date or time"),
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# How the validators of attrs put it (attr/validators.py); anything else is shown as it is.
_BOUND = re.compile(r"'\w+' must be (<=|>=|<|>) (.+?): (.*)", re.DOTALL)
_LENGTH = re.compile(r"Length of '\w+' must be (<=|>=) (\d+): (\d+)")
_COMPARISONS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


def is_union(type_: object) -> bool:
    """Whether *type_* is ``A | B``, written either way."""
    return typing.get_origin(type_) in {typing.Union, types.UnionType}


def is_enum(type_: object) -> bool:
    """Whether *type_* is an enumeration."""
    return isinstance(type_, type) and issubclass(type_, Enum)


def options(type_: Any) -> tuple[Any, ...]:
    """Give the values that an enumeration or a ``Literal`` allows."""
    if is_enum(type_):
        return tuple(member.value for member in type_)
    return typing.get_args(type_)


def key_text(path: KeyPath) -> str:
    """Write *path* as a user would: ``plugins.otel.endpoints[0].url``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        shown = part if _BARE_KEY.fullmatch(part) and len(part) <= MAX_SHOWN else _shown(part)
        text += f".{shown}" if text else shown
    return text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Say that *key* is unknown, and which of the *known* ones may be meant."""
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f"unknown key (did you mean '{near[0]}'?)" if near else "unknown key"


def wanted(type_: Any) -> str:
    """Say what a field of *type_* takes: ``an integer``."""
    if is_union(type_):
        members = (member for member in typing.get_args(type_) if member is not type(None))
        return " or ".join(dict.fromkeys(wanted(member) for member in members))
    if typing.get_origin(type_) is typing.Literal or is_enum(type_):
        return f"one of {_listed(options(type_))}"
    if type_ in _SCALARS:
        return _SCALARS[type_]
    origin = typing.get_origin(type_) or type_
    if holds_settings(type_) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return "a table"
    return "a list"


def mismatch(type_: object, value: object) -> str:
    """Say that *value* is nothing for a field of *type_*."""
    return f"expected {wanted(type_)}, got {described(value, hide=holds_secret(type_))}"


def described(value: object, *, hide: bool = False) -> str:
    """Say what *value* is: ``the integer 5``; without the value itself to *hide* it."""
    if isinstance(value, Interpolated):
        return str(value)
    kind = next((name for type_, name in _KINDS if isinstance(value, type_)), None)
    if kind is None:
        return "nothing" if value is None else f"a {type(value).__name__}"
    if hide or kind in {"a table", "a list"}:
        return kind
    if isinstance(value, bool):
        return _shown(value)
    return f"the {kind.partition(' ')[2]} {_shown(value)}"


def holds_secret(type_: object) -> bool:
    """Whether a value of *type_* is a Secret, or has one in it."""
    return _holds_secret(type_, set())


def _holds_secret(type_: Any, seen: set[object]) -> bool:
    if type_ is Secret:
        return True
    if holds_settings(type_) and type_ not in seen:
        seen.add(type_)
        return any(_holds_secret(one, seen) for one in field_types(type_).values())
    return any(_holds_secret(argument, seen) for argument in typing.get_args(type_))


def refusal(error: Exception, raw: object, type_: object) -> str:
    """Say what a validator's *error* means for the value *raw* of a field of *type_*.

    What attrs' own validators raise is put into the usual form. The words of others are
    kept, cut to 200 characters; where the value is secret they are left out.
    """
    secret = holds_secret(type_)
    hidden = secret or next(_interpolated(raw), None) is not None
    if (expectation := _expectation(error)) is not None:
        expected, got = expectation
        return f"expected {expected}, got {described(raw, hide=True) if hidden else got}"
    if secret:
        return "the value is not accepted (the reason is not shown: it may hold the secret)"
    reason = str(error.args[0]) if error.args else type(error).__name__
    for part in _interpolated(raw):
        reason = reason.replace(part.text, part.expression)
    return harmless(reason)


def _expectation(error: Exception) -> tuple[str, str] | None:
    """Give what an attrs validator expected and what it got; None for any other error."""
    text = str(error.args[0]) if error.args else ""
    if match := _LENGTH.fullmatch(text):
        return f"a length of {_COMPARISONS[match[1]]} {match[2]}", match[3]
    if match := _BOUND.fullmatch(text):
        return f"{_COMPARISONS[match[1]]} {match[2]}", harmless(match[3], MAX_SHOWN)
    if len(error.args) != 4 or not isinstance(error.args[1], attrs.Attribute):
        return None
    _, _, allowed, value = error.args
    if isinstance(allowed, re.Pattern):
        return f"a string that matches {allowed.pattern!r}", _shown(value)
    if isinstance(allowed, type):
        return f"a value of type {allowed.__name__}", _shown(value)
    if "must be in" in text:
        return f"one of {_listed(allowed)}", _shown(value)
    return None


def _interpolated(raw: object) -> Iterator[Interpolated]:
    if isinstance(raw, Interpolated):
        yield raw
    elif isinstance(raw, Mapping):
        for item in raw.values():
            yield from _interpolated(item)
    elif isinstance(raw, list | tuple):
        for item in raw:
            yield from _interpolated(item)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(_shown(value) for value in values)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"of {value.bit_length()} bits"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    text = escape(repr(value))
    if isinstance(value, str) and len(text) > MAX_SHOWN + 2:
        return f"{text[: MAX_SHOWN - 2]}...{text[0]}"
    return cut(text)
