"""What happens in all: events by type, sagas, steps and compensations by how they ended."""

from ..event_types import EventType
from ..events import HypervisorEvent
from .families import MetricFamily
from .instruments import Counter

EVENTS = "agent_hypervisor_observability_events_emitted_total"
SAGAS = "agent_hypervisor_sagas_total"
STEPS = "agent_hypervisor_saga_steps_total"
COMPENSATIONS = "agent_hypervisor_saga_compensations_total"


class EventCounts:
    """Every event, by type."""

    event_types = None

    def __init__(self) -> None:
        self.events = Counter(EVENTS, "Events emitted, by type", ("event_type",))

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event."""
        self.events.increase((event.event_type.value,))

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [self.events.family()]


class SagaCounts:
    """Sagas, steps and compensations, by how they ended."""

    event_types = (
        EventType.SAGA_COMPLETED,
        EventType.SAGA_ESCALATED,
        EventType.SAGA_STEP_COMMITTED,
        EventType.SAGA_STEP_FAILED,
        EventType.SAGA_COMPENSATING,
    )

    def __init__(self) -> None:
        self.sagas = Counter(SAGAS, "Sagas that ended, by outcome", ("outcome",))
        self.steps = Counter(STEPS, "Saga steps that ended, by status", ("status",))
        self.compensations = Counter(COMPENSATIONS, "Compensations, by how they ended", ("status",))

    def observe(self, event: HypervisorEvent) -> None:
        """Count one saga event."""
        payload = event.payload
        if event.event_type == EventType.SAGA_STEP_COMMITTED:
            self.steps.increase(("committed",))
        elif event.event_type == EventType.SAGA_STEP_FAILED:
            self.steps.increase(("failed",))
        elif event.event_type == EventType.SAGA_COMPENSATING:
            phase = payload.get("phase")
            if phase != "started":
                self.compensations.increase(("failed" if phase == "failed" else "succeeded",))
        else:
            escalated = event.event_type == EventType.SAGA_ESCALATED
            outcome = payload.get("outcome")
            if outcome not in {"committed", "compensated", "failed", "escalated"}:
                outcome = "escalated" if escalated else "committed"
            self.sagas.increase((outcome,))

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [self.sagas.family(), self.steps.family(), self.compensations.family()]
