"""Vouches, slashes, faults and quarantines."""

from collections.abc import Iterable

from ..event_types import EventType
from ..events import HypervisorEvent
from .families import MetricFamily
from .instruments import Counter, Gauge
from .labels import UNKNOWN, one_of
from .meter import Instruments, Moment
from .open_work import Key, OpenWork
from .rings import SEVERITIES

VOUCHES_ACTIVE = "agent_hypervisor_vouches_active"
SLASHES = "agent_hypervisor_slashes_total"
FAULTS = "agent_hypervisor_faults_attributed_total"
QUARANTINES = "agent_hypervisor_quarantines_total"
QUARANTINES_ACTIVE = "agent_hypervisor_quarantines_active"

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
        self._vouches = OpenWork()
        self._quarantines = OpenWork()
        self._vouches_active = Gauge(VOUCHES_ACTIVE, "Vouches that were not released")
        self._quarantines_active = Gauge(QUARANTINES_ACTIVE, "Quarantines that were not released")
        self.slashes = Counter(
            SLASHES, "Slashes, by severity", ("severity",), fixed={"severity": SEVERITIES}
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
                self._vouches.begin(_key(event, "vouch_id"), event.timestamp_ns, run)
            case EventType.VOUCH_RELEASED:
                self._vouches.end(_key(event, "vouch_id"), run)
            case EventType.SLASH_EXECUTED:
                severity = one_of(event.payload.get("severity"), SEVERITIES)
                self.slashes.increase((severity,), event=event)
            case EventType.QUARANTINE_ENTERED:
                reason = one_of(event.payload.get("reason"), QUARANTINE_REASONS)
                self.quarantines.increase((reason,), event=event)
                self._quarantines.begin(_key(event, "quarantine_id"), event.timestamp_ns, run)
            case EventType.QUARANTINE_RELEASED:
                self._quarantines.end(_key(event, "quarantine_id"), run)
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


def _key(event: HypervisorEvent, name: str) -> Key:
    """Give the id under *name*; where there is none, agent and session have to do."""
    found = event.payload.get(name)
    if isinstance(found, str):
        return (found,)
    return (f"{event.agent_did or UNKNOWN}\0{event.session_id or UNKNOWN}",)
