"""Liability: bonds between agents, penalties, faults, quarantines, and the ledger of all that."""

from typing import Any

from hypervisor_agent_hypervisor.values import moment, seconds_between, word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType


def vouched(writer: Writer, call: Call) -> None:
    """``VouchingEngine.vouch``."""
    _bond(writer, call.result, EventType.VOUCH_CREATED)


def bond_before(_: Writer, call: Call) -> list[Any]:
    """Find the bond that ``VouchingEngine.release_bond`` releases, if it still holds."""
    one = call.target._vouches.get(call.given.get("vouch_id"))
    return [one] if one is not None and one.is_active else []


def session_bonds_before(_: Writer, call: Call) -> list[Any]:
    """Find the bonds that ``VouchingEngine.release_session_bonds`` releases."""
    session_id = call.given.get("session_id")
    bonds = list(call.target._vouches.values())
    return [one for one in bonds if one.is_active and one.session_id == session_id]


def bond_released(writer: Writer, call: Call) -> None:
    """``VouchingEngine.release_bond``."""
    for one in call.before or ():
        _bond(writer, one, EventType.VOUCH_RELEASED)


def session_bonds_released(writer: Writer, call: Call) -> None:
    """``VouchingEngine.release_session_bonds``."""
    for one in call.before or ():
        _bond(writer, one, EventType.VOUCH_RELEASED, reason="the session has ended")


def _bond(writer: Writer, one: Any, kind: EventType, **payload: Any) -> None:
    writer.point(
        kind,
        one.session_id,
        one.voucher_did,
        vouch_id=one.vouch_id,
        voucher_did=one.voucher_did,
        vouchee_did=one.vouchee_did,
        bonded_sigma_pct=one.bonded_sigma_pct,
        bonded_amount=one.bonded_amount,
        expiry=moment(one.expiry),
        **payload,
    )


def slashed(writer: Writer, call: Call) -> None:
    """``SlashingEngine.slash``."""
    one = call.result
    before, after = one.vouchee_sigma_before, one.vouchee_sigma_after
    writer.point(
        EventType.SLASH_EXECUTED,
        one.session_id,
        one.vouchee_did,
        slash_id=one.slash_id,
        stake_slashed=max(0.0, before - after),
        vouchee_sigma_before=before,
        vouchee_sigma_after=after,
        cascade_depth=one.cascade_depth,
        reason=one.reason,
        voucher_clips=[
            {
                "voucher_did": clip.voucher_did,
                "sigma_before": clip.sigma_before,
                "sigma_after": clip.sigma_after,
            }
            for clip in one.voucher_clips
        ],
    )


def slash_reported(writer: Writer, call: Call) -> None:
    """``NexusAdapter.report_slash``, unless the penalty was recorded as it was imposed."""
    given = call.given
    _unless_told(
        writer,
        EventType.SLASH_EXECUTED,
        None,
        given["agent_did"],
        severity=given["severity"],
        reason=given["reason"],
    )


def attributed(writer: Writer, call: Call) -> None:
    """``CausalAttributor.attribute``."""
    one = call.result
    writer.point(
        EventType.FAULT_ATTRIBUTED,
        one.session_id,
        one.root_cause_agent,
        attribution_id=one.attribution_id,
        saga_id=one.saga_id,
        root_cause_agent=one.root_cause_agent,
        causal_chain_length=one.causal_chain_length,
        attributions=[
            {
                "agent_did": part.agent_did,
                "liability_score": part.liability_score,
                "is_direct_cause": part.is_direct_cause,
            }
            for part in one.attributions
        ],
    )


def quarantined(writer: Writer, call: Call) -> None:
    """``QuarantineManager.quarantine``."""
    one = call.result
    writer.point(
        EventType.QUARANTINE_ENTERED,
        one.session_id,
        one.agent_did,
        quarantine_id=one.quarantine_id,
        reason=word(one.reason),
        details=one.details,
        expires_at=moment(one.expires_at),
        duration_seconds=call.given.get("duration_seconds"),
    )


def quarantine_released(writer: Writer, call: Call) -> None:
    """``QuarantineManager.release``, if there was something to release."""
    if call.result is not None:
        _released(writer, call.result, None)


def quarantines_expired(writer: Writer, call: Call) -> None:
    """``QuarantineManager.tick``."""
    for one in call.result:
        _released(writer, one, "expired")


def _released(writer: Writer, one: Any, reason: str | None) -> None:
    writer.point(
        EventType.QUARANTINE_RELEASED,
        one.session_id,
        one.agent_did,
        quarantine_id=one.quarantine_id,
        reason=reason or word(one.reason),
        details=one.details,
        duration_seconds=seconds_between(one.entered_at, one.released_at),
    )


_LEDGER = {
    "vouch_given": EventType.VOUCH_CREATED,
    "vouch_released": EventType.VOUCH_RELEASED,
    "slash_received": EventType.SLASH_EXECUTED,
    "quarantine_entered": EventType.QUARANTINE_ENTERED,
    "quarantine_released": EventType.QUARANTINE_RELEASED,
    "fault_attributed": EventType.FAULT_ATTRIBUTED,
}
"""What an entry is recorded as. Others tell the same from the other side, or of nothing."""


def ledger_written(writer: Writer, call: Call) -> None:
    """``LiabilityLedger.record``, unless what it is about was recorded as it happened."""
    entry = call.result
    kind = _LEDGER.get(word(entry.entry_type))
    if kind is None:
        return
    said: dict[str, Any] = {"reason": entry.details}
    if kind in (EventType.VOUCH_CREATED, EventType.VOUCH_RELEASED):
        said |= {"voucher_did": entry.agent_did, "vouchee_did": entry.related_agent}
    elif kind is EventType.FAULT_ATTRIBUTED:
        said = {"root_cause_agent": entry.agent_did, "attributes": {"details": entry.details}}
    _unless_told(writer, kind, entry.session_id, entry.agent_did, **said)


def _unless_told(
    writer: Writer, kind: EventType, session_id: str | None, agent_did: str | None, **payload: Any
) -> None:
    if not writer.told.repeats(kind.value, session_id or None, agent_did, payload):
        writer.point(kind, session_id, agent_did, **payload)
