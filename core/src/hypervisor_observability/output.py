"""What commands print: data on stdout, the rest on stderr, nothing that controls a terminal."""

import json
import os
import select
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

import click

from .errors import ObservabilityError
from .text import terminal_text
from .text.error_text import message_of, name_of
from .text.terminal_text import columns, escape, fit, wrap

one_line = terminal_text.one_line

_GAP = "  "
_LEAST_COLUMNS = 12  # a short trace id stays whole
_LEAST_PROSE_COLUMNS = 16
_MOST_PROSE_LINES = 20
# Raised with a sentence, as a rule; of others, such as KeyError, the type says more.
_TOLD_AS_THEY_ARE = (ObservabilityError, OSError, RuntimeError, ValueError, click.ClickException)

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_COLOURS = {
    "ok": _GREEN,
    "on": _GREEN,
    "running": _YELLOW,
    "unchecked": _YELLOW,
    "failed": _RED,
    "FAILED": _RED,
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


def tell_json_line(value: Any) -> None:
    """Write *value* to stdout as a line of JSON of ASCII characters alone."""
    click.echo(json.dumps(value, ensure_ascii=True))


def harmless(text: str) -> str:
    """Escape what could control a terminal, but keep the lines."""
    return "\n".join(map(escape, text.split("\n")))


def reason(error: BaseException) -> str:
    """Say in one line what went wrong, for people who do not know the exception's type."""
    text, kind = " ".join(message_of(error).split()), name_of(error)
    if not text:
        return kind
    return text if isinstance(error, _TOLD_AS_THEY_ARE) else f"{kind}: {text}"


def examples(*lines: str) -> str:
    """Give what ``--help`` ends with, the ``epilog`` of a command: calls of it, one a line.

    Every command has them, a plugin's too.
    """
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


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


def terminal_width() -> int | None:
    """Give the columns of the terminal that stdout is; None if it is not one."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def table(
    rows: Iterable[Sequence[str]],
    *,
    colour: bool = False,
    prose: bool = False,
    width: int | None = None,
) -> str:
    """Align *rows* in columns; cells are made harmless, the last ones are not padded.

    No line is wider than the terminal: the widest columns are cut. If that would leave too
    little, each row becomes a block of lines, with the first row as their labels. In a pipe
    everything is whole.

    Args:
        rows: Rows of equally many cells.
        colour: Whether to colour the words that name a state.
        prose: Whether the first row is not a header, and the last column holds sentences: they
            continue on further lines instead of being cut.
        width: Columns at most; None: those of the terminal.
    """
    safe = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(columns, cells)) for cells in zip(*safe, strict=True)]
    if width is None:
        width = terminal_width()
    if width is None or _total(widths) <= width:
        lines: list[tuple[Sequence[str], list[int]]] = [(row, widths) for row in safe]
    elif prose:
        room = max(_LEAST_PROSE_COLUMNS, width - _total([*widths[:-1], 0]))
        lines = [(row, widths) for row in _continued(safe, room)]
    else:
        widths = _cut(widths, width)
        if _total(widths) > width:
            return _blocks(safe, width)
        lines = [
            ([fit(cell, most) for cell, most in zip(row, widths, strict=True)], widths)
            for row in safe
        ]
    return "\n".join(_aligned(row, aligned, colour=colour) for row, aligned in lines)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _cut(widths: Sequence[int], width: int) -> list[int]:
    """Narrow the widest columns until they fit, or have nothing left to give."""
    cut = list(widths)
    while _total(cut) > width and max(cut) > _LEAST_COLUMNS:
        widest = cut.index(max(cut))
        others = max([one for one in cut if one < cut[widest]], default=0)
        needed = cut[widest] - (_total(cut) - width)
        cut[widest] = max(_LEAST_COLUMNS, needed, min(others, cut[widest] - 1))
    return cut


def _continued(rows: Iterable[Sequence[str]], room: int) -> Iterator[Sequence[str]]:
    for *cells, last in rows:
        first, *further = wrap(last, room, max_lines=_MOST_PROSE_LINES)
        yield [*cells, first]
        for line in further:
            yield [*[""] * len(cells), line]


def _blocks(rows: Sequence[Sequence[str]], width: int) -> str:
    """Write each row as lines with the labels that the first row gives."""
    labels, *others = rows
    longest = max(map(columns, labels))
    return "\n\n".join(
        "\n".join(
            fit(f"{label}{' ' * (longest - columns(label))}{_GAP}{cell}", width)
            for label, cell in zip(labels, row, strict=True)
            if cell
        )
        for row in others
    )


def _aligned(row: Sequence[str], widths: Sequence[int], *, colour: bool) -> str:
    return _GAP.join(
        _painted(cell, colour=colour) + " " * (width - columns(cell))
        for cell, width in zip(row, widths, strict=True)
    ).rstrip()


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
