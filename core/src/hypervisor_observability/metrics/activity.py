"""What happens in all: events by type."""

from collections import Counter as Multiset
from collections.abc import Iterable

from ..events.event import HypervisorEvent
from .instruments import Counter
from .meter import Instruments

EVENTS = "agent_hypervisor_observability_events_emitted_total"


class EventCounts:
    """Every event, by type: a batch at once."""

    def __init__(self) -> None:
        self.events = Counter(EVENTS, "Events emitted, by type", {"event_type": ()})
        self.instruments = Instruments(self.events)

    def observe_all(self, events: Iterable[HypervisorEvent]) -> None:
        """Count *events*."""
        for event_type, number in Multiset([event.event_type for event in events]).items():
            self.events.increase((event_type.value,), number)
