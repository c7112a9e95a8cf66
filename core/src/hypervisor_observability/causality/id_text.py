"""Ids as somebody else wrote them: what a part of one may be, and how its parts are told apart."""

import re
from typing import Final

_MAX_PART: Final = 64  # a UUID as text has 36
_NAMES: Final = ("trace_id", "span_id", "parent_span_id")
_PARTS: Final = {2, 3}
MAX_FULL: Final = 3 * _MAX_PART + 2
"""Longest full id, in characters."""
_PART = re.compile(r"(?!0+\Z)[A-Za-z0-9_-]{1,64}").fullmatch
_FULL = re.compile(
    r"(?!0+/)([A-Za-z0-9_-]{1,64})/(?!0+(?:/|\Z))([A-Za-z0-9_-]{1,64})"
    r"(?:/(?!0+\Z)([A-Za-z0-9_-]{1,64}))?"
).fullmatch


def checked_part(name: str, value: object) -> str:
    """Give *value* as a plain string, whatever subclass of it was given as *name*.

    Raises:
        TypeError: It is no string.
        ValueError: It is not 1 to 64 of ASCII letters, digits, ``_`` and ``-``, or all zeros.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a string, got {type(value).__name__}")
    if not _PART(value):
        if len(value) > _MAX_PART:
            raise ValueError(f"{name}: expected at most {_MAX_PART} characters, got {len(value)}")
        if value and not value.strip("0"):
            raise ValueError(f"{name}: all zeros is no id")
        raise ValueError(
            f"{name}: expected 1 to {_MAX_PART} of ASCII letters, digits, '_' and '-',"
            f" got {value!r}"
        )
    return str.__str__(value)


def parts_of(text: object) -> tuple[str, str, str | None]:
    """Split a ``full_id`` into trace, span and parent; None where it names none.

    Raises:
        TypeError: *text* is not a string.
        ValueError: It is too long, has more or fewer parts, or one that ``checked_part`` refuses.
    """
    if not isinstance(text, str):
        raise TypeError(f"trace id: expected a string, got {type(text).__name__}")
    found = _FULL(text)
    if found is not None:
        return found.groups()  # type: ignore[return-value]  # as the expression has them
    if len(text) > MAX_FULL:
        raise ValueError(f"expected at most {MAX_FULL} characters, got {len(text)}")
    parts = text.split("/")
    if len(parts) not in _PARTS:
        raise ValueError(f"expected TRACE/SPAN or TRACE/SPAN/PARENT, got {text!r}")
    trace, span, *parent = map(checked_part, _NAMES, parts)
    return trace, span, parent[0] if parent else None
