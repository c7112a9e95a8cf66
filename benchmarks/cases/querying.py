"""Questions to a log of many events."""

import time
from collections.abc import Callable, Iterable
from itertools import count

from benchmarks.cases import Measure, Measures
from benchmarks.cases.events import SESSIONS, TYPES, agent_of, fill, unbounded_bus
from hypervisor.observability import HypervisorEvent, HypervisorEventBus


def prepare(*, events: int, repeats: int) -> Measure:
    """Measure seconds a question.

    ``query`` finds ten; ``nothing`` looks for a session and an agent that never met, so that
    no answer ends the search; ``first`` is the first question after the events were emitted.
    Each round asks about other sessions, agents and types, whose events nobody has read yet.
    """
    bus = unbounded_bus()
    fill(bus, events)
    first = _timed(lambda: _query(bus, 0), 1)
    newest = bus.all_events[-(events // 100)].timestamp
    rounds = count()

    def measure() -> Measures:
        turn = next(rounds)
        at = turn * 31
        return {
            "first": first,
            "query": _timed(lambda: [_query(bus, at + n) for n in range(repeats)], repeats),
            "nothing": _timed(lambda: [_nothing(bus, at + n) for n in range(repeats)], repeats),
            "time_range": _timed(lambda: bus.query_by_time_range(newest), 1),
            "session": _timed(lambda: _read(bus.query_by_session(SESSIONS[at % 1_000])), 1),
            "agent": _timed(lambda: _read(bus.query_by_agent(agent_of(at + 7))), 1),
            "type": _timed(lambda: _read(bus.query_by_type(TYPES[turn % len(TYPES)])), 1),
        }

    return measure


def _timed(ask: Callable[[], object], questions: int) -> float:
    start = time.process_time()
    ask()
    return (time.process_time() - start) / questions


def _query(bus: HypervisorEventBus, number: int) -> list[HypervisorEvent]:
    session = number % len(SESSIONS)
    found = bus.query(TYPES[number % 10], SESSIONS[session], agent_of(session), limit=10)
    assert found
    return found


def _nothing(bus: HypervisorEventBus, number: int) -> list[HypervisorEvent]:
    session = number % len(SESSIONS)
    found = bus.query(TYPES[number % 10], SESSIONS[session], agent_of(session + 1), limit=10)
    assert not found
    return found


def _read(found: Iterable[HypervisorEvent]) -> None:
    for event in found:
        event.event_id, event.timestamp, event.payload  # noqa: B018 - reading is what is measured
