"""What is counted of each event by itself: a new metric of that kind is a row here."""

from collections.abc import Callable, Iterable

from attrs import field, frozen

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_HANDOFF, RUN_FINISHED, EventType
from ..facts import payload_facts, saga_facts
from .families import LabelValues
from .histogram import Histogram
from .instruments import Counter
from .labels import UNKNOWN, LabelRules, word
from .meter import Instruments
from .uncounted import Uncounted

SLASHES = "agent_hypervisor_slashes_total"
FAULTS = "agent_hypervisor_faults_attributed_total"
QUARANTINES = "agent_hypervisor_quarantines_total"
STEPS = "agent_hypervisor_saga_steps_total"
COMPENSATIONS = "agent_hypervisor_saga_compensations_total"
FANOUT_BRANCHES = "agent_hypervisor_fanout_branches"
CHECKPOINTS = "agent_hypervisor_saga_checkpoints_total"
SAGA_HANDOFFS = "agent_hypervisor_saga_handoffs_total"
HANDOFFS = "agent_hypervisor_handoffs_total"
RUNS = "agent_hypervisor_runs_total"
RUN_SECONDS = "agent_hypervisor_run_duration_seconds"
VFS_OPERATIONS = "agent_hypervisor_vfs_operations_total"
RATE_LIMITED = "agent_hypervisor_rate_limited_total"
AGENTS_KILLED = "agent_hypervisor_agents_killed_total"
AUDIT_DELTAS = "agent_hypervisor_audit_deltas_total"
AUDIT_COMMITS = "agent_hypervisor_audit_commits_total"
DRIFT_SCORE = "agent_hypervisor_drift_score"

POLICIES = ("all", "majority", "any", UNKNOWN)
HANDOFF_STATUSES = ("pending", "handed_off", "failed", "compensated", UNKNOWN)
QUARANTINE_REASONS = (
    "behavioral_drift",
    "liability_violation",
    "ring_breach",
    "rate_limit_exceeded",
    "manual",
    "cascade_slash",
    UNKNOWN,
)
BRANCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128)
RUN_BOUNDS_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600)
DRIFT_BOUNDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1)

_OPERATIONS = {
    EventType.VFS_WRITE: "write",
    EventType.VFS_DELETE: "delete",
    EventType.VFS_SNAPSHOT: "snapshot",
    EventType.VFS_RESTORE: "restore",
    EventType.VFS_CONFLICT: "conflict",
}

Said = Callable[[HypervisorEvent], str | LabelValues | None]
"""What an event says that tells its series: the value of its label, or those of several; None: it
does not count."""
Amount = Callable[[HypervisorEvent], float | None]
"""What an event tells of which there may be more or less; None: it tells nothing."""


@frozen(eq=False)
class Tally:
    """Count events by what they say, or the amounts that they tell.

    Attributes:
        instrument: With any labels, or none.
        event_types: What it counts.
        said: Gives the values of the labels; None: there are none.
        amount: Gives the amount; None: each event counts as one.
    """

    instrument: Counter | Histogram
    event_types: Iterable[str]
    said: Said | None = None
    amount: Amount | None = None
    _count: Callable[[LabelValues, float, HypervisorEvent], None] = field(init=False)

    @_count.default
    def _counted(self) -> Callable[[LabelValues, float, HypervisorEvent], None]:
        one = self.instrument
        return one.increase if isinstance(one, Counter) else one.observe

    @property
    def instruments(self) -> Instruments:
        """What it counts with."""
        return Instruments(self.instrument)

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event."""
        labels = self._labels(event)
        amount = 1 if self.amount is None else self.amount(event)
        if labels is not None and amount is not None:
            self._count(labels, amount, event)

    def expect(self, event: HypervisorEvent) -> None:
        """Have the series there, at zero, of which *event* says that it is to come."""
        if self.said is not None and (labels := self._labels(event)) is not None:
            self.instrument.bounded.show(labels)

    def _labels(self, event: HypervisorEvent) -> LabelValues | None:
        said = () if self.said is None else self.said(event)
        return (said,) if isinstance(said, str) else said


def rate_limits(rules: LabelRules) -> Tally:
    """Count refused requests; every agent that joins is expected to have some."""
    return Tally(
        Counter(RATE_LIMITED, "Requests that a ring's rate limit refused", {"agent_did": ()}),
        [EventType.RATE_LIMITED],
        lambda event: rules.agent(event.agent_did),
    )


def handoffs(rules: LabelRules) -> Tally:
    """Count handoffs by the agents as they are named there."""
    return Tally(
        Counter(
            HANDOFFS,
            "Work that one agent handed over to another",
            {"from_agent": (), "to_agent": ()},
        ),
        [AGENT_HANDOFF],
        lambda event: tuple(map(rules.agent, payload_facts.handoff(event))),
    )


def tallies(uncounted: Uncounted) -> list[Tally]:
    """Make what needs to know nothing but the event.

    Args:
        uncounted: Where amounts that are none are counted.
    """
    return [
        Tally(
            Counter(STEPS, "Saga steps that ended, by status", {"status": ("committed", "failed")}),
            saga_facts.STEP_ENDS,
            saga_facts.step_end,
        ),
        Tally(
            Counter(
                COMPENSATIONS,
                "Compensations, by how they ended",
                {"status": ("succeeded", "failed")},
            ),
            [EventType.SAGA_COMPENSATING],
            saga_facts.undo_end,
        ),
        Tally(
            Histogram(
                FANOUT_BRANCHES,
                "Branches of fan-outs, by policy",
                {"policy": POLICIES},
                bounds=BRANCH_BOUNDS,
            ),
            [EventType.SAGA_FANOUT_STARTED],
            lambda event: payload_facts.word(event, "policy", POLICIES),
            lambda event: uncounted.count(event, "branch_count", FANOUT_BRANCHES),
        ),
        Tally(
            Counter(CHECKPOINTS, "Checkpoints of sagas that were saved"),
            [EventType.SAGA_CHECKPOINT_SAVED],
        ),
        Tally(
            Counter(
                SAGA_HANDOFFS,
                "Steps that were handed from one agent to another, by status",
                {"status": HANDOFF_STATUSES},
            ),
            [EventType.SAGA_HANDOFF],
            lambda event: payload_facts.word(event, "status", HANDOFF_STATUSES),
        ),
        Tally(
            Counter(
                RUNS, "Runs that ended, by how they ended", {"outcome": payload_facts.WORK_ENDS}
            ),
            [RUN_FINISHED],
            payload_facts.work_end,
        ),
        Tally(
            Histogram(
                RUN_SECONDS, "Time that runs took", bounds=RUN_BOUNDS_SECONDS, unit="seconds"
            ),
            [RUN_FINISHED],
            amount=lambda event: uncounted.amount(event, "duration_seconds", RUN_SECONDS),
        ),
        Tally(
            Counter(SLASHES, "Slashes, by severity", {"severity": payload_facts.SEVERITIES}),
            [EventType.SLASH_EXECUTED],
            payload_facts.severity,
        ),
        Tally(
            Counter(FAULTS, "Faults that were attributed to agents"),
            [EventType.FAULT_ATTRIBUTED],
        ),
        Tally(
            Counter(QUARANTINES, "Quarantines, by reason", {"reason": QUARANTINE_REASONS}),
            [EventType.QUARANTINE_ENTERED],
            lambda event: payload_facts.word(event, "reason", QUARANTINE_REASONS),
        ),
        Tally(
            Counter(
                VFS_OPERATIONS,
                "Operations on the files of sessions",
                {"operation": tuple(_OPERATIONS.values())},
            ),
            _OPERATIONS,
            lambda event: _OPERATIONS[event.event_type],
        ),
        Tally(
            Counter(AGENTS_KILLED, "Agents that were killed, by reason", {"reason": ()}),
            [EventType.AGENT_KILLED],
            lambda event: word(event, "reason"),
        ),
        Tally(
            Counter(AUDIT_DELTAS, "Audit deltas that were captured"),
            [EventType.AUDIT_DELTA_CAPTURED],
        ),
        Tally(
            Counter(AUDIT_COMMITS, "Audit chains that were committed"),
            [EventType.AUDIT_COMMITTED],
        ),
        Tally(
            Histogram(DRIFT_SCORE, "Drift of behaviour as it was measured", bounds=DRIFT_BOUNDS),
            [EventType.BEHAVIOR_DRIFT],
            amount=lambda event: uncounted.amount(event, "drift_score", DRIFT_SCORE),
        ),
    ]
