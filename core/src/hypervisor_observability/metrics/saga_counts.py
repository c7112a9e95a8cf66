"""Sagas, steps, compensations and fan-outs: how many, how they ended, how long they took."""

from collections.abc import Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts
from .families import MetricFamily
from .histogram import Histogram
from .instruments import Counter
from .labels import UNKNOWN
from .meter import Instruments, Moment
from .numbers import seconds_between
from .open_work import OpenWork
from .uncounted import Uncounted

SAGAS = "agent_hypervisor_sagas_total"
SAGA_DURATION = "agent_hypervisor_saga_duration_seconds"
STEPS = "agent_hypervisor_saga_steps_total"
COMPENSATIONS = "agent_hypervisor_saga_compensations_total"
FANOUT_BRANCHES = "agent_hypervisor_fanout_branches"
CHECKPOINTS = "agent_hypervisor_saga_checkpoints_total"
HANDOFFS = "agent_hypervisor_saga_handoffs_total"

POLICIES = ("all", "majority", "any", UNKNOWN)
HANDOFF_STATUSES = ("pending", "handed_off", "failed", "compensated", UNKNOWN)
SAGA_BOUNDS_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600)
BRANCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128)


class SagaMetrics:
    """Everything that is counted of sagas.

    Args:
        moment: On whose behalf events are observed.
        uncounted: Where durations and numbers of branches that are none are counted.
    """

    event_types: Iterable[str] = (
        EventType.SAGA_CREATED,
        EventType.SAGA_COMPLETED,
        EventType.SAGA_ESCALATED,
        EventType.SAGA_STEP_COMMITTED,
        EventType.SAGA_STEP_FAILED,
        EventType.SAGA_COMPENSATING,
        EventType.SAGA_FANOUT_STARTED,
        EventType.SAGA_CHECKPOINT_SAVED,
        EventType.SAGA_HANDOFF,
    )

    def __init__(self, moment: Moment, uncounted: Uncounted) -> None:
        self._moment, self._uncounted = moment, uncounted
        self._open = OpenWork()
        by_outcome = {"outcome": payload_facts.OUTCOMES}
        self.sagas = Counter(SAGAS, "Sagas that ended, by outcome", ("outcome",), fixed=by_outcome)
        self.duration = Histogram(
            SAGA_DURATION,
            "Time that sagas took, by outcome",
            ("outcome",),
            bounds=SAGA_BOUNDS_SECONDS,
            unit="seconds",
            fixed=by_outcome,
        )
        self.steps = Counter(
            STEPS,
            "Saga steps that ended, by status",
            ("status",),
            fixed={"status": ("committed", "failed")},
        )
        self.compensations = Counter(
            COMPENSATIONS,
            "Compensations, by how they ended",
            ("status",),
            fixed={"status": ("succeeded", "failed")},
        )
        self.branches = Histogram(
            FANOUT_BRANCHES,
            "Branches of fan-outs, by policy",
            ("policy",),
            bounds=BRANCH_BOUNDS,
            fixed={"policy": POLICIES},
        )
        self.checkpoints = Counter(CHECKPOINTS, "Checkpoints of sagas that were saved")
        self.handoffs = Counter(
            HANDOFFS,
            "Steps that were handed from one agent to another, by status",
            ("status",),
            fixed={"status": HANDOFF_STATUSES},
        )
        self.instruments = Instruments(
            self.sagas,
            self.duration,
            self.steps,
            self.compensations,
            self.branches,
            self.checkpoints,
            self.handoffs,
            open_work={"sagas": self._open},
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one saga event."""
        match event.event_type:
            case EventType.SAGA_CREATED:
                self._open.begin(
                    (payload_facts.saga_id(event),), event.timestamp_ns, self._moment.run
                )
            case EventType.SAGA_STEP_COMMITTED | EventType.SAGA_STEP_FAILED:
                self.steps.increase((payload_facts.step_end(event),), event=event)
            case EventType.SAGA_COMPENSATING:
                phase = payload_facts.phase(event) or "succeeded"
                if phase != "started":
                    self.compensations.increase((phase,), event=event)
            case EventType.SAGA_FANOUT_STARTED:
                branches = self._uncounted.count(event, "branch_count", FANOUT_BRANCHES)
                if branches is not None:
                    policy = payload_facts.word(event, "policy", POLICIES)
                    self.branches.observe((policy,), branches, event)
            case EventType.SAGA_CHECKPOINT_SAVED:
                self.checkpoints.increase(event=event)
            case EventType.SAGA_HANDOFF:
                status = payload_facts.word(event, "status", HANDOFF_STATUSES)
                self.handoffs.increase((status,), event=event)
            case _:
                self._end(event)

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [
            self.sagas.family(),
            self.duration.family(),
            self.steps.family(),
            self.compensations.family(),
            self.branches.family(),
            self.checkpoints.family(),
            self.handoffs.family(),
        ]

    def _end(self, event: HypervisorEvent) -> None:
        outcome = payload_facts.outcome(event)
        self.sagas.increase((outcome,), event=event)
        begun = self._open.end((payload_facts.saga_id(event),), self._moment.run)
        if begun is not None:
            seconds = seconds_between(begun, event, self._uncounted, SAGA_DURATION)
            self.duration.observe((outcome,), seconds, event)
