"""Rings, bonds, penalties, quarantines, kills, limits, audits and identities."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypervisor.audit.commitment import CommitmentEngine
from hypervisor.audit.delta import DeltaEngine, VFSChange
from hypervisor.audit.gc import EphemeralGC
from hypervisor.integrations.iatp_adapter import IATPAdapter
from hypervisor.integrations.nexus_adapter import NexusAdapter
from hypervisor.integrations.verification_adapter import VerificationAdapter
from hypervisor.liability.attribution import CausalAttributor
from hypervisor.liability.ledger import LedgerEntryType, LiabilityLedger
from hypervisor.liability.quarantine import (
    QuarantineManager,
    QuarantineReason,
    QuarantineRecord,
)
from hypervisor.liability.slashing import SlashingEngine
from hypervisor.liability.vouching import VouchingEngine
from hypervisor.models import ActionDescriptor, ExecutionRing, ReversibilityLevel
from hypervisor.rings.breach_detector import RingBreachDetector
from hypervisor.rings.elevation import RingElevationError, RingElevationManager
from hypervisor.rings.enforcer import ResourceType, RingEnforcer
from hypervisor.security.kill_switch import KillReason, KillSwitch
from hypervisor.security.rate_limiter import AgentRateLimiter, RateLimitExceeded
from hypervisor.verification.history import TransactionHistoryVerifier

from hypervisor_observability import Recorder
from tests.sources.agent_hypervisor.test_sessions import A, B, session_of
from tests.sources.governed import all_of, governed, only, trees, types_of

STANDARD, SANDBOX = ExecutionRing.RING_2_STANDARD, ExecutionRing.RING_3_SANDBOX


def test_elevation_is_granted_revoked_and_expires() -> None:
    with governed() as bus:
        manager = RingElevationManager()
        first = manager.request_elevation(
            A, "s-1", SANDBOX, STANDARD, 60, reason="deploy", trust_score=0.9
        )
        manager.revoke_elevation(first.elevation_id)
        manager.revoke_elevation(first.elevation_id)  # it is revoked already
        second = manager.request_elevation(A, "s-1", SANDBOX, STANDARD, trust_score=0.9)
        assert manager.tick() == []
        second.expires_at = datetime.now(UTC) - timedelta(seconds=1)
        second.granted_at = second.expires_at - timedelta(seconds=300)
        assert manager.tick() == [second]
        assert manager.register_child(A, B, STANDARD) is SANDBOX

    granted = all_of(bus, "ring.elevated")
    assert granted[0].payload["ttl_seconds"] == 60
    assert (granted[0].payload["from_ring"], granted[0].payload["to_ring"]) == (3, 2)
    assert (granted[0].session_id, granted[0].agent_did) == ("s-1", A)
    demoted = only(bus, "ring.demoted").payload
    assert (demoted["elevation_id"], demoted["to_ring"]) == (first.elevation_id, 3)
    assert 0 <= demoted["elevated_seconds"] < 60
    expired = only(bus, "ring.elevation_expired").payload
    assert (expired["elevation_id"], expired["elevated_seconds"]) == (second.elevation_id, 300)
    child = only(bus, "ring.assigned")
    assert (child.agent_did, child.payload["ring"]) == (B, 3)


def test_elevation_that_is_denied_is_a_decision() -> None:
    with governed() as bus:
        manager = RingElevationManager()
        with pytest.raises(RingElevationError):
            manager.request_elevation(A, "s-1", SANDBOX, STANDARD, trust_score=0.1)
        with pytest.raises(RingElevationError, match="not found"):
            manager.revoke_elevation("nothing")

    denied = only(bus, "governance.decision").payload
    assert (denied["allowed"], denied["reason"]) == (False, "insufficient_trust")
    assert denied["attributes"] == {"from_ring": 3, "to_ring": 2}


def test_enforcer_decides_about_the_agent_that_asks() -> None:
    action = ActionDescriptor("db.drop", "drop", "/drop", reversibility=ReversibilityLevel.NONE)
    with governed() as bus:
        enforcer = RingEnforcer()
        with Recorder(bus).agent(A, session_id="s-1"):
            assert not enforcer.check(SANDBOX, action, 0.9).allowed
        assert enforcer.check_resource(STANDARD, ResourceType.NETWORK).allowed

    refused, granted = all_of(bus, "governance.decision")
    assert (refused.agent_did, refused.session_id) == (A, "s-1")
    assert refused.payload["tool_name"] == "db.drop"
    assert "insufficient" in refused.payload["reason"]
    assert (granted.agent_did, granted.payload["tool_name"]) == (None, "network")
    for one in (refused, granted):
        assert 0 < one.payload["evaluation_ms"] < 60_000


def test_breach_is_seen_and_what_is_usual_is_not() -> None:
    with governed() as bus:
        detector = RingBreachDetector(baseline_rate=0.01)
        detector.record_call(A, "s-1", STANDARD, STANDARD)
        assert all_of(bus, "ring.breach_detected") == []
        found = detector.record_call(A, "s-1", SANDBOX, ExecutionRing.RING_0_ROOT)

    breach = only(bus, "ring.breach_detected").payload
    assert (breach["severity"], breach["breaker_tripped"]) == ("critical", True)
    assert (breach["ring"], breach["required_ring"]) == (3, 0)
    assert breach["anomaly_score"] == found.anomaly_score


def test_bonds_are_made_and_released() -> None:
    with governed() as bus:
        engine = VouchingEngine()
        first = engine.vouch(A, B, "s-1", 0.9)
        engine.vouch(A, "did:mesh:c", "s-1", 0.9)
        engine.vouch(A, B, "s-2", 0.9)
        engine.release_bond(first.vouch_id)
        engine.release_bond(first.vouch_id)
        assert engine.release_session_bonds("s-1") == 1

    assert [one.payload["vouchee_did"] for one in all_of(bus, "liability.vouch_created")] == [
        B, "did:mesh:c", B,
    ]  # fmt: skip
    released = all_of(bus, "liability.vouch_released")
    assert [one.payload["vouchee_did"] for one in released] == [B, "did:mesh:c"]
    assert {one.session_id for one in released} == {"s-1"}


def test_penalty_fault_and_quarantine_are_seen_once_each() -> None:
    with governed() as bus:
        SlashingEngine(VouchingEngine()).slash(A, "s-1", 0.8, 0.9, "drift", {})
        NexusAdapter().report_slash(A, "drift", "high")
        CausalAttributor().attribute("saga-1", "s-1", {A: [], B: []}, "step-1", A)
        QuarantineManager().quarantine(A, "s-1", QuarantineReason.MANUAL, "look", 300)
        ledger = LiabilityLedger()
        ledger.record(A, LedgerEntryType.SLASH_RECEIVED, "s-1", 0.9, "drift")
        ledger.record(A, LedgerEntryType.QUARANTINE_ENTERED, "s-1")
        ledger.record(A, LedgerEntryType.CLEAN_SESSION, "s-1")

    assert [one for one in types_of(bus) if one.startswith("liability.")] == [
        "liability.slash_executed",
        "liability.fault_attributed",
        "liability.quarantine_entered",
        # The second entry about one penalty: it is news.
        "liability.slash_executed",
    ]
    blamed = only(bus, "liability.fault_attributed").payload
    assert blamed["root_cause_agent"] == A
    assert [one["liability_score"] for one in blamed["attributions"]] == [1.0, 0.0]
    held = only(bus, "liability.quarantine_entered").payload
    assert (held["reason"], held["duration_seconds"]) == ("manual", 300)


def test_quarantine_that_ends_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preview releases nobody; what does, under these methods, is seen."""
    begun = datetime.now(UTC) - timedelta(seconds=60)

    def record(did: str) -> QuarantineRecord:
        ended = begun + timedelta(seconds=60)
        return QuarantineRecord("quar-1", did, "s-1", entered_at=begun, released_at=ended)

    def release(self: object, agent_did: str, session_id: str) -> QuarantineRecord:
        return record(agent_did)

    def tick(self: object) -> list[QuarantineRecord]:
        return [record(B)]

    monkeypatch.setattr(QuarantineManager, "release", release)
    monkeypatch.setattr(QuarantineManager, "tick", tick)
    with governed() as bus:
        QuarantineManager().release(A, "s-1")
        QuarantineManager().tick()

    released, expired = all_of(bus, "liability.quarantine_released")
    assert (released.agent_did, released.payload["reason"]) == (A, "manual")
    assert (expired.agent_did, expired.payload["reason"]) == (B, "expired")
    assert released.payload["duration_seconds"] == 60


def test_what_nobody_released_is_no_event() -> None:
    with governed() as bus:
        assert QuarantineManager().release(A, "s-1") is None
        assert QuarantineManager().tick() == []

    assert types_of(bus) == []


def test_ledger_alone_tells_of_what_nothing_else_does() -> None:
    with governed() as bus:
        ledger = LiabilityLedger()
        for kind in LedgerEntryType:
            ledger.record(A, kind, "s-1", details="by hand", related_agent=B)
        NexusAdapter().report_slash(B, "drift", "high")

    assert [one.removeprefix("liability.") for one in types_of(bus)] == [
        "vouch_created",
        "vouch_released",
        "slash_executed",
        "quarantine_entered",
        "quarantine_released",
        "fault_attributed",
        "slash_executed",
    ]


def test_kill_ends_the_agent_in_its_own_place_with_its_handoffs() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        switch = KillSwitch()
        switch.register_agent(A, lambda: None)
        switch.register_substitute(sso.session_id, B)
        steps = [{"step_id": "step-1", "saga_id": "saga-1"}, {}]
        with Recorder(bus).agent("did:mesh:warden"):
            switch.kill(A, sso.session_id, KillReason.RING_BREACH, steps, "it went too far")

    killed = only(bus, "security.agent_killed")
    assert killed.payload["terminated"] is True
    assert (killed.payload["reason"], killed.payload["handoff_success_count"]) == ("ring_breach", 2)
    first, second = all_of(bus, "security.saga_handoff")
    assert first.payload == {
        "saga_id": "saga-1", "step_id": "step-1", "from_agent": A, "to_agent": B,
        "status": "handed_off",
    }  # fmt: skip
    assert second.payload == {"from_agent": A, "to_agent": B, "status": "handed_off"}
    joined = next(one for one in all_of(bus, "session.joined") if one.agent_did == A)
    assert killed.causal_trace_id == first.causal_trace_id == joined.causal_trace_id
    assert any("KILLED" in line or "killed" in line for line in trees(bus))


def test_only_who_asks_too_often_is_limited() -> None:
    with governed() as bus:
        limiter = AgentRateLimiter({STANDARD: (0.001, 2.0)})
        before = limiter.check(A, "s-1", STANDARD) and limiter.check(A, "s-1", STANDARD)
        with pytest.raises(RateLimitExceeded):
            limiter.check(A, "s-1", STANDARD)
        assert not limiter.try_check(A, "s-1", STANDARD)

    assert before
    first, second = all_of(bus, "security.rate_limited")
    assert (first.payload["total_requests"], first.payload["rejected_requests"]) == (3, 1)
    assert second.payload["rejected_requests"] == 2
    assert (first.payload["capacity"], first.payload["ring"]) == (2.0, 2)
    assert first.payload["tokens_available"] < 1


def test_audit_is_seen() -> None:
    with governed() as bus:
        engine = DeltaEngine("s-1")
        first = engine.capture(A, [VFSChange("/x", "create")])
        engine.capture(A, [])
        assert engine.verify_chain() == (True, None)
        engine.deltas[0].delta_hash = "forged"
        assert engine.verify_chain()[0] is False
        root = engine.compute_hash_chain_root()
        CommitmentEngine().commit("s-1", root, [A, B], 2)
        EphemeralGC().collect("s-1", delta_count=2, estimated_vfs_bytes=100)

    captured = all_of(bus, "audit.delta_captured")
    assert [one.payload["change_count"] for one in captured] == [1, 0]
    assert captured[1].payload["parent_hash"] != first.delta_hash  # which was forged since
    verified = [one.payload for one in all_of(bus, "verification.history_verified")]
    assert [one["status"] for one in verified] == ["verified", "suspicious"]
    assert verified[1]["inconsistencies"] == ["Entry 0 hash mismatch"]
    committed = only(bus, "audit.committed").payload
    assert (committed["hash_chain_root"], committed["participant_dids"]) == (root, [A, B])
    assert only(bus, "audit.gc_collected").payload["retained_deltas"] == 2


def test_agents_are_verified() -> None:
    manifest: dict[str, Any] = {
        "agent_id": A,
        "trust_level": "trusted",
        "trust_score": 7,
        "scopes": ["mail"],
    }
    with governed() as bus:
        IATPAdapter().analyze_manifest_dict(manifest)
        verifier = TransactionHistoryVerifier()
        verifier.verify(A)
        verifier.verify(A)
        VerificationAdapter().check_behavioral_drift(A, "s-1", [1.0], [0.9], action_id="act-1")

    known = only(bus, "security.identity_verified")
    assert known.agent_did == A
    assert known.payload["trust_level"] == "trusted"
    assert (known.payload["iatp_trust_score"], known.payload["scopes"]) == (7, ["mail"])
    cached = [one.payload["cached"] for one in all_of(bus, "verification.history_verified")]
    assert cached == [False, True]
    drift = only(bus, "verification.behavior_drift").payload
    assert (drift["passed"], drift["action_id"]) == (True, "act-1")


def test_decisions_take_as_long_as_they_take() -> None:
    class Slow(RingEnforcer):
        def get_constraints(self, ring: ExecutionRing) -> Any:
            time.sleep(0.02)
            return super().get_constraints(ring)

    with governed() as bus:
        Slow().check_resource(STANDARD, ResourceType.NETWORK)

    assert only(bus, "governance.decision").payload["evaluation_ms"] >= 20
