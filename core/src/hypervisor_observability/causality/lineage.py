"""What a causal trace id knows of the spans above it.

A line lists them: the trace, whether the next span is a root, the spans from the farthest
down, and last the id's own. Ids that were drawn stand there as numbers, so that a child
is made without making text.
"""

from typing import Any, Final

from ..events import ids
from .traceparent import is_wide_trace

Line = tuple[Any, ...]

MAX_KNOWN: Final = 64
"""So many spans above it does an id know, whatever its depth."""

FULL: Final = MAX_KNOWN + 3
"""Entries of a line that can only grow by forgetting its farthest span."""


class Lineage:
    """What an id knows beside its fields: no part of its value, so no field of it.

    Attributes:
        orphan_root: Whether this is the sibling of a root: a root by its depth that was
            meant to stand beside another.
    """

    __slots__ = ("_line", "orphan_root")

    _line: Line
    orphan_root: bool


def new_span(trace_id: str) -> str:
    """Draw a span for a trace: as wide as its other spans are."""
    number = ids.next_number()
    return ids.event_id_text(number) if is_wide_trace(trace_id) else ids.span_id_text(number)


def longer(line: Line, span: int | str) -> Line:
    """Give the line of a child, whose own span is *span*."""
    return (*line, span) if len(line) < FULL else (line[0], False, *line[3:], span)


def as_text(line: Line) -> Line:
    """Give *line* without numbers, for readers that may turn them into other text."""
    trace, from_root, *spans = line
    trace_id = trace if type(trace) is str else ids.trace_id_text(trace)
    return (trace_id, from_root, *map(_text, spans))


def is_above(span: str, line: Line, other_span: str, other_line: Line) -> bool | None:
    """Tell whether *span* is an ancestor of *other_span* of the same trace.

    Args:
        span: The one that may be the ancestor.
        line: Its line.
        other_span: The one that may descend from it.
        other_line: The line of that.

    Returns:
        None where what is known does not decide it.
    """
    if span == other_span:
        return False
    above_other = _spans_above(other_line)
    if span in above_other:
        return True
    if other_line[1]:
        return False
    # Two lines that meet further up have parted there: going down from the meeting, the
    # other's line is known and does not lead through this span.
    above = _spans_above(line)
    return None if other_span not in above and above.isdisjoint(above_other) else False


def _text(span: int | str) -> str:
    return span if isinstance(span, str) else ids.span_id_text(span)


def _spans_above(line: Line) -> set[str]:
    return {_text(span) for span in line[2:-1]}
