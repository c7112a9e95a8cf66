"""Text from events on a terminal: made harmless, measured in columns, cut to fit.

Names and payloads may hold anything that a model wrote. Control characters would command
the terminal, bidirectional and invisible ones would show something else than what is there.
"""

import unicodedata
from bisect import bisect_right
from itertools import accumulate

# The categories of the Unicode Standard, section 4.5: control (C0, DEL, C1), format (all of
# the bidirectional and zero-width ones), surrogate, line and paragraph separator; and what
# Python's tables do not know yet, which may be any of these.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
_NO_COLUMN = frozenset({"Mn", "Me"})
# Unicode Standard Annex 11: wide and full-width characters take two columns.
_TWO_COLUMNS = frozenset({"W", "F"})


def escape(text: str, *, ascii_only: bool = False) -> str:
    r"""Write what is not safe to show as ``\x1b``, ``\u202e`` or ``\U000e0041``.

    Args:
        text: Anything.
        ascii_only: Whether to write all that is not ASCII in this way.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(character)
        if unicodedata.category(character) in _HARMFUL or (ascii_only and character > "\x7f")
        else character
        for character in text
    )


def columns(text: str) -> int:
    """Tell how many columns of a terminal *text* takes; it must have been escaped."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fit(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Cut *text* to *width* columns, ending in *ellipsis* if anything was cut off."""
    if columns(text) <= width:
        return text
    return _head(text, width - len(ellipsis)) + ellipsis[:width]


def wrap(text: str, width: int, *, max_lines: int, ellipsis: str = "…") -> list[str]:
    """Break *text* into at most *max_lines* lines of *width* columns, at spaces if it can."""
    lines: list[str] = []
    rest = text.strip(" ")
    while len(lines) < max_lines - 1 and columns(rest) > width > 1:
        head = _head(rest, width)
        # A word that ends where the line ends stays whole; a long one is broken.
        end = len(head) if rest[len(head)] == " " else head.rfind(" ")
        end = end if end > 0 else len(head)
        lines.append(rest[:end].rstrip(" "))
        rest = rest[end:].lstrip(" ")
    return [*lines, fit(rest, width, ellipsis=ellipsis)]


def _head(text: str, width: int) -> str:
    used = list(accumulate(map(_columns, text)))
    return text[: bisect_right(used, width)]


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _TWO_COLUMNS else 1


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
