"""What happens at one moment, as events of the span in which it happens."""

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_HANDOFF, USAGE_RECORDED, EventType
from ..facts import payload_facts, saga_facts
from ..facts.prices import Prices
from .identity import causal_ids
from .model_usage import note_usage
from .open_span import OpenSpan
from .open_spans import OpenSpans
from .record import SpanEvent

EVENT_NAME_PREFIX = "agent.hypervisor."

POINT_EVENTS = frozenset(
    {
        EventType.SESSION_ACTIVATED,
        EventType.RING_ASSIGNED,
        EventType.RING_DEMOTED,
        EventType.RING_BREACH_DETECTED,
        EventType.VOUCH_CREATED,
        EventType.VOUCH_RELEASED,
        EventType.SLASH_EXECUTED,
        EventType.FAULT_ATTRIBUTED,
        EventType.SAGA_CHECKPOINT_SAVED,
        EventType.VFS_WRITE,
        EventType.VFS_DELETE,
        EventType.VFS_SNAPSHOT,
        EventType.VFS_RESTORE,
        EventType.VFS_CONFLICT,
        EventType.RATE_LIMITED,
        EventType.AGENT_KILLED,
        EventType.SAGA_HANDOFF,
        EventType.IDENTITY_VERIFIED,
        EventType.AUDIT_DELTA_CAPTURED,
        EventType.AUDIT_COMMITTED,
        EventType.AUDIT_GC_COLLECTED,
        EventType.BEHAVIOR_DRIFT,
        EventType.HISTORY_VERIFIED,
        AGENT_HANDOFF,
        USAGE_RECORDED,
    }
)
"""The types that become events of spans. All others begin or end spans, or are the user's."""

# Payloads may hold what must not leave the process: of them only what tells events apart.
_KEYS = (
    "severity", "ring", "from_ring", "to_ring", "required_ring", "attempted_tool", "tool_name",
    "checkpoint_id", "from_agent", "to_agent", "status", "drift_score", "passed", "kill_id",
    "slash_id", "vouch_id", "delta_id", "attribution_id", "snapshot_id", "model",
    "input_tokens", "output_tokens",
)  # fmt: skip


def span_event(event: HypervisorEvent) -> SpanEvent:
    """Give *event* as an event of a span."""
    attributes = {
        f"{EVENT_NAME_PREFIX}{key}": value
        for key, value in payload_facts.scalars(event, _KEYS).items()
    }
    attributes["agent.hypervisor.event.id"] = event.event_id
    return SpanEvent(f"{EVENT_NAME_PREFIX}{event.event_type.value}", event.timestamp_ns, attributes)


def span_around(event: HypervisorEvent, spans: OpenSpans) -> OpenSpan | None:
    """Find the open span in which *event* happened; None if there is none.

    That is the step that it names, what began under its causal id or its parent's, the saga
    that it names, the agent, the trace, the session: the first that is open. An agent's span
    in another trace comes after all that is open in the event's own.
    """
    found = None
    saga_id, step_id = saga_facts.named_saga(event), saga_facts.step_id(event)
    causal = causal_ids(event)
    if saga_id is not None and step_id:
        found = spans.newest_of_saga("step", saga_id, step_id)
    if found is None and event.causal_trace_id is not None:
        found = spans.newest_under(event.causal_trace_id)
    if found is None and causal is not None and causal.parent_span_id is not None:
        found = spans.with_id(causal.parent_span_id)
    if found is None and saga_id is not None:
        found = spans.get(("saga", saga_id))
    if found is None:
        agent = None
        if event.agent_did is not None:
            agent = spans.newest_at("agent", event.agent_did, event.session_id)
        trace_id = None if causal is None else causal.trace_id
        if trace_id is not None and (agent is None or agent.identity.trace_id != trace_id):
            found = spans.newest_in_trace(trace_id)
        found = found or agent
    if found is None and event.session_id is not None:
        found = spans.get(("session", event.session_id))
    return found


def attach(event: HypervisorEvent, spans: OpenSpans, prices: Prices | None = None) -> None:
    """Note *event* at the span in which it happened.

    Args:
        event: One of ``POINT_EVENTS``.
        spans: The open ones.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """
    span = span_around(event, spans)
    if span is None:
        return
    span.add_event(span_event(event))
    is_breach = event.event_type == EventType.RING_BREACH_DETECTED
    if is_breach and payload_facts.is_refused_breach(event):
        span.error = "ring breach denied"
    if event.event_type == USAGE_RECORDED and span.key[0] == "model":
        note_usage(span, event, prices)
    if event.event_type == EventType.FAULT_ATTRIBUTED:
        _link_to_blamed(event, span, spans)


def _link_to_blamed(event: HypervisorEvent, span: OpenSpan, spans: OpenSpans) -> None:
    """Refer to the spans of the agents to which a fault is attributed."""
    for did in payload_facts.blamed_agents(event):
        blamed = spans.newest_of_agent(did)
        if blamed is not None and blamed is not span:
            span.add_link(blamed.identity.trace_id, blamed.identity.span_id, "fault")
