"""The causal trees on the page, and the links that lead to them."""

import html
import shlex
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from ..causality.trace_tree import TraceTree, build_tree
from ..facts.prices import Prices
from ..text.durations import duration_text
from ..text.terminal_text import escape, fit
from ..tree.outline import outline
from ..tree.wording import label, telling
from ..tree.work import Work, walk
from .drawing import text_of
from .kept_traces import KeptTrace

MOST_ROWS_OF_A_TREE = 60
"""How many lines of a tree are drawn; of a larger one, what went well is left out first."""
_DEEPEST = 12
_ID_COLUMNS = 40
_LABEL_COLUMNS = 200
_REASON_COLUMNS = 300
_WELL = frozenset({"", "ok"})


@frozen
class Addresses:
    """Where on the page the tree of a trace is.

    Attributes:
        anchors: The anchors of those traces that are drawn.
    """

    anchors: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of(cls, traces: Iterable[KeptTrace]) -> "Addresses":
        """Give an anchor to each of *traces*: a number, as an id may hold anything."""
        return cls({one.trace_id: f"t{number}" for number, one in enumerate(traces, 1)})

    def link(self, trace_id: str | None) -> str:
        """Lead to the tree of a trace; where it is not drawn, say what shows it."""
        if trace_id is None:
            return ""
        anchor = self.anchors.get(trace_id)
        if anchor is None:
            return f'<span class="note">{_command(trace_id)}</span>'
        return f'<a href="#{anchor}">trace {text_of(trace_id, _ID_COLUMNS)}</a>'


def trees(traces: Iterable[KeptTrace], addresses: Addresses, prices: Prices | None) -> str:
    """Draw the tree of each of *traces*."""
    return "".join(_tree(one, addresses.anchors[one.trace_id], prices) for one in traces)


def _tree(trace: KeptTrace, anchor: str, prices: Prices | None) -> str:
    tree = build_tree(trace.events, trace.trace_id)
    roots = outline(tree, prices)
    works = list(walk(roots))
    shown = _shown(works)
    notes = []
    if trace.left_out:
        notes.append(f"{trace.left_out:,} further events are left out.")
    if len(shown) < len(works):
        notes.append(f"{len(works) - len(shown):,} of {len(works):,} pieces of work are left out.")
    if notes:
        notes.append(f"{_command(trace.trace_id)} shows all.")
    note = f'<p class="note">{" ".join(notes)}</p>' if notes else ""
    rows = "".join(_rows(tree, roots, shown))
    return (
        f'<div class="tree" id="{anchor}"><h3>trace {text_of(trace.trace_id, _ID_COLUMNS)}</h3>'
        f"<ul>{rows}</ul>{note}</div>"
    )


def _command(trace_id: str) -> str:
    """Give the command that draws a trace, for HTML; a shell takes the id as it is, as one word.

    Of a long id it has the beginning, without an ellipsis: that names the trace, too.
    """
    word = shlex.quote(fit(escape(trace_id), _ID_COLUMNS, ellipsis=""))
    return html.escape(f"hvobs tree {'-- ' if word.startswith('-') else ''}{word}")


def _shown(works: list[Work]) -> set[int]:
    """Choose what is drawn: all, or of a large tree first what did not go well, and what that is
    below.
    """
    if len(works) <= MOST_ROWS_OF_A_TREE:
        return {id(one) for one in works}
    telling: dict[int, None] = {}
    for work in works:
        if work.state not in _WELL:
            at: Work | None = work
            while at is not None and id(at) not in telling:
                telling[id(at)] = None
                at = at.parent
    chosen = [one for one in works if id(one) in telling]
    chosen += [one for one in works if id(one) not in telling]
    # Parents come before their children, so that no one is drawn without what it is below.
    return {id(one) for one in chosen[:MOST_ROWS_OF_A_TREE]}


def _rows(tree: TraceTree, roots: list[Work], shown: set[int]) -> Iterator[str]:
    tellers = telling(roots)
    # What stands open while the tree is walked: None closes a list.
    waiting: list[tuple[Work, str | None, int] | None]
    waiting = [(one, None, 0) for one in reversed(roots) if id(one) in shown]
    while waiting:
        found = waiting.pop()
        if found is None:
            yield "</ul>"
            continue
        work, around, depth = found
        yield f"<li>{_line(tree, work, around)}"
        if work.reason and id(work) in tellers:
            yield f'<p class="note"><bdi>{text_of(work.reason, _REASON_COLUMNS)}</bdi></p>'
        below = [one for one in work.children if id(one) in shown]
        if below and depth < _DEEPEST:
            yield "<ul>"
            waiting.append(None)
        within = work.agent_did if work.kind != "step" else around
        waiting += [(one, within, depth + 1) for one in reversed(below)]


def _line(tree: TraceTree, work: Work, around: str | None) -> str:
    seconds = work.duration_seconds
    took = "" if seconds is None else duration_text(seconds)
    # The words of states are fixed, but for the severity of an incident.
    word = text_of(work.word, 20)
    how = f'<b class="{work.state}">{word}</b>' if work.state and word else word
    name = text_of(label(tree, work, around), _LABEL_COLUMNS)
    return f"<bdi>{name}</bdi> {' '.join(filter(None, (took, how)))}".rstrip()
