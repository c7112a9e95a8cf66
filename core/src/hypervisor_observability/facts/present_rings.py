"""In which ring each agent is now, and for how long it was granted."""

from attrs import frozen

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from . import payload_facts
from .elevated_rings import ElevatedRings
from .lasting import Lasting
from .lives import ELEVATION_TYPES, Elevations

RING_TYPES = frozenset({*ELEVATION_TYPES, *payload_facts.RING_TRANSITIONS})
"""What tells in which ring an agent is."""

_LONGEST_SECONDS = 1e9  # 30 years: whoever grants for longer means no end


@frozen
class Grant:
    """An elevation.

    Attributes:
        begun_ns: When it was granted, in nanoseconds since the epoch.
        until_ns: When it is over at the latest, likewise; None: nobody said.
    """

    begun_ns: int
    until_ns: int | None


class PresentRings:
    """Follow in which ring each agent is."""

    def __init__(self) -> None:
        self.by_agent: dict[str, int] = {}
        """The ring of each agent of which it is known, by its DID; empty where none was named."""
        self._grants: Lasting[Grant] = Lasting()
        self._elevations: Elevations[Grant] = Elevations(_granted, self._grants)
        self._elevated_rings = ElevatedRings()

    def take(self, event: HypervisorEvent) -> list[Grant]:
        """Take one event of any type, in order; give the elevations that it ended."""
        kind, agent = event.event_type, event.agent_did or ""
        if kind not in RING_TYPES:
            return []
        if kind == EventType.RING_ELEVATED:
            self._elevated_rings.begin(event, self.by_agent.get(agent))
        ended = self._elevations.take(event)
        if ended:
            keys = [key for key, _ in ended]
            self.by_agent |= self._elevated_rings.end(event, keys, self.by_agent.get)
        if kind in payload_facts.RING_TRANSITIONS:
            ring = payload_facts.ring(event)
            if ring is not None:
                self.by_agent[agent] = ring
        return [grant for _, grant in ended]

    def grant_of(self, agent: str) -> Grant | None:
        """Give the newest elevation of an agent that goes on; None: it is not elevated."""
        grants = self._grants.of_agent(agent)
        return grants[-1] if grants else None

    def forget(self, agent: str) -> None:
        """Forget the ring of an agent."""
        self.by_agent.pop(agent, None)


def _granted(event: HypervisorEvent) -> Grant:
    begun = event.timestamp_ns
    seconds = payload_facts.amount(event, "ttl_seconds")
    if seconds is None:
        return Grant(begun, payload_facts.moment_ns(event, "expires_at"))
    return Grant(begun, begun + round(seconds * 1e9) if seconds < _LONGEST_SECONDS else None)
