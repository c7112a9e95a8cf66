"""The keys of payloads: what each holds, and which events have it.

Spans, metrics, trees, reports and logs read payloads through ``payload_facts`` alone, and by the
keys of ``READ`` alone, so that no two of them read one payload in two ways. ``payload_check``
checks what is recorded against ``EVENTS``, where somebody asks for that. Any other key is kept, and
read by nobody.
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

KeyKind = Literal[
    "amount", "attributes", "count", "flag", "list", "name", "number", "ring", "text", "word"
]
"""What a key holds:

``amount`` a number from 0; ``attributes`` a flat dict of the user's own; ``count`` an integer from
0; ``flag`` true or false; ``list`` a list; ``name`` what tells one thing apart from others of its
kind; ``number`` any number; ``ring`` an integer from 0; ``text`` anything, for people; ``word`` one
of a few words.
"""

READ: Mapping[KeyKind, str] = {
    "amount": """
        cost drift_score duration_seconds evaluation_ms first_token_seconds iatp_trust_score
        ttl_seconds
    """,
    "count": "branch_count failure_count input_tokens output_tokens success_count",
    "flag": """
        allowed denied passed policy_satisfied rate_limited remote terminated total
    """,
    "list": "attributions",
    "name": """
        attempt attribution_id call_id caller_trace checkpoint_id compensates_step_id
        conversation_id delta_id elevation_id group_id kill_id path quarantine_id saga_id slash_id
        snapshot_id step_id vouch_id
    """,
    "ring": "from_ring required_ring ring to_ring",
    "text": "error expires_at reason result",
    "word": """
        action attempted_tool currency error_type from_agent model name operation outcome phase
        policy provider severity status step_action to_agent tool_name
    """,
}
"""The keys that readers read, by what they hold."""

KEPT: Mapping[KeyKind, str] = {
    "amount": """
        anomaly_score bonded_amount bonded_sigma_pct capacity elevated_seconds expected_rate
        actual_rate max_duration_seconds stake_slashed threshold timeout_seconds
        tokens_available
    """,
    "attributes": "attributes",
    "count": """
        call_count_window cascade_depth causal_chain_length change_count delta_count
        handoff_success_count max_participants max_retries participant_count purged_caches
        purged_vfs_files rejected_requests retained_deltas step_count storage_saved_bytes
        total_requests transactions_checked transactions_found
    """,
    "flag": """
        attestation_present breaker_tripped cached compensation_triggered enable_audit stream
        undo_api_present will_retry
    """,
    "list": """
        compensation_needed failed_compensations inconsistencies participant_dids scopes
        voucher_clips
    """,
    "name": """
        action_id conflicting_agent_did content_hash delta_hash goal_hash hash_chain_root
        parent_hash previous_hash root_cause_agent run_id turn_id vouchee_did voucher_did
    """,
    "number": """
        eff_score min_eff_score sigma_hint sigma_raw vouchee_sigma_after vouchee_sigma_before
    """,
    "ring": "agent_ring called_ring",
    "text": """
        answer arguments committed_to details execute_api expiry granted_at prompt
        vector_clock
    """,
    "word": "consistency_mode finish_reason kind method trust_level",
}
"""Further keys of our events, which nobody reads so far, by what they hold."""

_ENDED = "status!=ok|error|cancelled|expired error reason error_type duration_seconds attributes"
_CALLED = _ENDED.replace("|error", "|error|blocked")
_FAILED = "error reason error_type"
_SEVERITY = "severity=low|medium|high|critical"
_PART = "saga_id step_id step_action action attributes"
_RING = "ring to_ring from_ring eff_score reason elevation_id attributes"
_QUARANTINE = "quarantine_id reason details expires_at duration_seconds"
_FAN_OUT = "saga_id group_id policy=all|majority|any branch_count attributes"
_SAGA = f"""
    saga_id name outcome=committed|compensated|failed|escalated failed_compensations
    status=cancelled|expired {_FAILED} attributes
"""

EVENTS: Mapping[str, str] = {
    "session.created": """
        consistency_mode max_participants max_duration_seconds min_eff_score enable_audit model ring
        conversation_id attributes
    """,
    "session.joined": "ring sigma_raw eff_score name remote caller_trace attributes",
    "session.activated": "participant_count",
    "session.terminated": f"""
        participant_count duration_seconds hash_chain_root status=cancelled|expired {_FAILED}
        attributes
    """,
    "session.archived": "participant_count duration_seconds hash_chain_root retained_deltas",
    "ring.assigned": _RING,
    "ring.elevated": f"{_RING} granted_at expires_at ttl_seconds attestation_present",
    "ring.demoted": f"{_RING} elevated_seconds",
    "ring.elevation_expired": f"{_RING} elevated_seconds",
    "ring.breach_detected": f"""
        attempted_tool ring {_SEVERITY} required_ring agent_ring called_ring anomaly_score
        call_count_window expected_rate actual_rate breaker_tripped allowed denied reason
    """,
    "liability.vouch_created": """
        vouch_id voucher_did vouchee_did bonded_sigma_pct bonded_amount expiry
    """,
    "liability.vouch_released": """
        vouch_id voucher_did vouchee_did bonded_sigma_pct bonded_amount expiry reason
    """,
    "liability.slash_executed": f"""
        {_SEVERITY} stake_slashed slash_id vouchee_sigma_before vouchee_sigma_after cascade_depth
        reason voucher_clips
    """,
    "liability.fault_attributed": """
        attribution_id saga_id root_cause_agent causal_chain_length attributions
    """,
    "liability.quarantine_entered": f"{_QUARANTINE} terminated {_SEVERITY}",
    "liability.quarantine_released": _QUARANTINE,
    "saga.created": "saga_id name step_count caller_trace attributes",
    "saga.step_started": f"""
        {_PART} execute_api undo_api_present timeout_seconds attempt max_retries
    """,
    "saga.step_committed": f"{_PART} result attempt max_retries",
    "saga.step_failed": f"""
        {_PART} {_FAILED} attempt max_retries will_retry status=cancelled|blocked|expired
    """,
    "saga.compensating": f"""
        {_PART} compensates_step_id phase=started|succeeded|failed {_FAILED}
        status=cancelled|expired
    """,
    "saga.completed": _SAGA,
    "saga.escalated": _SAGA,
    "saga.fanout_started": _FAN_OUT,
    "saga.fanout_resolved": f"""
        {_FAN_OUT} success_count failure_count policy_satisfied compensation_needed {_FAILED}
        status=cancelled|expired
    """,
    "saga.checkpoint_saved": "saga_id step_id checkpoint_id goal_hash",
    "vfs.write": "path operation content_hash previous_hash",
    "vfs.delete": "path operation content_hash previous_hash",
    "vfs.snapshot": "snapshot_id operation path",
    "vfs.restore": "snapshot_id operation path",
    "vfs.conflict": "path operation conflicting_agent_did vector_clock content_hash previous_hash",
    "security.rate_limited": """
        ring capacity tokens_available total_requests rejected_requests tool_name
    """,
    "security.agent_killed": f"""
        {_SEVERITY} kill_id reason terminated handoff_success_count compensation_triggered details
    """,
    "security.saga_handoff": """
        saga_id step_id from_agent to_agent status=pending|handed_off|failed|compensated
    """,
    "security.identity_verified": "method trust_level iatp_trust_score sigma_hint scopes",
    "audit.delta_captured": "delta_id turn_id delta_hash parent_hash change_count",
    "audit.committed": "hash_chain_root delta_count participant_dids committed_to",
    "audit.gc_collected": "retained_deltas purged_vfs_files purged_caches storage_saved_bytes",
    "verification.behavior_drift": "drift_score severity passed threshold action_id",
    "verification.history_verified": """
        status transactions_checked transactions_found inconsistencies cached
    """,
    "governance.decision": "allowed! tool_name evaluation_ms rate_limited reason",
    "agent.finished": _ENDED,
    "usage.recorded": "model provider input_tokens output_tokens cost currency total",
    "run.started": "name! run_id kind conversation_id caller_trace attributes",
    "run.finished": f"name! run_id {_ENDED}",
    "tool.started": "tool_name! call_id attempt arguments attributes",
    "tool.finished": f"tool_name! call_id attempt arguments result {_CALLED}",
    "model.started": "model! provider operation call_id stream prompt attributes",
    "model.finished": f"""
        model! operation call_id first_token_seconds finish_reason answer {_CALLED}
    """,
    "agent.handoff": "from_agent to_agent! reason",
}
"""The keys of each type of event: ``!`` marks one that must be there, ``=`` the words it may be."""


@frozen
class PayloadKey:
    """A key.

    Attributes:
        kind: What it holds.
        is_read: Whether readers read it.
    """

    kind: KeyKind
    is_read: bool


PAYLOAD_KEYS: Mapping[str, PayloadKey] = {
    name: PayloadKey(kind, table is READ)
    for table in (READ, KEPT)
    for kind, names in table.items()
    for name in names.split()
}
"""Every key, by its name."""
