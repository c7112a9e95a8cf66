"""What a store gets to know of a process, for tests that make one by hand."""

import logging

from hypervisor_observability import HypervisorEventBus
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.gate import Gate
from hypervisor_observability.stores import StoreContext


def context_of(bus: HypervisorEventBus) -> StoreContext:
    return StoreContext(
        name="journal",
        service="tests",
        logger=logging.getLogger(__name__),
        log=bus.log,
        admit=Gate().admit,
        announce=lambda kind, payload: bus.record(EventType.of(kind), payload=payload),
    )
