"""What commands print: data on stdout, the rest on stderr, nothing that controls a terminal."""

import json
import os
import re
import select
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import click

from .errors import ObservabilityError
from .text.error_text import message_of, name_of
from .text.terminal_text import columns, escape

_GAP = "  "
# Other characters of the kind are written out: they would look like these.
_WHITE = re.compile(r"[ \t\r\n]+")
# Raised with a sentence, as a rule; of others, such as KeyError, the type says more.
_TOLD_AS_THEY_ARE = (ObservabilityError, OSError, RuntimeError, ValueError)

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_COLOURS = {
    "ok": _GREEN,
    "on": _GREEN,
    "unchecked": _YELLOW,
    "failed": _RED,
}


def tell(text: str) -> None:
    """Write lines for a reader to stdout; *text* must have been made harmless."""
    click.echo(text, color=coloured())


def note(text: str) -> None:
    """Write lines that are not data to stderr, made harmless."""
    click.echo(harmless(text), err=True)


def tell_json(value: Any) -> None:
    """Write *value* to stdout as JSON, in ASCII."""
    click.echo(json.dumps(value, ensure_ascii=True, indent=2))


def harmless(text: str) -> str:
    """Escape what could control a terminal, but keep the lines."""
    return "\n".join(map(escape, text.split("\n")))


def one_line(text: str) -> str:
    """Make one harmless line of *text*: runs of plain white space are one space."""
    return escape(_WHITE.sub(" ", text).strip(" "))


def reason(error: BaseException) -> str:
    """Say in one line what went wrong, for people who do not know the exception's type."""
    text, kind = " ".join(message_of(error).split()), name_of(error)
    if not text:
        return kind
    return text if isinstance(error, _TOLD_AS_THEY_ARE) else f"{kind}: {text}"


def coloured(stream: TextIO | None = None) -> bool:
    """Whether to colour what goes to *stream* (stdout): a terminal, unless told not to.

    ``NO_COLOR`` as described at https://no-color.org: set and not empty.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def can_show(text: str) -> bool:
    """Whether stdout's encoding has the characters of *text*."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def table(rows: Iterable[Sequence[str]], *, colour: bool = False) -> str:
    """Align *rows* in columns; cells are made harmless, the last ones are not padded.

    Args:
        rows: Rows of equally many cells.
        colour: Whether to colour the words that name a state.
    """
    safe = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(columns, cells)) for cells in zip(*safe, strict=True)]
    return "\n".join(
        _GAP.join(
            _painted(cell, colour=colour) + " " * (width - columns(cell))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in safe
    )


def _painted(cell: str, *, colour: bool) -> str:
    return f"{_COLOURS[cell]}{cell}{_PLAIN}" if colour and cell in _COLOURS else cell


def reader_is_gone() -> bool:
    """Whether the other end of stdout's pipe was closed, so that nothing reads it any more."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    if not hasattr(select, "poll"):
        return True  # Windows cannot say; a broken pipe is then taken for this one
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def discard_stdout() -> None:
    """Discard what is still buffered for stdout, so that Python ends without a complaint."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
