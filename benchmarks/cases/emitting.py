"""Create and emit: through the constructor, through ``record``, heard, in threads, log full."""

import threading
import time
from collections.abc import Callable

from benchmarks.cases import Measure, Measures
from benchmarks.cases.events import callers, fill
from hypervisor.observability import EventType, HypervisorEvent, HypervisorEventBus

Callers = list[tuple[str, str]]
Emit = Callable[[HypervisorEventBus, Callers], None]


def create_and_emit(bus: HypervisorEventBus, who: Callers) -> None:
    for session, agent in who:
        bus.emit(
            HypervisorEvent(
                event_type=EventType.RING_BREACH_DETECTED,
                session_id=session,
                agent_did=agent,
                payload={"attempted_tool": "shell_exec", "ring": 3},
            )
        )


def record(bus: HypervisorEventBus, who: Callers) -> None:
    for session, agent in who:
        bus.record(
            EventType.RING_BREACH_DETECTED,
            session_id=session,
            agent_did=agent,
            payload={"attempted_tool": "shell_exec", "ring": 3},
        )


def in_threads(emit: Emit, threads: int) -> Emit:
    """Do the same work from several threads, each with its part of the callers."""

    def run(bus: HypervisorEventBus, who: Callers) -> None:
        parts = [who[number::threads] for number in range(threads)]
        running = [threading.Thread(target=emit, args=(bus, part)) for part in parts]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return run


def _ignore(_event: HypervisorEvent) -> None:
    pass


def prepare(
    how: str = "create", *, events: int, threads: int = 1, subscribers: int = 0, full: bool = False
) -> Measure:
    """Measure ``seconds`` an event; *full*: with a log that drops an old event for each."""
    emit: Emit = record if how == "record" else create_and_emit
    if threads > 1:
        emit = in_threads(emit, threads)
    who = callers(events)

    def new_bus() -> HypervisorEventBus:
        bus = HypervisorEventBus()
        for _ in range(subscribers):
            bus.subscribe(EventType.RING_BREACH_DETECTED, _ignore)
        return bus

    kept = new_bus()
    if full:
        fill(kept, 110_000)

    def measure() -> Measures:
        bus = kept if full else new_bus()
        start = time.process_time()
        emit(bus, who)
        return {"seconds": (time.process_time() - start) / events}

    return measure
