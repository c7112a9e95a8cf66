"""The events that all cases emit: two payload keys, 1,000 sessions, 100 agents, 10 types."""

import random
from itertools import islice, product

# In the environment of agent-hypervisor this is its package, in ours the alias for ours.
from hypervisor.observability import EventType, HypervisorEvent, HypervisorEventBus

SESSIONS = [f"session-{number:06d}" for number in range(1_000)]
AGENTS = [f"did:mesh:agent-{number:03d}" for number in range(100)]
TYPES = list(EventType)[:10]


def agent_of(session: int) -> str:
    """The agent that works in a session."""
    return AGENTS[session % len(AGENTS)]


def callers(count: int) -> list[tuple[str, str]]:
    """Session and agent of *count* events."""
    sessions = product(range(count // len(SESSIONS) + 1), range(len(SESSIONS)))
    return [(SESSIONS[session], agent_of(session)) for _, session in islice(sessions, count)]


def fill(bus: HypervisorEventBus, count: int) -> None:
    """Emit *count* events: sessions in turn, types at random, the same each time."""
    chosen = random.Random(7).choices(TYPES, k=count)
    tools = [f"tool-{number}" for number in range(50)]
    for number, event_type in enumerate(chosen):
        session = number % len(SESSIONS)
        bus.emit(
            HypervisorEvent(
                event_type=event_type,
                session_id=SESSIONS[session],
                agent_did=agent_of(session),
                payload={"tool": tools[number % 50], "ring": number % 4},
            )
        )


def unbounded_bus() -> HypervisorEventBus:
    """A bus that keeps everything."""
    bus = HypervisorEventBus(max_events=None)
    if hasattr(bus, "log"):
        bus = HypervisorEventBus(max_events=None, max_bytes=1 << 40)
    return bus
