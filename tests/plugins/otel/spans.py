"""Spans to send to a backend."""

from hypervisor_observability import FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus
from hypervisor_otel import encode_spans

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT_ID = "00f067aa0ba902b7"
PROTOBUF = "application/x-protobuf"


def make_span(**changes: object) -> FinishedSpan:
    """Make a span that has everything; *changes* are its fields."""
    values: dict[str, object] = {
        "name": "saga.step.validate",
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "parent_span_id": PARENT_ID,
        "start_ns": 1_700_000_000_123_456_789,
        "end_ns": 1_700_000_001_123_456_790,
        "kind": SpanKind.INTERNAL,
        "status": SpanStatus.ERROR,
        "status_message": "connection_timeout",
        "attributes": {
            "agent.saga.id": "deploy-v2",
            "agent.saga.attempt": 2,
            "agent.hypervisor.expired": True,
            "score": 0.25,
        },
        "events": (SpanEvent("checkpoint", 1_700_000_000_500_000_001, {"n": 1}),),
        "links": (SpanLink("ab" * 16, "cd" * 8, {"link.type": "caused_by"}),),
        "agent_did": "did:mesh:orchestrator",
        "session_id": "s1",
        "scope": "step",
        "closed_by": "0123456789abcdef",
    }
    return FinishedSpan(**{**values, **changes})  # type: ignore[arg-type] # any field may be changed


REQUEST_OF_TWO = encode_spans([make_span(), make_span(span_id="11" * 8)], {"service.name": "shop"})
