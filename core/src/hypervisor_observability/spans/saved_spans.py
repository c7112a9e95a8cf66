"""Finished spans as plain JSON, for those that are held back when a position is saved."""

from collections.abc import Sequence
from typing import Any

from .record import FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus


def span_state(span: FinishedSpan) -> list[Any]:
    """Give *span* as plain JSON."""
    return [
        span.name,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.start_ns,
        span.end_ns,
        span.kind.value,
        span.status.value,
        span.status_message,
        dict(span.attributes),
        [[one.name, one.time_ns, dict(one.attributes)] for one in span.events],
        [[link.trace_id, link.span_id, dict(link.attributes)] for link in span.links],
        span.agent_did,
        span.session_id,
        span.scope,
        span.closed_by,
        span.pending,
    ]


def span_from_state(state: Sequence[Any]) -> FinishedSpan:
    """Give the span whose ``span_state`` was *state*.

    Raises:
        ValueError: It is damaged; likewise TypeError.
    """
    (
        name, trace_id, span_id, parent, start_ns, end_ns, kind, status, message, attributes,
        events, links, agent_did, session_id, scope, closed_by, pending,
    ) = state  # fmt: skip
    return FinishedSpan(
        name=name,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        start_ns=start_ns,
        end_ns=end_ns,
        kind=SpanKind(kind),
        status=SpanStatus(status),
        status_message=message,
        attributes=attributes,
        events=tuple(SpanEvent(*one) for one in events),
        links=tuple(SpanLink(*link) for link in links),
        agent_did=agent_did,
        session_id=session_id,
        scope=scope,
        closed_by=closed_by,
        pending=pending,
    )
