"""What lasts from one event to another (elevations, quarantines, vouches), and which an event ends.

Each is as fine as the event says: it is told apart by its own id, its agent and its session.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from . import payload_facts

MAX_LASTING = 10_000
"""Most that are followed at once; beyond, the oldest is given up."""

Key = tuple[str, ...]
"""Its own id, its agent and its session; each is empty where the event names none."""

T = TypeVar("T")

_ID_KEYS = {
    EventType.RING_ELEVATED: "elevation_id",
    EventType.RING_DEMOTED: "elevation_id",
    EventType.RING_ELEVATION_EXPIRED: "elevation_id",
    EventType.QUARANTINE_ENTERED: "quarantine_id",
    EventType.QUARANTINE_RELEASED: "quarantine_id",
    EventType.VOUCH_CREATED: "vouch_id",
    EventType.VOUCH_RELEASED: "vouch_id",
}


def key_of(event: HypervisorEvent) -> Key:
    """Give what *event* begins or ends, as far as it says."""
    own = payload_facts.name(event, _ID_KEYS[event.event_type])
    return (own, event.agent_did or "", event.session_id or "")


class Following(Protocol):
    """What follows things that last."""

    def follows(self, key: Key) -> bool:
        """Tell whether that goes on."""

    def newest_named(self, own: str) -> Key | None:
        """Give the newest that has this id."""

    def newest_at(self, agent: str, session: str) -> Key | None:
        """Give the newest of an agent in a session."""


def ended_by(key: Key, going_on: Following) -> Key | None:
    """Give which of what goes on an event ends; None if none.

    That is the one of its id; where none has that, the one without an id of the same agent and
    session. An event without an id ends the newest of its agent and session.

    Args:
        key: What ``key_of`` gives for the event.
        going_on: What goes on.
    """
    if going_on.follows(key):
        return key
    own, agent, session = key
    if not own:
        return going_on.newest_at(agent, session)
    named = going_on.newest_named(own)
    if named is None and going_on.follows(("", agent, session)):
        return ("", agent, session)
    return named


class Lasting(Generic[T]):
    """Follow things that last, each with a value.

    Keys of one part will do too: what has such a key is found by that alone.

    Args:
        goes_on: Whether what begins again, before it has ended, goes on from its first beginning;
            else it begins anew.
    """

    def __init__(self, *, goes_on: bool = False) -> None:
        self._goes_on = goes_on
        # An OrderedDict gives its first entry at once; a dict looks over all that were deleted.
        self.values: OrderedDict[Key, T] = OrderedDict()
        self._by_own: dict[str, dict[Key, None]] = {}
        self._by_agent: dict[str, dict[Key, None]] = {}
        self._by_session: dict[str, dict[Key, None]] = {}
        self._by_place: dict[Key, dict[Key, None]] = {}

    def begin(self, key: Key, value: T) -> list[tuple[Key, T]]:
        """Note that something began; give what was given up for it, if there were too many."""
        if key in self.values:
            if self._goes_on:
                return []
            self.take([key])
        self.values[key] = value
        for index, part in self._indexes(key):
            index.setdefault(part, {})[key] = None
        return self.take([next(iter(self.values))]) if len(self.values) > MAX_LASTING else []

    def end(self, key: Key) -> list[tuple[Key, T]]:
        """Take out what an event ends, if there is any; see ``ended_by``."""
        found = key if len(key) == 1 else ended_by(key, self)
        return [] if found is None else self.take([found])

    def end_all(self, agent: str, sessions: list[str] | None) -> list[tuple[Key, T]]:
        """Take out what an agent has in *sessions*; None: all that it has."""
        if sessions is None:
            return self.take(self._by_agent.get(agent, ()))
        places = (self._by_place.get((agent, session), ()) for session in sessions)
        return self.take(key for keys in places for key in keys)

    def end_session(self, session: str) -> list[tuple[Key, T]]:
        """Take out what is in a session."""
        found = self._by_session.get(session)
        return self.take(found) if found else []

    def take(self, keys: Iterable[Key]) -> list[tuple[Key, T]]:
        """Take out those of *keys* that there are."""
        found = [(key, self.values.pop(key)) for key in list(keys) if key in self.values]
        for key, _ in found:
            for index, part in self._indexes(key):
                left = index[part]
                del left[key]
                if not left:
                    del index[part]
        return found

    def any_of(self, agent: str, session: str = "") -> bool:
        """Tell whether an agent has any in a session; without one, whether it has any."""
        return (agent, session) in self._by_place if session else agent in self._by_agent

    def of_agent(self, agent: str) -> list[T]:
        """Give all that an agent has."""
        return [self.values[key] for key in self._by_agent.get(agent, ())]

    def agents(self) -> int:
        """Tell how many agents have any."""
        return len(self._by_agent)

    def follows(self, key: Key) -> bool:
        """Tell whether that goes on."""
        return key in self.values

    def newest_named(self, own: str) -> Key | None:
        """Give the newest that has this id."""
        return next(reversed(self._by_own.get(own, {})), None)

    def newest_at(self, agent: str, session: str) -> Key | None:
        """Give the newest of an agent in a session."""
        return next(reversed(self._by_place.get((agent, session), {})), None)

    def _indexes(self, key: Key) -> Iterable[tuple[dict[Any, dict[Key, None]], Any]]:
        if len(key) == 1:
            return ()
        own, agent, session = key
        return (
            (self._by_own, own),
            (self._by_agent, agent),
            (self._by_session, session),
            (self._by_place, (agent, session)),
        )
