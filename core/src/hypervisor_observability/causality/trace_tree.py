"""The causal tree of one trace, as its events recorded it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from attrs import define, field, frozen

from ..events.event import HypervisorEvent
from .causal_trace import CausalTraceId
from .id_text import parts_of
from .traceparent import is_same_trace

# The span, and the span above it.
_Belonging = tuple[str, str | None] | Literal["elsewhere", "unreadable"]


@frozen(eq=False, kw_only=True)
class TreeNode:
    """A span: one piece of work, or several that share a causal id.

    Attributes:
        span_id: Its id, as recorded.
        parent_span_id: The span that caused it; None at a root.
        parents: Every span that was recorded as its parent, in order of appearance.
        children: The spans that it caused, in order of first appearance.
        events: What was recorded under it, in the order given; empty if all that is known
            of it is that others name it as their parent.
        positions: Where each of *events* stood among all that the tree was built from.
        orphan: Whether nothing was recorded under its parent.
        forged: Whether its parents contradict each other or form a circle. The first one
            recorded counts, except where it would close the circle.
        second_root: Whether it has no parent although another one was the root before.
    """

    span_id: str
    parent_span_id: str | None = None
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    events: tuple[HypervisorEvent, ...] = ()
    positions: tuple[int, ...] = ()
    orphan: bool = False
    forged: bool = False
    second_root: bool = False


@frozen(eq=False)
class TraceTree:
    """Who caused what in one trace.

    Attributes:
        trace_id: The trace.
        nodes: Every span by its id, in order of first appearance.
        roots: The spans without a parent; also those that were never seen but are named as
            a parent.
        unreadable: How many of the events given have a causal id that cannot be read, so
            that nobody knows whether they belong here.
    """

    trace_id: str
    nodes: Mapping[str, TreeNode]
    roots: tuple[str, ...] = ()
    unreadable: int = 0

    def is_ancestor(self, ancestor: str | CausalTraceId, other: str | CausalTraceId) -> bool:
        """Tell whether *ancestor* caused *other*, directly or not, by the recorded edges.

        Args:
            ancestor: A span id, or a causal id of this trace.
            other: Likewise.
        """
        above, below = self._span_id(ancestor), self._span_id(other)
        return above is not None and below is not None and above in self.ancestors(below)

    def ancestors(self, span_id: str) -> list[str]:
        """Give the spans above *span_id*, its parent first; none for one that is unknown."""
        found = []
        node = self.nodes.get(span_id)
        while node is not None and node.parent_span_id is not None:
            found.append(node.parent_span_id)
            node = self.nodes.get(node.parent_span_id)
        return found

    def walk(self) -> Iterator[tuple[int, TreeNode]]:
        """Give each node with its depth, every parent before its children."""
        waiting = [(0, span_id) for span_id in reversed(self.roots)]
        while waiting:
            depth, span_id = waiting.pop()
            node = self.nodes[span_id]
            yield depth, node
            if node.children:  # most have none
                waiting.extend((depth + 1, child) for child in reversed(node.children))

    def _span_id(self, given: str | CausalTraceId) -> str | None:
        if isinstance(given, str):
            return given
        return given.span_id if is_same_trace(given.trace_id, self.trace_id) else None


@define(eq=False)
class _Seen:
    """What is known of a span while events are read."""

    parents: dict[str, None] = field(factory=dict)
    events: list[HypervisorEvent] = field(factory=list)
    positions: list[int] = field(factory=list)
    children: list[str] = field(factory=list)
    parent: str | None = None
    forged: bool = False


def build_tree(events: Iterable[HypervisorEvent], trace_id: str) -> TraceTree:
    """Build the tree of a trace from the events that were recorded of it.

    Args:
        events: Events of this and of other traces, in any order.
        trace_id: The trace, in its short or its wide form, or any ``full_id`` of it.
    """
    trace_id = trace_id.partition("/")[0]
    spans: dict[str, _Seen] = {}
    unreadable = 0
    belonging: dict[str, _Belonging] = {}
    for position, event in enumerate(events):
        text = event.causal_trace_id
        if text is None:
            continue
        if text not in belonging:
            belonging[text] = _read(text, trace_id)
        if (place := belonging[text]) == "unreadable":
            unreadable += 1
        elif place != "elsewhere":
            span_id, parent = place
            seen = spans.get(span_id) or spans.setdefault(span_id, _Seen())
            seen.events.append(event)
            seen.positions.append(position)
            if parent is not None:
                seen.parents.setdefault(parent)
    _connect(spans)
    return TraceTree(
        trace_id,
        _nodes(spans),
        tuple(span_id for span_id, seen in spans.items() if seen.parent is None),
        unreadable,
    )


def _read(text: str, trace_id: str) -> _Belonging:
    try:
        trace, span, parent = parts_of(text)
    except (TypeError, ValueError):
        return "unreadable"
    return (span, parent) if is_same_trace(trace, trace_id) else "elsewhere"


def _connect(spans: dict[str, _Seen]) -> None:
    """Choose a parent for every span, without circles, and list the children."""
    for seen in list(spans.values()):
        for parent in seen.parents:
            if parent not in spans:
                spans[parent] = _Seen()
    for seen in spans.values():
        seen.parent = next(iter(seen.parents), None)
        seen.forged = len(seen.parents) > 1
    _cut_circles(spans)
    for span_id, seen in spans.items():
        if seen.parent is not None:
            spans[seen.parent].children.append(span_id)


def _cut_circles(spans: Mapping[str, _Seen]) -> None:
    settled: set[str] = set()
    position = {span_id: number for number, span_id in enumerate(spans)}
    for start, seen in spans.items():
        path: dict[str, None] = {start: None}
        span_id = seen.parent
        while span_id is not None and span_id not in settled and span_id not in path:
            path[span_id] = None
            span_id = spans[span_id].parent
        if span_id is not None and span_id in path:
            members = list(path)[list(path).index(span_id) :]
            for member in members:
                spans[member].forged = True
            # The one that was seen first becomes the root of the others.
            spans[min(members, key=position.__getitem__)].parent = None
        settled.update(path)


def _nodes(spans: Mapping[str, _Seen]) -> dict[str, TreeNode]:
    own_roots = (span_id for span_id, seen in spans.items() if seen.events and not seen.parents)
    root = next(own_roots, None)
    return {
        span_id: TreeNode(
            span_id=span_id,
            parent_span_id=seen.parent,
            parents=tuple(seen.parents),
            children=tuple(seen.children),
            events=tuple(seen.events),
            positions=tuple(seen.positions),
            orphan=seen.parent is not None and not spans[seen.parent].events,
            forged=seen.forged,
            second_root=bool(seen.events) and not seen.parents and span_id != root,
        )
        for span_id, seen in spans.items()
    }
