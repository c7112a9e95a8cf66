"""Sessions and the agents in them: how many there are, how long they last, who is gone."""

from collections.abc import Callable, Iterable

from ..event_types import AGENT_FINISHED, EventType
from ..events import HypervisorEvent
from .families import MetricFamily
from .histogram import Histogram
from .instruments import Gauge
from .labels import UNKNOWN
from .meter import Gone, Instruments, Moment
from .numbers import seconds_between
from .open_work import Key, OpenWork

SESSIONS_ACTIVE = "agent_hypervisor_sessions_active"
SESSION_DURATION = "agent_hypervisor_session_duration_seconds"
AGENTS_ACTIVE = "agent_hypervisor_agents_active"

SESSION_BOUNDS_SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)

_ENDS = (EventType.SESSION_TERMINATED, EventType.SESSION_ARCHIVED)
_LEAVES = (AGENT_FINISHED, EventType.AGENT_KILLED)


class SessionMetrics:
    """Open sessions and the agents that work in them.

    Args:
        moment: On whose behalf events are observed.
        on_join: Called with each event by which an agent joins.
        on_end: Called with each session that ended.
        on_gone: Called with each agent that works in no session any more.
    """

    event_types: Iterable[str] = (
        EventType.SESSION_CREATED,
        EventType.SESSION_JOINED,
        *_ENDS,
        *_LEAVES,
    )

    def __init__(
        self,
        moment: Moment,
        *,
        on_join: Callable[[HypervisorEvent], None],
        on_end: Callable[[str], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._moment = moment
        self._on_join, self._on_end, self._on_gone = on_join, on_end, on_gone
        self._sessions = OpenWork()
        self._members = OpenWork(2)  # by (agent, session)
        self._active = Gauge(SESSIONS_ACTIVE, "Sessions that were created and have not ended")
        self._agents = Gauge(AGENTS_ACTIVE, "Agents that have joined and not finished")
        self.duration = Histogram(
            SESSION_DURATION,
            "Time that sessions took",
            bounds=SESSION_BOUNDS_SECONDS,
            unit="seconds",
        )
        self.instruments = Instruments(
            self.duration,
            self._active,
            self._agents,
            open_work={"sessions": self._sessions, "members": self._members},
            forgotten=self._follow,
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of a session's life."""
        kind = event.event_type
        agent, session = event.agent_did or UNKNOWN, event.session_id or UNKNOWN
        if kind == EventType.SESSION_CREATED:
            self._sessions.begin((session,), event.timestamp_ns, self._moment.run)
        elif kind == EventType.SESSION_JOINED:
            self._join((agent, session), event)
        elif kind in _LEAVES:
            self._leave((agent, session))
            if kind == EventType.AGENT_KILLED and event.session_id is None:
                for key in self._members.having(0, agent):
                    self._leave(key)
        else:
            self._end(session, event)

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [
            self._active.family({(): self._sessions.count}),
            self._agents.family({(): self._members.values(0)}),
            self.duration.family(),
        ]

    def works(self, agent: str) -> bool:
        """Tell whether the agent works in any session."""
        return bool(self._members.having(0, agent))

    def _join(self, key: Key, event: HypervisorEvent) -> None:
        given_up = self._members.begin(key, event.timestamp_ns, self._moment.run)
        if given_up is not None:
            self._see_off(given_up)
        self._on_join(event)

    def _leave(self, key: Key) -> None:
        if self._members.end(key, self._moment.run) is not None:
            self._see_off(key)

    def _end(self, session: str, event: HypervisorEvent) -> None:
        begun = self._sessions.end((session,), self._moment.run)
        if begun is not None:  # archived after it was terminated: it has ended before
            seconds = seconds_between(begun, event, "duration_seconds")
            self.duration.observe((), seconds, event)
        for key in self._members.having(1, session):
            self._leave(key)
        self._on_end(session)

    def _follow(self, gone: Gone) -> None:
        """Follow the end of a run."""
        for key in gone.get("members", ()):
            self._see_off(key)
        for (session,) in gone.get("sessions", ()):
            self._on_end(session)

    def _see_off(self, key: Key) -> None:
        if not self.works(key[0]):
            self._on_gone(key[0])
