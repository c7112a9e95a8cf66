"""What agent-governance-toolkit tells the sinks of its events: decisions, breaches, identities."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypervisor_agent_hypervisor.values import aware, fitting, word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import CausalTraceId, EventType, HypervisorEvent

_DECISION = EventType.of("governance.decision")
_KINDS: Mapping[str, EventType] = {
    "policy_check": _DECISION,
    "policy_violation": _DECISION,
    "tool_call_blocked": _DECISION,
    "resource_access": _DECISION,
    "identity_rejected": _DECISION,
    "identity_verified": EventType.IDENTITY_VERIFIED,
    "prompt_injection_detected": EventType.RING_BREACH_DETECTED,
    "anomaly_detected": EventType.RING_BREACH_DETECTED,
    "mcp_tool_poisoning": EventType.RING_BREACH_DETECTED,
    "content_violation": EventType.RING_BREACH_DETECTED,
    "checkpoint_created": EventType.SAGA_CHECKPOINT_SAVED,
}
"""What a ``GovernanceEventKind`` is recorded as; any other as ``agent_os.KIND``."""

_REFUSALS = frozenset({"policy_violation", "tool_call_blocked", "identity_rejected"})
_ALLOWING = frozenset({"allow", "allowed", "permit", "permitted", "approve", "approved", "grant"})
_SEVERITIES = {
    "debug": "low",
    "info": "low",
    "warning": "medium",
    "warn": "medium",
    "error": "high",
    "fatal": "critical",
}


def told(writer: Writer, call: Call) -> None:
    """``GovernanceEventProcessor.on_event``: what sinks are given later, seen as it happens."""
    event = call.given["event"]
    if writer.told.is_known(event.event_id):
        return
    name = word(event.kind)
    kind = _KINDS.get(name) or EventType.of(f"agent_os.{name}")
    payload = fitting(kind.value, _PAYLOADS.get(kind.value, _other)(name, event))
    agent_did, session_id = event.agent_did or event.agent_id or None, event.session_id
    trace = _trace_of(event)
    if trace is None:
        writer.point(kind, session_id, agent_did, **payload)
        return
    writer.recorder.emit(
        HypervisorEvent(
            event_id=event.event_id,
            event_type=kind,
            timestamp=_time_of(event),
            session_id=session_id,
            agent_did=agent_did,
            causal_trace_id=trace.full_id,
            payload=payload,
        )
    )


def _trace_of(event: Any) -> CausalTraceId | None:
    """Give the causal id that the event brings; None: it brings none, or none that is one."""
    if not event.trace_id or not event.span_id:
        return None
    ids = [one for one in (event.trace_id, event.span_id, event.parent_span_id) if one]
    try:
        return CausalTraceId.from_string("/".join(one.replace("/", "") for one in ids))
    except (AttributeError, TypeError, ValueError):
        return None


def _time_of(event: Any) -> datetime | None:
    """Give when it happened; None, which is now, where it does not say so."""
    try:
        return aware(datetime.fromisoformat(event.occurred_at))
    except (TypeError, ValueError):
        return None


def _decision(name: str, event: Any) -> dict[str, Any]:
    allowed = name not in _REFUSALS and str(word(event.decision)).lower() in _ALLOWING
    return {
        "allowed": allowed,
        "tool_name": event.action,
        "evaluation_ms": event.latency_ms,
        "reason": event.reason,
        "attributes": _more(event),
    }


def _breach(name: str, event: Any) -> dict[str, Any]:
    severity = str(word(event.severity)).lower()
    return {
        "attempted_tool": event.action,
        "severity": _SEVERITIES.get(severity, severity),
        "reason": event.reason,
        "denied": str(word(event.decision)).lower() in ("deny", "denied", "block", "blocked"),
        "attributes": {"kind": name, **_more(event)},
    }


def _identity(_: str, event: Any) -> dict[str, Any]:
    return {"method": event.action, "attributes": _more(event)}


def _checkpoint(_: str, event: Any) -> dict[str, Any]:
    return {"checkpoint_id": event.resource, "attributes": {"action": event.action, **_more(event)}}


def _other(_: str, event: Any) -> dict[str, Any]:
    said = {"action": event.action, "decision": event.decision, "reason": event.reason}
    return {**said, "attributes": _more(event)}


def _more(event: Any) -> dict[str, Any]:
    """Give what has no key of its own, as far as it is plain."""
    said = {**event.attributes, "resource": event.resource, "policy_name": event.policy_name}
    return {
        key: value for key, value in said.items() if isinstance(value, str | bool | int | float)
    }


_PAYLOADS = {
    _DECISION.value: _decision,
    EventType.RING_BREACH_DETECTED.value: _breach,
    EventType.IDENTITY_VERIFIED.value: _identity,
    EventType.SAGA_CHECKPOINT_SAVED.value: _checkpoint,
}
