"""The event bus, as ``hypervisor.observability.event_bus``."""

from ..bus.event_bus import DEFAULT_MAX_EVENTS, EventHandler, HypervisorEventBus, Subscription
from ..events.event import HypervisorEvent
from ..events.event_types import EventType

__all__ = [
    "DEFAULT_MAX_EVENTS",
    "EventHandler",
    "EventType",
    "HypervisorEvent",
    "HypervisorEventBus",
    "Subscription",
]
