"""Memory: of a stored event, and of a process that sees a session for each event."""

import gc
import os
from pathlib import Path

from benchmarks.cases import Measure, Measures
from benchmarks.cases.events import fill, unbounded_bus
from hypervisor.observability import EventType, HypervisorEvent, HypervisorEventBus


def resident_bytes() -> int:
    """Resident memory of this process (Linux: the second field of statm, in pages)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def prepare(*, events: int, sessions: bool = False) -> Measure:
    """Measure bytes: ``growth``, and ``per_event``. Once a process.

    Args:
        sessions: Each event has a session of its own, and the bus keeps 10,000 events.
    """

    def measure() -> Measures:
        bus = HypervisorEventBus(max_events=10_000) if sessions else unbounded_bus()
        before = resident_bytes()
        if sessions:
            _fill_with_sessions(bus, events)
        else:
            fill(bus, events)
        gc.collect()
        growth = resident_bytes() - before
        assert bus.event_count == (10_000 if sessions else events)
        return {"growth": growth, "per_event": growth / events}

    return measure


def _fill_with_sessions(bus: HypervisorEventBus, count: int) -> None:
    for number in range(count):
        bus.emit(
            HypervisorEvent(
                event_type=EventType.SESSION_CREATED,
                session_id=f"session-{number}",
                agent_did="did:mesh:agent",
                payload={"model": "small", "ring": 3},
            )
        )
