"""Ids as somebody else wrote them: what a part of one may be, and how its parts are told apart."""

import re
from typing import Final

_MAX_PART: Final = 64  # a UUID as text has 36
_MAX_FULL: Final = 3 * _MAX_PART + 2
_PART = re.compile(r"(?!0+\Z)[A-Za-z0-9_-]{1,64}").fullmatch


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
        TypeError: *text* is no string.
        ValueError: It is too long, or has more or fewer parts.
    """
    if not isinstance(text, str):
        raise TypeError(f"trace id: expected a string, got {type(text).__name__}")
    if len(text) > _MAX_FULL:
        raise ValueError(f"expected at most {_MAX_FULL} characters, got {len(text)}")
    match text.split("/"):
        case [trace, span]:
            return trace, span, None
        case [trace, span, parent]:
            return trace, span, parent
        case _:
            raise ValueError(f"expected TRACE/SPAN or TRACE/SPAN/PARENT, got {text!r}")
