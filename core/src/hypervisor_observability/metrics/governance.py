"""Decisions of a governance layer: eight instruments, named as the .NET package names them.

A decision is an event, ``governance.decision``; the metrics are read from these events, so
that decisions are also kept, traced and delivered like everything else.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from ..event_bus import HypervisorEventBus
from ..event_types import GOVERNANCE_DECISION, EventType
from ..events import HypervisorEvent
from ..limited_log import LimitedLog
from .families import MetricFamily, MetricKind
from .instruments import Counter, Histogram
from .rings import UNKNOWN

POLICY_DECISIONS = "agent_governance_policy_decisions_total"
CALLS_BLOCKED = "agent_governance_tool_calls_blocked_total"
CALLS_ALLOWED = "agent_governance_tool_calls_allowed_total"
RATE_LIMIT_HITS = "agent_governance_rate_limit_hits_total"
EVALUATION_LATENCY = "agent_governance_evaluation_latency_ms"
AUDIT_EVENTS = "agent_governance_audit_events_total"
TRUST_SCORE = "agent_governance_trust_score"
ACTIVE_AGENTS = "agent_governance_active_agents"

# Milliseconds. 50 is a bound, so that an alert on a p99 above 50 ms is exact.
LATENCY_BOUNDS_MS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000)

AUDIT_TYPES = (
    EventType.AUDIT_DELTA_CAPTURED,
    EventType.AUDIT_COMMITTED,
    EventType.AUDIT_GC_COLLECTED,
)
_LABELS = ("decision", "agent_id", "tool_name")

TrustScores = Callable[[], Mapping[str, float] | Iterable[tuple[float, Mapping[str, str]]] | float]
ActiveAgents = Callable[[], int]


class GovernanceCounts:
    """The counters and the histogram, fed with events."""

    event_types = (GOVERNANCE_DECISION, *AUDIT_TYPES)

    def __init__(self) -> None:
        self.decisions = Counter(POLICY_DECISIONS, "Policy evaluations", _LABELS)
        self.blocked = Counter(CALLS_BLOCKED, "Tool calls denied by policy", _LABELS)
        self.allowed = Counter(CALLS_ALLOWED, "Tool calls permitted by policy", _LABELS)
        self.rate_limited = Counter(RATE_LIMIT_HITS, "Requests refused by rate limiting", _LABELS)
        self.latency = Histogram(
            EVALUATION_LATENCY,
            "Time that a policy evaluation took, in milliseconds",
            _LABELS,
            bounds=LATENCY_BOUNDS_MS,
            unit="ms",
        )
        self.audit_events = Counter(AUDIT_EVENTS, "Audit events emitted")

    def observe(self, event: HypervisorEvent) -> None:
        """Count one decision or audit event."""
        if event.event_type != GOVERNANCE_DECISION:
            self.audit_events.increase()
            return
        payload = event.payload
        allowed = payload.get("allowed") is True
        tool = payload.get("tool_name")
        labels = (
            "allow" if allowed else "deny",
            event.agent_did or UNKNOWN,
            tool if isinstance(tool, str) else UNKNOWN,
        )
        self.decisions.increase(labels)
        (self.allowed if allowed else self.blocked).increase(labels)
        if payload.get("rate_limited") is True:
            self.rate_limited.increase(labels)
        latency = payload.get("evaluation_ms")
        if _is_duration(latency):
            self.latency.observe(labels, float(latency))

    def families(self) -> list[MetricFamily]:
        """Give the present state of the six."""
        instruments = (
            self.decisions,
            self.blocked,
            self.allowed,
            self.rate_limited,
            self.latency,
            self.audit_events,
        )
        return [instrument.family() for instrument in instruments]


class GovernanceMetrics:
    """Record governance decisions, and gauges that are asked for their value.

    Args:
        bus: Decisions are emitted here.
        counting: Whether to count the bus's decisions here too, for ``collect``, by a
            synchronous subscriber. The one at ``Observability.governance`` does not: the
            metrics reader counts them.
    """

    def __init__(self, bus: HypervisorEventBus, *, counting: bool = True) -> None:
        self._bus = bus
        self._counts = GovernanceCounts()
        self._trust_scores: list[TrustScores] = []
        self._active_agents: list[ActiveAgents] = []
        self._log = LimitedLog(__name__)
        if counting:
            for event_type in GovernanceCounts.event_types:
                bus.subscribe(event_type, self._counts.observe)

    def record_decision(
        self,
        allowed: bool,  # noqa: FBT001 - the signature is the published one
        agent_id: str,
        tool_name: str,
        evaluation_ms: float,
        rate_limited: bool = False,  # noqa: FBT001, FBT002 - likewise
    ) -> None:
        """Record that a call was allowed or denied.

        Args:
            allowed: Whether the policy permitted the call.
            agent_id: The agent that asked.
            tool_name: The tool that it asked for.
            evaluation_ms: How long the evaluation took, in milliseconds.
            rate_limited: Whether a rate limit was the reason.
        """
        self._bus.record(
            GOVERNANCE_DECISION,
            agent_did=agent_id,
            payload={
                "allowed": allowed,
                "tool_name": tool_name,
                "evaluation_ms": evaluation_ms,
                "rate_limited": rate_limited,
            },
        )

    def register_trust_score_gauge(self, callback: TrustScores) -> None:
        """Ask *callback* for trust scores (0 to 1000) whenever metrics are read.

        It gives a mapping of agent to score, pairs of score and labels, or one score.
        """
        self._trust_scores.append(callback)

    def register_active_agents_gauge(self, callback: ActiveAgents) -> None:
        """Ask *callback* for the number of active agents whenever metrics are read."""
        self._active_agents.append(callback)

    def gauges(self) -> list[MetricFamily]:
        """Ask the callbacks. One that raises is logged and gives no series."""
        scores: dict[tuple[str, ...], float] = {}
        for trust_scores in self._trust_scores:
            scores.update(self._asked(trust_scores, _scores_of))
        active: dict[tuple[str, ...], float] = {}
        for active_agents in self._active_agents:
            active.update(self._asked(active_agents, lambda value: {(): float(value)}))
        return [
            MetricFamily(
                name=TRUST_SCORE,
                kind=MetricKind.GAUGE,
                help="Current trust score of the agent (0-1000)",
                label_names=("agent_id",),
                series=scores,
            ),
            MetricFamily(
                name=ACTIVE_AGENTS,
                kind=MetricKind.GAUGE,
                help="Number of active agents being tracked",
                series=active,
            ),
        ]

    def collect(self) -> list[MetricFamily]:
        """Give the present state of all eight instruments."""
        return [*self._counts.families(), *self.gauges()]

    def _asked(
        self,
        callback: Callable[[], Any],
        series_of: Callable[[Any], dict[tuple[str, ...], float]],
    ) -> dict[tuple[str, ...], float]:
        try:
            return series_of(callback())
        except Exception as error:  # noqa: BLE001 - a user's callback: metrics go on without it
            name = getattr(callback, "__qualname__", type(callback).__name__)
            self._log.warning(f"gauge {name}", "gauge callback %s raised", name, error=error)
            return {}


def _is_duration(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _scores_of(value: Any) -> dict[tuple[str, ...], float]:
    if isinstance(value, Mapping):
        return {(str(agent),): float(score) for agent, score in value.items()}
    if isinstance(value, (int, float)):
        return {(UNKNOWN,): float(value)}
    return {(str(labels.get("agent_id", UNKNOWN)),): float(score) for score, labels in value}
