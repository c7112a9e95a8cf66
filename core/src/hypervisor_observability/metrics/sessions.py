"""Sessions and the agents in them: how many there are, how long they last, who is gone."""

from collections.abc import Callable

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import lives, payload_facts
from ..facts.lasting import Key
from .histogram import Histogram
from .instruments import Gauge
from .labels import UNKNOWN
from .meter import Gone, Instruments
from .open_work import Moment, OpenWork
from .uncounted import Uncounted

SESSIONS_ACTIVE = "agent_hypervisor_sessions_active"
SESSION_DURATION = "agent_hypervisor_session_duration_seconds"
AGENTS_ACTIVE = "agent_hypervisor_agents_active"

SESSION_BOUNDS_SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)


class SessionMetrics:
    """Open sessions and the agents that work in them.

    Args:
        moment: On whose behalf events are observed.
        members: The agents' work in sessions, as ``lives.Members`` follows it.
        uncounted: Where durations that are none are counted.
        on_join: Called with each event by which an agent joins.
        on_end: Called with each session that ended.
        on_gone: Called with each agent that works in no session any more.
    """

    event_types = (EventType.SESSION_CREATED, *lives.LIFE_TYPES)

    def __init__(
        self,
        moment: Moment,
        members: OpenWork,
        uncounted: Uncounted,
        *,
        on_join: Callable[[HypervisorEvent], None],
        on_end: Callable[[str], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._uncounted = uncounted
        self._on_join, self._on_end, self._on_gone = on_join, on_end, on_gone
        self._sessions = sessions = OpenWork(moment)
        self._members = lives.Members(members.lasting, members.opened)
        self.duration = Histogram(
            SESSION_DURATION,
            "Time that sessions took",
            bounds=SESSION_BOUNDS_SECONDS,
            unit="seconds",
        )
        self.instruments = Instruments(
            Gauge(
                SESSIONS_ACTIVE,
                "Sessions that were created and have not ended",
                shown=lambda: {(): sessions.count},
            ),
            Gauge(
                AGENTS_ACTIVE,
                "Agents that have joined and not finished",
                shown=lambda: {(): members.lasting.agents()},
            ),
            self.duration,
            open_work={"sessions": sessions, "members": members},
            forgotten=self._follow,
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of a session's life."""
        kind, session = event.event_type, event.session_id
        if kind == EventType.SESSION_CREATED:
            if session is not None:  # else nothing would tell which end belongs to it
                self._sessions.begin((session,), event)
            return
        if kind in payload_facts.SESSION_ENDS and session is not None:
            self._end(session, event)
        for key, _ in self._members.take(event):
            self._see_off(key)
        if kind == EventType.SESSION_JOINED:
            self._on_join(event)

    def _end(self, session: str, event: HypervisorEvent) -> None:
        begun = self._sessions.end((session,))
        if begun is not None:  # archived after it was terminated: it has ended before
            seconds = self._uncounted.seconds(begun.start_ns, event, SESSION_DURATION)
            self.duration.observe((), seconds, event)
        self._on_end(session)

    def _follow(self, gone: Gone) -> None:
        """Follow the end of a run."""
        for key in gone.get("members", ()):
            self._see_off(key)
        for (session,) in gone.get("sessions", ()):
            self._on_end(session)

    def _see_off(self, key: Key) -> None:
        agent = key[1]
        if not self._members.works(agent):
            self._on_gone(agent or UNKNOWN)
