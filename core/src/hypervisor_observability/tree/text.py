"""Show a causal tree: as lines for a terminal, as a dict for ``--json``."""

from collections.abc import Collection
from typing import Any

from attrs import asdict, frozen

from ..causality.trace_tree import TraceTree
from ..facts.prices import Prices
from ..facts.usage import Usage, names_text
from ..text.durations import duration_text
from ..text.terminal_text import columns, escape, fit, wrap
from .outline import outline
from .pruning import prune
from .wording import label, telling
from .work import State, Work, walk

_STATUS_COLUMNS = 11
_TIME_COLUMNS = 9
_WIDE_COLUMNS = 60
_LEAST_LABEL_COLUMNS, _LEAST_NARROW_COLUMNS = 20, 8
_REASON_LINES = 3
_ESTIMATES = frozenset({"estimated_cost", "without_price"})

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_COLOURS = {
    "failed": "\x1b[31m",
    "refused": "\x1b[31m",
    "undone": "\x1b[33m",
    "running": "\x1b[36m",
    "ok": "\x1b[32m",
}
_PLAIN = "\x1b[0m"


@frozen
class _Pen:
    """The characters to draw with."""

    fork: str = "├─ "
    last: str = "└─ "
    line: str = "│  "
    gap: str = "   "
    ellipsis: str = "…"
    ascii_only: bool = False

    def safe(self, text: str) -> str:
        return escape(text, ascii_only=self.ascii_only)


_ASCII = _Pen(fork="|- ", last="`- ", line="|  ", ellipsis="...", ascii_only=True)
# For narrow terminals: more of them fit before a name.
_NARROW = _Pen(fork="├ ", last="└ ", line="│ ", gap="  ")
_NARROW_ASCII = _Pen("|-", "`-", "| ", "  ", "...", ascii_only=True)


def render_tree(
    tree: TraceTree,
    *,
    width: int = 80,
    color: bool = False,
    ascii: bool = False,  # noqa: A002 - the plain word for a caller
    prices: Prices | None = None,
    only: Collection[State] | None = None,
) -> str:
    """Draw *tree* as lines of at most *width* columns, without a line feed at the end.

    Names are cut where a line is too long. The branches before them stay, unless the tree is so
    deep that they alone would not fit.

    What the events say is escaped: nothing in it can command the terminal.

    Args:
        tree: What to draw.
        width: Columns; below 40 counts as 40.
        color: Whether to colour states by escape sequences.
        ascii: Whether to use ASCII alone.
        prices: To estimate costs of which nobody told; None: they are not estimated.
        only: Only work in these states, and what is around it; None: all.
    """
    width = max(width, 40)
    pens = (_ASCII, _NARROW_ASCII) if ascii else (_Pen(), _NARROW)
    pen = pens[width < _WIDE_COLUMNS]
    lines = [fit(f"trace {pen.safe(tree.trace_id)}", width, ellipsis=pen.ellipsis)]
    roots = outline(tree, prices)
    if only is not None:
        prune(roots, only)
    tellers = telling(roots)
    right = _right_columns(roots, width, pen)
    # The work, who does what is around it, what stands before it on its own line, and before
    # further lines.
    waiting: list[tuple[Work, str | None, str, str]]
    waiting = [(work, None, "", "") for work in reversed(roots)]
    while waiting:
        work, around, before, below = waiting.pop()
        lines.append(_line(tree, work, around, before, width, right, pen, color=color))
        if id(work) in tellers:
            lines.extend(_reason_lines(work, below, width, pen))
        last = len(work.children) - 1
        # Of a deep tree's lines only the right end is drawn: no more of them is carried along.
        fork, line = (below + pen.fork)[-width:], (below + pen.line)[-width:]
        end, gap = (below + pen.last)[-width:], (below + pen.gap)[-width:]
        within = work.agent_did if work.kind != "step" else around
        waiting.extend(
            (child, within, end, gap) if number == last else (child, within, fork, line)
            for number, child in reversed([*enumerate(work.children)])
        )
    notes = _notes(tree) + _price_notes(roots, prices)
    lines += [fit(pen.safe(text), width, ellipsis=pen.ellipsis) for text in notes]
    return "\n".join(lines)


def tree_to_dict(tree: TraceTree, *, prices: Prices | None = None) -> dict[str, Any]:
    """Give *tree* as plain values that ``json.dumps`` takes; flat, however deep it is.

    ``spans`` are the recorded edges and events, ``work`` what they stand for; an item of
    ``work`` names the one that it belongs to by its position. *prices* as for ``render_tree``.
    """
    works = list(walk(outline(tree, prices)))
    position = {id(work): number for number, work in enumerate(works)}
    return {
        "trace_id": tree.trace_id,
        "roots": list(tree.roots),
        "unreadable": tree.unreadable,
        "prices": None if prices is None else prices.name,
        "spans": [
            {
                "span_id": node.span_id,
                "parent_span_id": node.parent_span_id,
                "parents": list(node.parents),
                "depth": depth,
                "children": list(node.children),
                "orphan": node.orphan,
                "forged": node.forged,
                "second_root": node.second_root,
                "events": [event.to_dict() for event in node.events],
            }
            for depth, node in tree.walk()
        ],
        "work": [
            {
                "kind": work.kind,
                "span_id": work.span_id,
                "parent": None if work.parent is None else position[id(work.parent)],
                "title": work.title,
                "state": work.state,
                "word": work.word,
                "agent_did": work.agent_did,
                "ring": work.ring or None,
                "details": list(work.details),
                "reason": work.reason,
                "duration_seconds": work.duration_seconds,
                "usage": None if work.usage is None else _usage_to_dict(work.usage, prices),
            }
            for work in works
        ],
    }


def _line(
    tree: TraceTree,
    work: Work,
    around: str | None,
    before: str,
    width: int,
    right: tuple[int, int],
    pen: _Pen,
    *,
    color: bool,
) -> str:
    time_columns, status_columns = right
    room = width - time_columns - status_columns - 2
    least = _LEAST_LABEL_COLUMNS if width >= _WIDE_COLUMNS else _LEAST_NARROW_COLUMNS
    before = _shortened(before, room - least, pen)
    time = _time(work)
    # Words come from a fixed list, but an incident's severity does not.
    word = fit(pen.safe(work.word), status_columns, ellipsis=pen.ellipsis)
    if not time and not word:
        room = width
    room -= columns(before)
    text = fit(pen.safe(label(tree, work, around)), room, ellipsis=pen.ellipsis)
    if not time and not word:
        return before + text
    if color and work.state in _COLOURS:
        word = f"{_COLOURS[work.state]}{word}{_PLAIN}"
    padding = " " * (room - columns(text))
    return f"{before}{text}{padding} {time:>{time_columns}} {word}".rstrip()


def _time(work: Work) -> str:
    duration = work.duration_seconds
    return "" if duration is None else duration_text(duration)


def _right_columns(roots: list[Work], width: int, pen: _Pen) -> tuple[int, int]:
    """Give the columns of times and of words: on a narrow terminal only what this tree needs."""
    if width >= _WIDE_COLUMNS:
        return _TIME_COLUMNS, _STATUS_COLUMNS
    works = list(walk(roots))
    times = max([len(_time(work)) for work in works], default=0)
    words = max([columns(pen.safe(work.word[:_STATUS_COLUMNS])) for work in works], default=0)
    return min(times, _TIME_COLUMNS), min(words, _STATUS_COLUMNS)


def _usage_to_dict(usage: Usage, prices: Prices | None) -> dict[str, Any]:
    told = asdict(usage, filter=lambda field, _: field.name not in _ESTIMATES)
    if prices is not None:
        told["estimated_cost"] = dict(usage.estimated_cost)
        told["without_price"] = sorted(usage.without_price)
    return told


def _reason_lines(work: Work, below: str, width: int, pen: _Pen) -> list[str]:
    indent = _shortened(below + (pen.line if work.children else pen.gap), width // 2, pen)
    texts = wrap(
        pen.safe(work.reason),
        width - columns(indent),
        max_lines=_REASON_LINES,
        ellipsis=pen.ellipsis,
    )
    return [indent + text for text in texts]


def _shortened(before: str, room: int, pen: _Pen) -> str:
    """Cut the lines of a very deep tree on the left."""
    if len(before) <= room:
        return before
    return pen.ellipsis + before[len(before) - room + len(pen.ellipsis) :]


def _notes(tree: TraceTree) -> list[str]:
    notes = [] if tree.nodes else ["no events of this trace"]
    if tree.unreadable:
        notes.append(f"left out: {tree.unreadable} events with unreadable causal ids")
    return notes


def _price_notes(roots: list[Work], prices: Prices | None) -> list[str]:
    if prices is None:
        return []
    total = Usage()
    for work in roots:
        total.add(work.usage or Usage())
    notes = [f"~ estimated by {prices.name}"] * bool(total.estimated_cost)
    if total.without_price:
        notes.append(f"no price known: {names_text(total.without_price)}")
    return notes
