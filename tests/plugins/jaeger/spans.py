"""Spans for Jaeger."""

from hypervisor_observability import FinishedSpan

BEGIN_NS = 1_700_000_000_000_000_000


def make_span(number: int = 1, *, parent: int | None = None, **changes: object) -> FinishedSpan:
    """Make a span whose id is *number*: ``make_span(2, parent=1, name="saga")``."""
    values: dict[str, object] = {
        "name": "saga.step.validate",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": f"{number:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "start_ns": BEGIN_NS + number * 1_000_000,
        "end_ns": BEGIN_NS + number * 1_000_000 + 2_500_999,
        "agent_did": "did:mesh:orchestrator",
        "session_id": "s1",
    }
    return FinishedSpan(**{**values, **changes})  # type: ignore[arg-type] # any may change
