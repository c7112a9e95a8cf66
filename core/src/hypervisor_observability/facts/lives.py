"""Who works where, who is elevated, and what ends that: the life of agents."""

from collections.abc import Callable
from typing import Generic, TypeVar

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_FINISHED, EventType
from . import payload_facts
from .lasting import Key, Lasting, key_of

ELEVATION_ENDS = ("demoted", "expired", "killed", "finished", "session")
"""What ends an elevation, see ``elevation_end``."""

LIFE_TYPES = frozenset(
    {
        EventType.SESSION_JOINED,
        *payload_facts.SESSION_ENDS,
        AGENT_FINISHED,
        EventType.AGENT_KILLED,
        EventType.QUARANTINE_ENTERED,
    }
)
"""What tells who works where."""

_ELEVATION_ENDS = frozenset({EventType.RING_DEMOTED, EventType.RING_ELEVATION_EXPIRED})
ELEVATION_TYPES = frozenset({EventType.RING_ELEVATED, *_ELEVATION_ENDS, *LIFE_TYPES})
"""What tells who is elevated."""

T = TypeVar("T")


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


def elevation_end(event: HypervisorEvent) -> str:
    """Give how an elevation ended that *event* ended: one of ``ELEVATION_ENDS``."""
    kind = event.event_type
    if kind in payload_facts.RING_TRANSITIONS:
        return payload_facts.RING_TRANSITIONS[kind]
    if kind in payload_facts.SESSION_ENDS:
        return "session"
    return "killed" if payload_facts.is_kill(event) else "finished"


class Members(Generic[T]):
    """Follow which agent works in which session.

    Each piece of its work is told apart by its causal id: who works twice in a session and has
    finished once, works on.

    Args:
        kept: Where the pieces are kept.
        value_of: Gives the value of a piece from the event that begins it.
    """

    def __init__(self, kept: Lasting[T], value_of: Callable[[HypervisorEvent], T]) -> None:
        self._kept, self._value_of = kept, value_of
        self.works = kept.any_of
        """Tells whether an agent works in a session; without one, whether in any."""

    def take(self, event: HypervisorEvent) -> list[tuple[Key, T]]:
        """Take one event of any type, in order; give what ended with it, or was given up."""
        kind = event.event_type
        if kind == EventType.SESSION_JOINED:
            return self._kept.begin(work_key(event), self._value_of(event))
        if kind in payload_facts.SESSION_ENDS:
            return self._kept.end_session(event.session_id) if event.session_id else []
        if not payload_facts.ends_agent(event):
            return []
        if payload_facts.is_kill(event):
            return self._kept.end_all(event.agent_did or "", sessions_left(event, self.works))
        return self._kept.end(work_key(event))


class Elevations(Generic[T]):
    """Follow who is elevated, each elevation with a value.

    Nobody is elevated any more who was demoted, was killed, has finished, or whose session has
    ended.

    Args:
        value_of: Gives the value of an elevation from the event that begins it.
        kept: Where elevations are kept; None: here alone.
        works: Tells whether an agent works in a session; without one, whether in any. None: that
            is followed here.
    """

    def __init__(
        self,
        value_of: Callable[[HypervisorEvent], T],
        kept: Lasting[T] | None = None,
        works: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._value_of = value_of
        self._kept: Lasting[T] = Lasting() if kept is None else kept
        self._members = Members(Lasting[bool](), lambda _: True)
        self._is_told = works is not None
        self._works = works or self._members.works

    def take(self, event: HypervisorEvent) -> list[tuple[Key, T]]:
        """Take one event of any type, in order; give the elevations that it ended."""
        kind = event.event_type
        if kind == EventType.RING_ELEVATED:
            self._kept.begin(key_of(event), self._value_of(event))
        elif kind in _ELEVATION_ENDS:
            return self._kept.end(key_of(event))
        elif kind in LIFE_TYPES:
            if not self._is_told:
                self._members.take(event)
            if kind in payload_facts.SESSION_ENDS:
                return self._kept.end_session(event.session_id) if event.session_id else []
            agent = event.agent_did or ""
            if self._kept.any_of(agent) and payload_facts.ends_agent(event):
                return self._kept.end_all(agent, sessions_left(event, self._works))
        return []
