"""Vouches, slashes, faults and quarantines."""

from collections.abc import Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import lasting, payload_facts
from .families import MetricFamily
from .instruments import Counter, Gauge
from .labels import UNKNOWN
from .meter import Instruments, Moment
from .open_work import OpenWork

VOUCHES_ACTIVE = "agent_hypervisor_vouches_active"
SLASHES = "agent_hypervisor_slashes_total"
FAULTS = "agent_hypervisor_faults_attributed_total"
QUARANTINES = "agent_hypervisor_quarantines_total"
QUARANTINES_ACTIVE = "agent_hypervisor_quarantines_active"

_BY_SEVERITY = {"severity": payload_facts.SEVERITIES}
QUARANTINE_REASONS = (
    "behavioral_drift",
    "liability_violation",
    "ring_breach",
    "rate_limit_exceeded",
    "manual",
    "cascade_slash",
    UNKNOWN,
)


class LiabilityMetrics:
    """Who answers for whom, and what came of it.

    Args:
        moment: On whose behalf events are observed.
    """

    event_types: Iterable[str] = (
        EventType.VOUCH_CREATED,
        EventType.VOUCH_RELEASED,
        EventType.SLASH_EXECUTED,
        EventType.FAULT_ATTRIBUTED,
        EventType.QUARANTINE_ENTERED,
        EventType.QUARANTINE_RELEASED,
    )

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._vouches = OpenWork(3)
        self._quarantines = OpenWork(3)
        self._vouches_active = Gauge(VOUCHES_ACTIVE, "Vouches that were not released")
        self._quarantines_active = Gauge(QUARANTINES_ACTIVE, "Quarantines that were not released")
        self.slashes = Counter(
            SLASHES,
            "Slashes, by severity",
            ("severity",),
            fixed={"severity": payload_facts.SEVERITIES},
        )
        self.faults = Counter(FAULTS, "Faults that were attributed to agents")
        self.quarantines = Counter(
            QUARANTINES,
            "Quarantines, by reason",
            ("reason",),
            fixed={"reason": QUARANTINE_REASONS},
        )
        self.instruments = Instruments(
            self.slashes,
            self.faults,
            self.quarantines,
            self._vouches_active,
            self._quarantines_active,
            open_work={"vouches": self._vouches, "quarantines": self._quarantines},
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of liability."""
        run = self._moment.run
        match event.event_type:
            case EventType.VOUCH_CREATED:
                self._vouches.begin(lasting.key_of(event), event.timestamp_ns, run)
            case EventType.VOUCH_RELEASED:
                self._vouches.end(self._vouches.ended_by(lasting.key_of(event)), run)
            case EventType.SLASH_EXECUTED:
                self.slashes.increase((payload_facts.severity(event),), event=event)
            case EventType.QUARANTINE_ENTERED:
                reason = payload_facts.word(event, "reason", QUARANTINE_REASONS)
                self.quarantines.increase((reason,), event=event)
                self._quarantines.begin(lasting.key_of(event), event.timestamp_ns, run)
            case EventType.QUARANTINE_RELEASED:
                self._quarantines.end(self._quarantines.ended_by(lasting.key_of(event)), run)
            case _:
                self.faults.increase(event=event)

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [
            self._vouches_active.family({(): self._vouches.count}),
            self.slashes.family(),
            self.faults.family(),
            self.quarantines.family(),
            self._quarantines_active.family({(): self._quarantines.count}),
        ]
