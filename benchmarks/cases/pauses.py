"""The longest that one call of ``emit`` takes while segments fill up and are asked."""

import gc
import time

from benchmarks.cases import Measure, Measures
from benchmarks.cases.events import SESSIONS, agent_of
from hypervisor.observability import EventType, HypervisorEvent, HypervisorEventBus


def prepare(*, events: int, collecting: bool) -> Measure:
    """Measure ``seconds``: the longest, in CPU time of the thread, so that the machine's other
    work does not show. A question every 10,000 events, between two emits, has indexes made.

    Args:
        collecting: Whether the garbage collector runs. Its pauses are its own, but they come
            in the middle of an emit too.
    """

    def measure() -> Measures:
        bus = HypervisorEventBus()
        longest = 0
        clock = time.thread_time_ns
        if not collecting:
            gc.disable()
        for number in range(events):
            session = number % len(SESSIONS)
            event = HypervisorEvent(
                event_type=EventType.VFS_WRITE,
                session_id=SESSIONS[session],
                agent_did=agent_of(session),
                payload={"path": "/tmp/report", "bytes": 3},
            )
            start = clock()
            bus.emit(event)
            took = clock() - start
            if took > longest:
                longest = took
            if number % 10_000 == 9_999:
                bus.query(EventType.VFS_WRITE, SESSIONS[1], agent_of(1), limit=10)
        gc.enable()
        return {"seconds": longest / 1e9}

    return measure
