"""Liability: vouches, slashes, faults, quarantines."""

from collections.abc import Mapping, Sequence

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .topic import Topic


class Liability(Topic):
    """Records who answers for whom, and what it costs them."""

    def vouch_created(
        self,
        vouch_id: str,
        *,
        voucher_did: str,
        vouchee_did: str,
        bonded_amount: float | None = None,
        bonded_sigma_pct: float | None = None,
        expiry: str | None = None,
    ) -> HypervisorEvent | None:
        """Record that an agent vouches for another.

        Args:
            vouch_id: Unique.
            voucher_did: Who vouches.
            vouchee_did: For whom.
            bonded_amount: What is at stake.
            bonded_sigma_pct: The share of the voucher's standing that is at stake, in percent.
            expiry: Until when, in ISO 8601.
        """
        return self._record(EventType.VOUCH_CREATED, locals())

    def vouch_released(
        self, vouch_id: str, *, voucher_did: str | None = None, vouchee_did: str | None = None
    ) -> HypervisorEvent | None:
        """Record that a vouch has ended.

        Args:
            vouch_id: Which.
            voucher_did: Who vouched.
            vouchee_did: For whom.
        """
        return self._record(EventType.VOUCH_RELEASED, locals())

    def slashed(
        self,
        stake_slashed: float,
        *,
        severity: str,
        reason: str | None = None,
        slash_id: str | None = None,
        vouchee_sigma_before: float | None = None,
        vouchee_sigma_after: float | None = None,
        cascade_depth: int | None = None,
        voucher_clips: Sequence[Mapping[str, object]] | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent lost of its stake.

        Args:
            stake_slashed: How much.
            severity: ``low``, ``medium``, ``high`` or ``critical``.
            reason: Why.
            slash_id: Unique.
            vouchee_sigma_before: Its standing before.
            vouchee_sigma_after: Its standing after.
            cascade_depth: How many vouches lie between it and who was at fault.
            voucher_clips: What its vouchers lost, one mapping each.
        """
        return self._record(EventType.SLASH_EXECUTED, locals())

    def fault_attributed(
        self,
        root_cause_agent: str,
        *,
        attribution_id: str | None = None,
        saga_id: str | None = None,
        causal_chain_length: int | None = None,
        attributions: Sequence[Mapping[str, object]] | None = None,
    ) -> HypervisorEvent | None:
        """Record whose fault a failure is.

        Args:
            root_cause_agent: Identifier of the agent that caused it.
            attribution_id: Unique.
            saga_id: The saga that failed.
            causal_chain_length: How many agents lie between cause and failure.
            attributions: ``agent_did``, ``liability_score`` and ``is_direct_cause`` of each.
        """
        return self._record(EventType.FAULT_ATTRIBUTED, locals())

    def quarantine_entered(
        self,
        quarantine_id: str,
        *,
        reason: str,
        details: str | None = None,
        expires_at: str | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent was put aside.

        Args:
            quarantine_id: Unique.
            reason: ``behavioral_drift``, ``liability_violation``, ``ring_breach``,
                ``rate_limit_exceeded``, ``manual`` or ``cascade_slash``.
            details: More about it.
            expires_at: Until when, in ISO 8601.
        """
        return self._record(EventType.QUARANTINE_ENTERED, locals())

    def quarantine_released(
        self,
        quarantine_id: str,
        *,
        reason: str | None = None,
        duration_seconds: float | None = None,
    ) -> HypervisorEvent | None:
        """Record that the agent may work again.

        Args:
            quarantine_id: Which.
            reason: Why it was put aside.
            duration_seconds: For how long.
        """
        return self._record(EventType.QUARANTINE_RELEASED, locals())
