"""Where the running code stands: in which session, as which agent, opened by which event.

An asyncio task starts where the code stood that created it, a new thread starts nowhere.
"""

from typing import NamedTuple, Protocol

from ..causality import baggage
from ..causality.propagation import Extracted
from ..causality.standing import standing
from ..events.event import HypervisorEvent


class SagaAround(Protocol):
    """A saga, as code that runs in it sees it."""

    @property
    def saga_id(self) -> str:
        """Unique."""


class Place(NamedTuple):  # one is made for each scope, and a tuple in a third of the time
    """What events take over from their surroundings.

    Attributes:
        session_id: The session around the code; None outside of any.
        agent_did: The agent that the code runs as; None outside of any.
        opened_by: ``event_id`` of the event that opened the innermost scope.
        saga: The innermost saga around the code; None outside of any.
    """

    session_id: str | None = None
    agent_did: str | None = None
    opened_by: str | None = None
    saga: SagaAround | None = None

    def within(self, opening: HypervisorEvent | None) -> "Place":
        """Give the place inside the scope that *opening* opened; None: it was not recorded."""
        if opening is None:
            return self
        return Place(self.session_id, self.agent_did, opening.event_id, self.saga)

    def or_else(self, other: "Place") -> "Place":
        """Give this place with what it does not know taken from *other*."""
        return Place(
            other.session_id if self.session_id is None else self.session_id,
            other.agent_did if self.agent_did is None else self.agent_did,
            other.opened_by if self.opened_by is None else self.opened_by,
            other.saga if self.saga is None else self.saga,
        )


NOWHERE = Place()


def current_place() -> Place:
    """Give the place of the running code."""
    place: Place | None = standing().place
    return NOWHERE if place is None else place


def check_caller(caller: object) -> None:
    """Check what a scope was given as its caller.

    Raises:
        TypeError: It is not what ``extract`` gives.
    """
    if caller is not None and not isinstance(caller, Extracted):
        raise TypeError(f"caller: expected what extract() gives, got {type(caller).__name__}")


def link_text(caller: Extracted | None) -> str | None:
    """Give the causal id that work of *caller* is linked with; None where it is not."""
    return None if caller is None or caller.link is None else caller.link.full_id


def baggage_here() -> dict[str, str]:
    """Give what may travel from here as baggage, by name: session, agent as a digest, saga."""
    place = current_place()
    found: dict[str, str] = {}
    if place.session_id is not None:
        found[baggage.SESSION_ID] = place.session_id
    if place.agent_did is not None:
        found[baggage.AGENT_DID] = baggage.digest(place.agent_did)
    if place.saga is not None:
        found[baggage.SAGA_ID] = place.saga.saga_id
    return found
