"""What lasts from one event to another (elevations, quarantines, vouches), and what ends which.

Each is as fine as the event says: it is told apart by its own id, its agent and its session.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from . import payload_facts

MAX_LASTING = 10_000
"""Most that are followed at once; beyond, the oldest is given up."""

Key = tuple[str, str, str]
"""Its own id, its agent and its session; each is empty where the event names none."""

T = TypeVar("T")

_ELEVATION_ENDS = frozenset({EventType.RING_DEMOTED, EventType.RING_ELEVATION_EXPIRED})
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


def sessions_left(event: HypervisorEvent, works: Callable[[str, str], bool]) -> list[str] | None:
    """Give the sessions in which an agent's elevations end as it ended work with *event*.

    A kill ends them all. A finish ends those where the agent does no other work.

    Args:
        event: One for which ``payload_facts.ends_agent`` is true.
        works: Tells whether an agent works in a session; with ``""`` for that, whether in any.

    Returns:
        The sessions, ``""`` for what is in none; None: all.
    """
    agent, session = event.agent_did or "", event.session_id
    killed = payload_facts.is_kill(event)
    if session is None:
        return None if killed or not works(agent, "") else []
    return [one for one in (session, "") if killed or not works(agent, one)]


def work_key(event: HypervisorEvent) -> Key:
    """Tell an agent's work apart: by its causal id, the agent and the session."""
    return (event.causal_trace_id or "", event.agent_did or "", event.session_id or "")


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
    own, agent, session = key
    if going_on.follows(key):
        return key
    if not own:
        return going_on.newest_at(agent, session)
    named = going_on.newest_named(own)
    if named is None and going_on.follows(("", agent, session)):
        return ("", agent, session)
    return named


class Lasting(Generic[T]):
    """Follow things that last, each with a value."""

    def __init__(self) -> None:
        self._values: dict[Key, T] = {}
        self._indexes: dict[tuple[str, ...], dict[Key, None]] = {}

    def begin(self, key: Key, value: T) -> None:
        """Note that something began, in the place of what has the same key."""
        self._take(key)
        self._values[key] = value
        for index in _indexes(key):
            self._indexes.setdefault(index, {})[key] = None
        if len(self._values) > MAX_LASTING:
            self._take(next(iter(self._values)))

    def end(self, key: Key) -> T | None:
        """Take out what an event ends; see ``ended_by``."""
        found = ended_by(key, self)
        return None if found is None else self._take(found)

    def end_all(self, agent: str, sessions: list[str] | None) -> list[T]:
        """Take out what an agent has in *sessions*; None: all that it has."""
        if sessions is None:
            return self._take_all([("agent", agent)])
        return self._take_all([("place", agent, one) for one in sessions])

    def end_session(self, session: str) -> list[T]:
        """Take out what is in a session."""
        return self._take_all([("session", session)])

    def any_of(self, agent: str, session: str = "") -> bool:
        """Tell whether an agent has any in a session; without one, whether it has any."""
        return (("place", agent, session) if session else ("agent", agent)) in self._indexes

    def follows(self, key: Key) -> bool:
        """Tell whether that goes on."""
        return key in self._values

    def newest_named(self, own: str) -> Key | None:
        """Give the newest that has this id."""
        return self._newest(("own", own))

    def newest_at(self, agent: str, session: str) -> Key | None:
        """Give the newest of an agent in a session."""
        return self._newest(("place", agent, session))

    def _newest(self, index: tuple[str, ...]) -> Key | None:
        found = self._indexes.get(index)
        return None if found is None else next(reversed(found))

    def _take_all(self, indexes: Iterable[tuple[str, ...]]) -> list[T]:
        keys = [key for index in indexes for key in self._indexes.get(index, ())]
        return [value for key in keys if (value := self._take(key)) is not None]

    def _take(self, key: Key) -> T | None:
        if key not in self._values:
            return None
        for index in _indexes(key):
            found = self._indexes[index]
            del found[key]
            if not found:
                del self._indexes[index]
        return self._values.pop(key)


def _indexes(key: Key) -> Iterator[tuple[str, ...]]:
    own, agent, session = key
    yield "own", own
    yield "agent", agent
    yield "session", session
    yield "place", agent, session


class Elevations(Generic[T]):
    """Follow who is elevated, each elevation with a value.

    Nobody is elevated any more who was demoted, was killed, has finished, or whose session has
    ended.
    """

    def __init__(self) -> None:
        self._elevations: Lasting[T] = Lasting()
        self._works: Lasting[bool] = Lasting()

    def take(self, event: HypervisorEvent, value: T) -> list[T]:
        """Take one event, in order; give the values of the elevations that it ended.

        Args:
            event: Of any type.
            value: The elevation's, if *event* begins one; not None.
        """
        kind = event.event_type
        if kind == EventType.RING_ELEVATED:
            self._elevations.begin(key_of(event), value)
        elif kind in _ELEVATION_ENDS:
            ended = self._elevations.end(key_of(event))
            return [] if ended is None else [ended]
        elif kind == EventType.SESSION_JOINED:
            self._works.begin(work_key(event), True)
        elif payload_facts.ends_agent(event):
            return self._end_work(event)
        elif kind in payload_facts.SESSION_ENDS and event.session_id:
            self._works.end_session(event.session_id)
            return self._elevations.end_session(event.session_id)
        return []

    def _end_work(self, event: HypervisorEvent) -> list[T]:
        agent = event.agent_did or ""
        if payload_facts.is_kill(event):
            self._works.end_all(agent, sessions_left(event, self._works.any_of))
        else:
            self._works.end(work_key(event))
        return self._elevations.end_all(agent, sessions_left(event, self._works.any_of))
