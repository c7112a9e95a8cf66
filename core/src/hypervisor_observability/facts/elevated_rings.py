"""In which ring an agent is again when its elevation has ended and nobody told the ring."""

from collections.abc import Callable, Iterable

from attrs import frozen

from ..events.event import HypervisorEvent
from . import payload_facts
from .lasting import Key, Lasting, key_of


@frozen
class _Elevation:
    before: int
    ring: int


class ElevatedRings:
    """Remember from which rings agents were elevated.

    A demotion or an expiry tells the agent's ring. A kill, the end of the agent's work or of its
    session does not: then the agent is in the ring that it had before, unless something has told
    another ring since; or in the innermost to which it is still elevated.
    """

    def __init__(self) -> None:
        self._kept: Lasting[_Elevation] = Lasting()

    def begin(self, event: HypervisorEvent, current: int | None) -> None:
        """Take the beginning of an elevation.

        Args:
            event: Of the type ``ring.elevated``.
            current: The agent's ring until then, if it is known.
        """
        key, ring = key_of(event), payload_facts.ring(event)
        told, known = payload_facts.ring(event, "from_ring"), self._kept.values.get(key)
        if known is not None:  # it begins again: the agent was elevated before that
            current = known.before
        before = current if told is None else told
        if before is not None and ring is not None:
            self._kept.begin(key, _Elevation(before, ring))

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget elevations of which nobody will tell the end."""
        self._kept.take(keys)

    def end(
        self, event: HypervisorEvent, ended: Iterable[Key], current: Callable[[str], int | None]
    ) -> dict[str, int]:
        """Take the elevations that *event* ended; give the rings of agents that it does not tell.

        Args:
            event: Any event.
            ended: What ``lives.Elevations`` gives for it.
            current: Gives the ring of an agent, by its DID (empty where none was named).
        """
        rings: dict[str, int] = {}
        # The newest first, as they would have ended: each gives back the ring of the one before.
        for (_, agent, _), elevation in reversed(self._kept.take(ended)):
            if rings.get(agent, current(agent)) == elevation.ring:
                rings[agent] = elevation.before
        if payload_facts.ring(event) is not None:
            return {}
        return {
            agent: min([ring, *(one.ring for one in self._kept.of_agent(agent))])
            for agent, ring in rings.items()
        }
