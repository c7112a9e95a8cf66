"""What happens in all: events by type."""

from ..events.event import HypervisorEvent
from .instruments import Counter
from .meter import Instruments

EVENTS = "agent_hypervisor_observability_events_emitted_total"


class EventCounts:
    """Every event, by type."""

    event_types = None

    def __init__(self) -> None:
        self.events = Counter(EVENTS, "Events emitted, by type", {"event_type": ()})
        self.instruments = Instruments(self.events)

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event."""
        self.events.increase((event.event_type.value,))
