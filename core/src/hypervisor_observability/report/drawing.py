"""Pictures as SVG: bars over time, bars by name, and a waterfall.

Colours are attributes, not styles, so that the page's policy can forbid styles of elements.
"""

import html
from collections import Counter
from collections.abc import Mapping, Sequence

from ..text.durations import duration_text
from ..text.terminal_text import escape, fit
from .sagas import Piece, SagaStory
from .timeline import Timeline

WIDTH = 360
"""Of every picture, in units of which text takes 14: narrow, so that a phone need not shrink it."""

_BINS = 40
_ROW = 36
_DIGIT = 9
"""How wide a digit is."""
_NAME_COLUMNS = 28
COLOURS = {
    "assigned": "#4878a8",
    "elevated": "#c8553d",
    "demoted": "#588157",
    "expired": "#8d6a9f",
    "low": "#b0a160",
    "medium": "#d08c30",
    "high": "#c8553d",
    "critical": "#8b1e1e",
    "unknown": "#777777",
    "allowed": "#588157",
    "denied": "#c8553d",
    "committed": "#588157",
    "compensated": "#4878a8",
    "undone": "#9a9a9a",
    "failed": "#c8553d",
    "escalated": "#8b1e1e",
    "running": "#d08c30",
    "ok": "#588157",
    "error": "#c8553d",
    "blocked": "#8b1e1e",
    "cancelled": "#9a9a9a",
    "not ended": "#d08c30",
}


def text_of(text: str, columns: int = 60) -> str:
    """Make *text* harmless in HTML, and short; what would not be seen is written out."""
    return html.escape(fit(escape(text), columns))


def colour_of(name: str) -> str:
    """Give the colour of a state or a kind."""
    return COLOURS.get(name, COLOURS["unknown"])


def over_time(moments: Timeline, first_ns: int, last_ns: int) -> str:
    """Draw how many there were in each fortieth of the time, by kind."""
    span = max(1, last_ns - first_ns)
    bins: list[Counter[str]] = [Counter() for _ in range(_BINS)]
    for moment, kind, count in moments:
        place = (moment - first_ns) * _BINS // span
        bins[min(_BINS - 1, max(0, place))][kind] += count
    most = max(1, *(one.total() for one in bins))
    left = 8 + _DIGIT * len(str(most))
    height, step = 120, (WIDTH - left - 4) / _BINS
    shapes = [
        f'<line x1="{left}" y1="{height}" x2="{WIDTH}" y2="{height}" stroke="#999"/>',
        f'<text x="{left - 4}" y="12" text-anchor="end">{most}</text>',
        f'<text x="{left - 4}" y="{height}" text-anchor="end">0</text>',
    ]
    for place, one in enumerate(bins):
        top = float(height)
        for kind in sorted(one):
            tall = one[kind] * (height - 6) / most
            top -= tall
            shapes.append(
                f'<rect x="{left + 2 + place * step:.1f}" y="{top:.1f}" width="{step - 1:.1f}"'
                f' height="{tall:.1f}" fill="{colour_of(kind)}"/>'
            )
    return _svg(shapes, height + 4) + legend(moments.kinds)


def legend(counts: Mapping[str, int]) -> str:
    """Name the kinds, each with its colour and number."""
    entries = "".join(
        f'<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10"'
        f' fill="{colour_of(kind)}"/></svg>{text_of(kind, 30)} <b>{counts[kind]}</b></li>'
        for kind in sorted(counts)
    )
    return f'<ul class="legend">{entries}</ul>'


def by_name(rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Draw a bar for each row.

    Args:
        rows: Name, length, what is written behind it, colour.
    """
    most = max([length for _, length, _, _ in rows], default=0) or 1
    shapes: list[str] = []
    for place, (name, length, shown, colour) in enumerate(rows):
        # A short bar is still one; none at all is none.
        painted = colour if length else "none"
        shapes += _row(place, name, shown, 0, length / most * WIDTH, painted)
    return _svg(shapes, len(rows) * _ROW)


def shares(counts: Mapping[str, int]) -> str:
    """Draw one bar of all kinds, each as long as its share, and name them."""
    total = max(1, sum(counts.values()))
    shapes: list[str] = []
    left = 0.0
    for kind in sorted(counts):
        long = counts[kind] / total * WIDTH
        shapes.append(
            f'<rect x="{left:.1f}" y="0" width="{long:.1f}" height="9" fill="{colour_of(kind)}"/>'
        )
        left += long
    return _svg(shapes, 9) + legend(counts)


def waterfall(saga: SagaStory) -> str:
    """Draw the pieces of a saga along its time."""
    shapes: list[str] = []
    span = max(1, saga.ended_ns - saga.begun_ns)
    for place, piece in enumerate(saga.pieces):
        ended = saga.ended_ns if piece.ended_ns is None else piece.ended_ns
        left = (piece.begun_ns - saga.begun_ns) / span * WIDTH
        long = (ended - piece.begun_ns) / span * WIDTH
        shapes += _row(place, piece.title, _told(piece), left, long, colour_of(piece.state))
    return _svg(shapes, len(saga.pieces) * _ROW)


def _told(piece: Piece) -> str:
    took = "" if piece.ended_ns is None else duration_text((piece.ended_ns - piece.begun_ns) / 1e9)
    return f"{piece.state} {took}".strip()


def _row(
    place: int, name: str, shown: str, left: float, long: float, colour: str
) -> tuple[str, ...]:
    """Draw a bar below its name and what there is to tell."""
    y = place * _ROW
    left = min(left, WIDTH - 2)
    shown_long = max(2, min(long, WIDTH - left))
    box = f'x="{left:.1f}" y="{y + 20}" width="{shown_long:.1f}" height="9"'
    return (
        f'<text x="0" y="{y + 14}">{text_of(name, _NAME_COLUMNS)}</text>',
        f'<text x="{WIDTH}" y="{y + 14}" text-anchor="end">{text_of(shown, 22)}</text>',
        f'<rect x="0" y="{y + 20}" width="{WIDTH}" height="9" fill="#eee"/>',
        f'<rect {box} fill="{colour}"/>',
    )


def _svg(shapes: Sequence[str], height: float) -> str:
    return f'<svg class="picture" viewBox="0 0 {WIDTH} {height}">{"".join(shapes)}</svg>'
