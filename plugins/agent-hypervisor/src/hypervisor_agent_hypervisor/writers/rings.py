"""Rings: elevations and their ends, breaches, and what the enforcer decides."""

from typing import Any

from hypervisor_agent_hypervisor.values import moment, seconds_between, word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType
from hypervisor_observability.recorder import HERE


def elevated(writer: Writer, call: Call) -> None:
    """``RingElevationManager.request_elevation``."""
    one = call.result
    writer.point(
        EventType.RING_ELEVATED,
        one.session_id,
        one.agent_did,
        **_rings(one.original_ring, one.elevated_ring),
        elevation_id=one.elevation_id,
        reason=one.reason,
        granted_at=moment(one.granted_at),
        expires_at=moment(one.expires_at),
        ttl_seconds=seconds_between(one.granted_at, one.expires_at),
        attestation_present=bool(one.attestation),
    )


def elevation_denied(writer: Writer, call: Call) -> None:
    """``RingElevationManager.request_elevation`` that raised: a decision."""
    if not call.raised("RingElevationError"):
        return
    given = call.given
    reason = getattr(call.error, "denial_reason", None) or str(call.error)
    writer.decision(
        given["session_id"],
        given["agent_did"],
        allowed=False,
        tool_name="ring.elevation",
        seconds=call.seconds,
        reason=reason,
        attributes=_rings(given["current_ring"], given["target_ring"]),
    )


def elevation_before(_: Writer, call: Call) -> Any:
    """Find what ``RingElevationManager.revoke_elevation`` is about, if it is active."""
    active = call.target.active_elevations
    wanted = call.given.get("elevation_id")
    return next((one for one in active if one.elevation_id == wanted), None)


def elevation_revoked(writer: Writer, call: Call) -> None:
    """``RingElevationManager.revoke_elevation``."""
    if call.before is not None:
        _elevation_ended(writer, call.before, EventType.RING_DEMOTED, "revoked")


def elevations_expired(writer: Writer, call: Call) -> None:
    """``RingElevationManager.tick``: those that have lasted as long as they may."""
    for one in call.result:
        _elevation_ended(writer, one, EventType.RING_ELEVATION_EXPIRED, "expired")


def _elevation_ended(writer: Writer, one: Any, kind: EventType, reason: str) -> None:
    until = one.expires_at
    if kind is EventType.RING_DEMOTED and one.granted_at is not None:
        until = type(one.granted_at).now(one.granted_at.tzinfo)
    writer.point(
        kind,
        one.session_id,
        one.agent_did,
        **_rings(one.elevated_ring, one.original_ring),
        elevation_id=one.elevation_id,
        reason=reason,
        elevated_seconds=seconds_between(one.granted_at, until),
    )


def _rings(before: Any, after: Any) -> dict[str, Any]:
    return {"from_ring": word(before), "to_ring": word(after)}


def child_registered(writer: Writer, call: Call) -> None:
    """``RingElevationManager.register_child``: the child has a ring outside of its parent's."""
    given = call.given
    writer.point(
        EventType.RING_ASSIGNED,
        None,
        given["child_did"],
        ring=word(call.result),
        reason=f"child of {given['parent_did']}",
    )


def call_recorded(writer: Writer, call: Call) -> None:
    """``RingBreachDetector.record_call``, if it found a breach."""
    breach, given = call.result, call.given
    if breach is None:
        return
    writer.point(
        EventType.RING_BREACH_DETECTED,
        breach.session_id,
        breach.agent_did,
        severity=word(breach.severity),
        ring=word(given["agent_ring"]),
        agent_ring=word(given["agent_ring"]),
        called_ring=word(given["called_ring"]),
        required_ring=word(given["called_ring"]),
        anomaly_score=breach.anomaly_score,
        call_count_window=breach.call_count_window,
        expected_rate=breach.expected_rate,
        actual_rate=breach.actual_rate,
        breaker_tripped=call.target.is_breaker_tripped(breach.agent_did, breach.session_id),
        reason=breach.details,
    )


def action_checked(writer: Writer, call: Call) -> None:
    """``RingEnforcer.check``. It is not told the agent: that is the one that the code runs as."""
    _checked(writer, call, call.given["action"].action_id)


def resource_checked(writer: Writer, call: Call) -> None:
    """``RingEnforcer.check_resource``; likewise."""
    _checked(writer, call, word(call.given["resource_type"]))


def command_checked(writer: Writer, call: Call) -> None:
    """``RingEnforcer.check_command``; likewise."""
    _checked(writer, call, call.result.command or "command")


def _checked(writer: Writer, call: Call, what: object) -> None:
    result = call.result
    writer.decision(
        None,
        None,
        below=HERE,
        allowed=bool(result.allowed),
        tool_name=what,
        seconds=call.seconds,
        reason=result.reason,
    )
