"""The keys of payloads that readers know: what each holds, and in which events.

Spans, metrics, trees, reports and logs read payloads through ``payload_facts`` alone, and by these
keys alone, so that no two of them read one payload in two ways. Other keys are kept, and read by
nobody.
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

KeyKind = Literal["amount", "count", "flag", "list", "name", "ring", "text", "word"]
"""What a key holds:

``amount`` a number from 0; ``count`` an integer from 0; ``flag`` true or false; ``list`` a list of
dicts; ``name`` what tells one thing apart from others of its kind; ``ring`` an integer from 0;
``text`` anything, for people; ``word`` one of a few words.
"""


@frozen
class PayloadKey:
    """A key.

    Attributes:
        kind: What it holds.
        events: The events that have it, by the beginnings of their types.
    """

    kind: KeyKind
    events: tuple[str, ...]


def _keys(kind: KeyKind, events: str, names: str) -> dict[str, PayloadKey]:
    return {name: PayloadKey(kind, tuple(events.split())) for name in names.split()}


_MANY = "session. ring. liability. saga. security. agent. run. tool. model. governance."

PAYLOAD_KEYS: Mapping[str, PayloadKey] = {
    # Sagas
    **_keys("name", "saga. security.saga_handoff liability.fault_attributed", "saga_id"),
    **_keys("name", "saga. security.saga_handoff", "step_id compensates_step_id checkpoint_id"),
    **_keys("name", "saga.", "group_id attempt"),
    **_keys("word", "saga.", "action step_action phase policy"),
    **_keys("word", "saga.", "outcome"),
    **_keys("count", "saga.", "branch_count success_count failure_count"),
    **_keys("flag", "saga.fanout_resolved", "policy_satisfied"),
    **_keys("text", "saga.", "result"),
    # Rings
    **_keys("ring", "ring. session.", "ring from_ring to_ring required_ring"),
    **_keys("name", "ring.", "elevation_id"),
    **_keys("word", "ring.breach_detected", "attempted_tool"),
    **_keys("flag", "governance.decision ring.breach_detected", "allowed"),
    **_keys("flag", "ring.breach_detected", "denied"),
    **_keys("word", "ring. liability. security. verification.", "severity"),
    # Sessions and agents
    **_keys("name", "session.created", "conversation_id"),
    **_keys("name", "session.joined saga.created", "caller_trace"),
    **_keys("word", "session.joined saga.created run.started", "name"),
    **_keys("flag", "session.joined", "remote"),
    **_keys("amount", "session. saga. agent. run. tool. model.", "duration_seconds"),
    **_keys("word", "agent. security. run. tool. model.", "status"),
    **_keys("word", _MANY, "error_type"),
    **_keys("text", _MANY, "reason error"),
    # Liability, security, audit, verification
    **_keys("name", "liability.", "vouch_id slash_id attribution_id quarantine_id"),
    **_keys("list", "liability.fault_attributed", "attributions"),
    **_keys("flag", "liability.quarantine_entered", "terminated"),
    **_keys("name", "security. audit. vfs.", "kill_id delta_id snapshot_id"),
    **_keys("word", "security.saga_handoff agent.handoff", "from_agent to_agent"),
    **_keys("amount", "security.identity_verified", "iatp_trust_score"),
    **_keys("amount", "verification.behavior_drift", "drift_score"),
    **_keys("flag", "verification.behavior_drift", "passed"),
    # Decisions, usage
    **_keys("word", "governance.decision security.rate_limited tool.", "tool_name"),
    **_keys("amount", "governance.decision", "evaluation_ms"),
    **_keys("flag", "governance.decision", "rate_limited"),
    **_keys("word", "usage.recorded model.", "model"),
    **_keys("word", "usage.recorded", "currency"),
    **_keys("count", "usage.recorded", "input_tokens output_tokens"),
    **_keys("amount", "usage.recorded", "cost"),
    **_keys("flag", "usage.recorded", "total"),
}
