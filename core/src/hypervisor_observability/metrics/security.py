"""Files, rate limits, killed agents, audits and drift: what is only counted."""

from collections.abc import Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from .families import MetricFamily
from .histogram import Histogram
from .instruments import Counter
from .labels import LabelRules, word
from .meter import Instruments
from .uncounted import Uncounted

VFS_OPERATIONS = "agent_hypervisor_vfs_operations_total"
RATE_LIMITED = "agent_hypervisor_rate_limited_total"
AGENTS_KILLED = "agent_hypervisor_agents_killed_total"
AUDIT_DELTAS = "agent_hypervisor_audit_deltas_total"
AUDIT_COMMITS = "agent_hypervisor_audit_commits_total"
DRIFT_SCORE = "agent_hypervisor_drift_score"

_OPERATIONS = {
    EventType.VFS_WRITE: "write",
    EventType.VFS_DELETE: "delete",
    EventType.VFS_SNAPSHOT: "snapshot",
    EventType.VFS_RESTORE: "restore",
    EventType.VFS_CONFLICT: "conflict",
}
DRIFT_BOUNDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1)


class SecurityMetrics:
    """Counters without a memory of their own.

    Args:
        rules: How agents are shown.
        uncounted: Where scores that are none are counted.
    """

    event_types: Iterable[str] = (
        *_OPERATIONS,
        EventType.RATE_LIMITED,
        EventType.AGENT_KILLED,
        EventType.AUDIT_DELTA_CAPTURED,
        EventType.AUDIT_COMMITTED,
        EventType.BEHAVIOR_DRIFT,
    )

    def __init__(self, rules: LabelRules, uncounted: Uncounted) -> None:
        self._rules, self._uncounted = rules, uncounted
        self.operations = Counter(
            VFS_OPERATIONS,
            "Operations on the files of sessions",
            ("operation",),
            fixed={"operation": tuple(_OPERATIONS.values())},
        )
        self.rate_limited = Counter(
            RATE_LIMITED, "Requests that a ring's rate limit refused", ("agent_did",)
        )
        self.killed = Counter(AGENTS_KILLED, "Agents that were killed, by reason", ("reason",))
        self.deltas = Counter(AUDIT_DELTAS, "Audit deltas that were captured")
        self.commits = Counter(AUDIT_COMMITS, "Audit chains that were committed")
        self.drift = Histogram(
            DRIFT_SCORE, "Drift of behaviour as it was measured", bounds=DRIFT_BOUNDS
        )
        self.instruments = Instruments(
            self.operations, self.rate_limited, self.killed, self.deltas, self.commits, self.drift
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event."""
        match event.event_type:
            case EventType.RATE_LIMITED:
                self.rate_limited.increase((self._rules.agent(event.agent_did),), event=event)
            case EventType.AGENT_KILLED:
                self.killed.increase((word(event, "reason"),), event=event)
            case EventType.AUDIT_DELTA_CAPTURED:
                self.deltas.increase(event=event)
            case EventType.AUDIT_COMMITTED:
                self.commits.increase(event=event)
            case EventType.BEHAVIOR_DRIFT:
                score = self._uncounted.amount(event, "drift_score", DRIFT_SCORE)
                if score is not None:
                    self.drift.observe((), float(score), event)
            case operation:
                self.operations.increase((_OPERATIONS[operation],), event=event)

    def expect(self, event: HypervisorEvent) -> None:
        """Have the counter of an agent there, at zero, before it does anything."""
        self.rate_limited.show((self._rules.agent(event.agent_did),))

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [
            self.operations.family(),
            self.rate_limited.family(),
            self.killed.family(),
            self.deltas.family(),
            self.commits.family(),
            self.drift.family(),
        ]
