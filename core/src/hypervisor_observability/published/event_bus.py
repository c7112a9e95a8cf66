"""The event bus, as ``hypervisor.observability.event_bus``."""

from hypervisor_observability.event_bus import (
    DEFAULT_MAX_EVENTS,
    EventHandler,
    HypervisorEventBus,
    Subscription,
)
from hypervisor_observability.event_types import EventType
from hypervisor_observability.events import HypervisorEvent

__all__ = [
    "DEFAULT_MAX_EVENTS",
    "EventHandler",
    "EventType",
    "HypervisorEvent",
    "HypervisorEventBus",
    "Subscription",
]
