"""The event bus, as ``hypervisor.observability.event_bus``."""

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.bus.subscribers import EventHandler, Subscription
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.values.default_bounds import DEFAULT_MAX_EVENTS

__all__ = [
    "DEFAULT_MAX_EVENTS",
    "EventHandler",
    "EventType",
    "HypervisorEvent",
    "HypervisorEventBus",
    "Subscription",
]
