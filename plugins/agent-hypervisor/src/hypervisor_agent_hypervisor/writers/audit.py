"""Audit and verification: deltas, commitments, collections, histories, drift, identities."""

from hypervisor_agent_hypervisor.values import word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType


def captured(writer: Writer, call: Call) -> None:
    """``DeltaEngine.capture``."""
    delta = call.result
    writer.point(
        EventType.AUDIT_DELTA_CAPTURED,
        delta.session_id,
        delta.agent_did,
        delta_id=delta.delta_id,
        turn_id=delta.turn_id,
        delta_hash=delta.delta_hash,
        parent_hash=delta.parent_hash,
        change_count=len(delta.changes),
    )


def chain_verified(writer: Writer, call: Call) -> None:
    """``DeltaEngine.verify_chain``: whether a session's history is whole."""
    whole, problem = call.result
    count = call.target.turn_count
    writer.point(
        EventType.HISTORY_VERIFIED,
        call.target.session_id,
        None,
        status="verified" if whole else "suspicious",
        transactions_checked=count,
        transactions_found=count,
        inconsistencies=[] if problem is None else [problem],
    )


def committed(writer: Writer, call: Call) -> None:
    """``CommitmentEngine.commit``."""
    record = call.result
    session = writer.sessions.get(record.session_id)
    if session is not None:
        session.audit["hash_chain_root"] = record.hash_chain_root
    writer.point(
        EventType.AUDIT_COMMITTED,
        record.session_id,
        None,
        hash_chain_root=record.hash_chain_root,
        delta_count=record.delta_count,
        participant_dids=list(record.participant_dids),
        committed_to=record.committed_to,
    )


def collected(writer: Writer, call: Call) -> None:
    """``EphemeralGC.collect``."""
    result = call.result
    session = writer.sessions.get(result.session_id)
    if session is not None:
        session.audit["retained_deltas"] = result.retained_deltas
    writer.point(
        EventType.AUDIT_GC_COLLECTED,
        result.session_id,
        None,
        retained_deltas=result.retained_deltas,
        purged_vfs_files=result.purged_vfs_files,
        purged_caches=result.purged_caches,
        storage_saved_bytes=result.storage_saved_bytes,
    )


def history_verified(writer: Writer, call: Call) -> None:
    """``TransactionHistoryVerifier.verify``."""
    result = call.result
    writer.point(
        EventType.HISTORY_VERIFIED,
        None,
        result.agent_did,
        status=word(result.status),
        transactions_checked=result.transactions_checked,
        transactions_found=result.transactions_found,
        inconsistencies=list(result.inconsistencies),
        cached=result.cached,
    )


def drift_checked(writer: Writer, call: Call) -> None:
    """``VerificationAdapter.check_behavioral_drift``."""
    result = call.result
    writer.point(
        EventType.BEHAVIOR_DRIFT,
        result.session_id,
        result.agent_did,
        drift_score=result.drift_score,
        severity=word(result.severity),
        passed=result.passed,
        action_id=result.action_id,
    )


def manifest_analyzed(writer: Writer, call: Call) -> None:
    """``IATPAdapter.analyze_manifest`` and ``analyze_manifest_dict``."""
    analysis = call.result
    writer.point(
        EventType.IDENTITY_VERIFIED,
        None,
        analysis.agent_did,
        method="iatp",
        trust_level=word(analysis.trust_level),
        iatp_trust_score=analysis.iatp_trust_score,
        sigma_hint=analysis.sigma_hint,
        scopes=list(analysis.scopes),
    )
