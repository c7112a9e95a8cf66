"""Rate limits, kills, identities."""

from collections.abc import Sequence

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .topic import Topic


class Security(Topic):
    """Records what was done about an agent for the sake of security."""

    def rate_limited(
        self,
        *,
        ring: int | None = None,
        tool_name: str | None = None,
        capacity: float | None = None,
        tokens_available: float | None = None,
        total_requests: int | None = None,
        rejected_requests: int | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent asked too often.

        Args:
            ring: Its ring.
            tool_name: What for.
            capacity: How much it may ask for at once.
            tokens_available: How much of that was left.
            total_requests: How often it asked so far.
            rejected_requests: How often it was refused so far.
        """
        return self._record(EventType.RATE_LIMITED, locals())

    def agent_killed(
        self,
        reason: str,
        *,
        severity: str | None = None,
        kill_id: str | None = None,
        terminated: bool | None = None,
        handoff_success_count: int | None = None,
        compensation_triggered: bool | None = None,
        details: str | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent was stopped by force.

        Args:
            reason: Why.
            severity: ``low``, ``medium``, ``high`` or ``critical``.
            kill_id: Unique.
            terminated: Whether it is gone.
            handoff_success_count: How many of its steps another agent took over.
            compensation_triggered: Whether its sagas are being undone.
            details: More about it.
        """
        return self._record(EventType.AGENT_KILLED, locals())

    def identity_verified(
        self,
        method: str,
        *,
        trust_level: str | None = None,
        iatp_trust_score: float | None = None,
        sigma_hint: float | None = None,
        scopes: Sequence[str] | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent is who it says.

        Args:
            method: How that was found.
            trust_level: How far it is trusted.
            iatp_trust_score: The score that its manifest gives it.
            sigma_hint: The standing that follows.
            scopes: What it may do.
        """
        scopes = None if scopes is None else list(scopes)
        return self._record(EventType.IDENTITY_VERIFIED, locals())
