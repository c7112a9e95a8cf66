"""Text from events on a terminal: made harmless, measured in columns, cut to fit.

Names and payloads may hold anything that a model wrote. Control characters would command the
terminal; bidirectional and invisible ones would show something else than what is there; marks
without number would take no column and yet have no end.
"""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

MAX_MARKS = 4
"""Combining marks that a character keeps; no script that people write needs more."""

# Other characters of the kind are written out: they would look like these.
_WHITE = re.compile(r"[ \t\r\n]+")

# The categories of the Unicode Standard, section 4.5: control (C0, DEL, C1), format (all of
# the bidirectional and zero-width ones), private use, surrogate, line and paragraph separator;
# and what Python's tables do not know yet, which may be any of these.
_HARMFUL = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Cn"})
_SPACE = "Zs"
_NO_COLUMN = frozenset({"Mn", "Me"})
# Of other categories, and yet not seen: the property Default_Ignorable_Code_Point of the Unicode
# Character Database (fillers, variation selectors), and characters whose picture is empty.
_UNSEEN = frozenset(
    map(
        chr,
        [
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
            *(0x2800, 0x13441, 0x13442, 0x16FE4, 0x1D159),
        ],
    )
)
# Unicode Standard Annex 11: wide and full-width characters take two columns.
_TWO_COLUMNS = frozenset({"W", "F"})


def escape(text: str, *, ascii_only: bool = False) -> str:
    r"""Write what is not safe to show, or cannot be seen, as ``\x1b``, ``\u202e``, ``\U000e0041``.

    So are spaces other than the plain one, and combining marks that stand on nothing, or on a
    character that has enough of them.

    Args:
        text: Anything.
        ascii_only: Whether to write all that is not ASCII in this way.
    """
    if text.isascii() and text.isprintable():
        return text
    parts = []
    marks = MAX_MARKS  # there is nothing yet for one to stand on
    for character in text:
        category = unicodedata.category(character)
        if category in _NO_COLUMN:
            marks += 1
            shown = marks <= MAX_MARKS
        else:
            marks = 0
            shown = category not in _HARMFUL and (category != _SPACE or character == " ")
        if shown and character not in _UNSEEN and not (ascii_only and character > "\x7f"):
            parts.append(character)
        else:
            marks = MAX_MARKS
            parts.append(_escaped(character))
    return "".join(parts)


def one_line(text: str) -> str:
    """Make one harmless line of *text*: runs of plain white space are one space."""
    return escape(_WHITE.sub(" ", text).strip(" "))


def columns(text: str) -> int:
    """Tell how many columns of a terminal *text* takes; it must have been escaped."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fit(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Cut *text* to *width* columns, ending in *ellipsis* if anything was cut off.

    What is left has at most five characters a column, whatever their width.
    """
    if _fits(text, width):
        return text
    return _head(text, width - len(ellipsis)) + ellipsis[: max(0, width)]


def wrap(text: str, width: int, *, max_lines: int, ellipsis: str = "…") -> list[str]:
    """Break *text* into at most *max_lines* lines of *width* columns, at spaces if it can."""
    lines: list[str] = []
    rest = text.strip(" ")
    while len(lines) < max_lines - 1 and width > 1 and not _fits(rest, width):
        head = _head(rest, width)
        # A word that ends where the line ends stays whole; a long one is broken.
        end = len(head) if rest[len(head)] == " " else head.rfind(" ")
        end = end if end > 0 else len(head)
        lines.append(rest[:end].rstrip(" "))
        rest = rest[end:].lstrip(" ")
    return [*lines, fit(rest, width, ellipsis=ellipsis)]


def _fits(text: str, width: int) -> bool:
    return len(text) <= _most_characters(width) and columns(text) <= width


def _head(text: str, width: int) -> str:
    # Not all of a long text is looked at.
    head = text[: _most_characters(width)]
    return head[: bisect_right(list(accumulate(map(_columns, head))), width)]


def _most_characters(width: int) -> int:
    return max(0, width) * (1 + MAX_MARKS)


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _TWO_COLUMNS else 1


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
