"""Security: agents that are killed, and those that ask too often."""

from hypervisor_agent_hypervisor.values import word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType


def killed(writer: Writer, call: Call) -> None:
    """``KillSwitch.kill``: the handoffs of its steps, then the kill, both in the agent's place."""
    one = call.result
    session = writer.sessions.get(one.session_id)
    below = None if session is None else session.agents.get(one.agent_did)
    for handoff in one.handoffs:
        writer.point(
            EventType.SAGA_HANDOFF,
            one.session_id,
            one.agent_did,
            below=below,
            saga_id=handoff.saga_id,
            step_id=handoff.step_id,
            from_agent=handoff.from_agent,
            to_agent=handoff.to_agent,
            status=word(handoff.status),
        )
    writer.point(
        EventType.AGENT_KILLED,
        one.session_id,
        one.agent_did,
        below=below,
        kill_id=one.kill_id,
        reason=word(one.reason),
        terminated=one.terminated,
        handoff_success_count=one.handoff_success_count,
        compensation_triggered=one.compensation_triggered,
        details=one.details,
    )


def rate_limited(writer: Writer, call: Call) -> None:
    """``AgentRateLimiter.check`` that raised."""
    if not call.raised("RateLimitExceeded"):
        return
    given, limiter = call.given, call.target
    # Not get_stats(), which changes what it tells of.
    key = (given["agent_did"], given["session_id"])
    stats, bucket = limiter._stats.get(key), limiter._buckets.get(key)
    writer.point(
        EventType.RATE_LIMITED,
        given["session_id"],
        given["agent_did"],
        ring=word(given["ring"]),
        capacity=getattr(bucket, "capacity", None),
        tokens_available=getattr(bucket, "tokens", None),
        total_requests=getattr(stats, "total_requests", None),
        rejected_requests=getattr(stats, "rejected_requests", None),
    )
