"""Decisions of a governance layer as they are counted, under the names of the .NET package."""

from collections.abc import Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import GOVERNANCE_DECISION, EventType
from ..facts import payload_facts
from .histogram import Histogram
from .instruments import Counter
from .labels import UNKNOWN, LabelRules
from .meter import Instruments
from .series import Labels
from .uncounted import Uncounted

POLICY_DECISIONS = "agent_governance_policy_decisions_total"
CALLS_BLOCKED = "agent_governance_tool_calls_blocked_total"
CALLS_ALLOWED = "agent_governance_tool_calls_allowed_total"
RATE_LIMIT_HITS = "agent_governance_rate_limit_hits_total"
EVALUATION_LATENCY = "agent_governance_evaluation_latency_ms"
AUDIT_EVENTS = "agent_governance_audit_events_total"

# Milliseconds. 50 is a bound, so that an alert on a p99 above 50 ms is exact.
LATENCY_BOUNDS_MS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000)

AUDIT_TYPES = (
    EventType.AUDIT_DELTA_CAPTURED,
    EventType.AUDIT_COMMITTED,
    EventType.AUDIT_GC_COLLECTED,
)


def _labels(*decisions: str) -> Labels:
    return {"decision": decisions, "agent_id": (), "tool_name": ()}


class GovernanceCounts:
    """The counters and the histogram, fed with events.

    Args:
        rules: How agents are shown.
        uncounted: Where times that are none are counted.
    """

    event_types: Iterable[str] = (GOVERNANCE_DECISION, *AUDIT_TYPES)

    def __init__(self, rules: LabelRules, uncounted: Uncounted) -> None:
        self._rules, self._uncounted = rules, uncounted
        both = _labels("allow", "deny")
        self.decisions = Counter(POLICY_DECISIONS, "Policy evaluations", both)
        self.blocked = Counter(CALLS_BLOCKED, "Tool calls denied by policy", _labels("deny"))
        self.allowed = Counter(CALLS_ALLOWED, "Tool calls permitted by policy", _labels("allow"))
        self.rate_limited = Counter(RATE_LIMIT_HITS, "Requests refused by rate limiting", both)
        self.latency = Histogram(
            EVALUATION_LATENCY,
            "Time that a policy evaluation took, in milliseconds",
            both,
            bounds=LATENCY_BOUNDS_MS,
            unit="ms",
        )
        self.audit_events = Counter(AUDIT_EVENTS, "Audit events emitted")
        self.instruments = Instruments(
            self.decisions,
            self.blocked,
            self.allowed,
            self.rate_limited,
            self.latency,
            self.audit_events,
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one decision or audit event."""
        if event.event_type != GOVERNANCE_DECISION:
            self.audit_events.increase(event=event)
            return
        decision = payload_facts.decision(event)
        tool = payload_facts.name(event, "tool_name") or UNKNOWN
        agent = self._rules.agent(event.agent_did)
        labels = (decision, agent, tool)
        self.decisions.increase(labels, event=event)
        if decision == payload_facts.ERASED:
            return
        (self.allowed if decision == "allow" else self.blocked).increase(labels, event=event)
        # Who was allowed may be denied the next time, and that is to be seen.
        self.blocked.show(("deny", agent, tool))
        if payload_facts.flag(event, "rate_limited"):
            self.rate_limited.increase(labels, event=event)
        latency = self._uncounted.amount(event, "evaluation_ms", EVALUATION_LATENCY)
        if latency is not None:
            self.latency.observe(labels, float(latency), event)
