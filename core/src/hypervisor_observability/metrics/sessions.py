"""Sessions and the agents in them: how many there are, how long they last, who is gone."""

from collections.abc import Callable, Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_FINISHED, EventType
from ..facts import lasting, payload_facts
from .histogram import Histogram
from .instruments import Gauge
from .labels import UNKNOWN
from .meter import Gone, Instruments, Moment
from .open_work import Key, OpenWork
from .uncounted import Uncounted

SESSIONS_ACTIVE = "agent_hypervisor_sessions_active"
SESSION_DURATION = "agent_hypervisor_session_duration_seconds"
AGENTS_ACTIVE = "agent_hypervisor_agents_active"

SESSION_BOUNDS_SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)


class SessionMetrics:
    """Open sessions and the agents that work in them.

    Each piece of an agent's work is told apart by its causal id: who works twice in a session
    and has finished once, works on.

    Args:
        moment: On whose behalf events are observed.
        uncounted: Where durations that are none are counted.
        on_join: Called with each event by which an agent joins.
        on_leave: Called with each event by which an agent ends work.
        on_end: Called with each session that ended, and the event that ended it; None: the end
            of its run.
        on_gone: Called with each agent that works in no session any more.
    """

    event_types: Iterable[str] = (
        EventType.SESSION_CREATED,
        EventType.SESSION_JOINED,
        *payload_facts.SESSION_ENDS,
        AGENT_FINISHED,
        EventType.AGENT_KILLED,
        EventType.QUARANTINE_ENTERED,
    )

    def __init__(
        self,
        moment: Moment,
        uncounted: Uncounted,
        *,
        on_join: Callable[[HypervisorEvent], None],
        on_leave: Callable[[HypervisorEvent], None],
        on_end: Callable[[str, HypervisorEvent | None], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._moment, self._uncounted = moment, uncounted
        self._on_join, self._on_leave = on_join, on_leave
        self._on_end, self._on_gone = on_end, on_gone
        self._sessions = OpenWork()
        self._members = OpenWork(3)  # by causal id, agent and session
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
                shown=lambda: {(): self._sessions.count},
            ),
            Gauge(
                AGENTS_ACTIVE,
                "Agents that have joined and not finished",
                shown=lambda: {(): self._members.values(1)},
            ),
            self.duration,
            open_work={"sessions": self._sessions, "members": self._members},
            forgotten=self._follow,
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of a session's life."""
        kind, session = event.event_type, event.session_id
        if kind == EventType.SESSION_CREATED:
            if session is not None:  # else nothing would tell which end belongs to it
                self._sessions.begin((session,), event.timestamp_ns, self._moment.run)
        elif kind == EventType.SESSION_JOINED:
            self._join(event)
        elif kind in payload_facts.SESSION_ENDS:
            if session is not None:
                self._end(session, event)
        elif payload_facts.ends_agent(event):
            self._leave(event)

    def works(self, agent: str, session: str = "") -> bool:
        """Tell whether the agent works in a session; without one, whether it works in any."""
        if session:
            return self._members.newest_at(agent, session) is not None
        return bool(self._members.having(1, agent))

    def _join(self, event: HypervisorEvent) -> None:
        given_up = self._members.begin(
            lasting.work_key(event), event.timestamp_ns, self._moment.run
        )
        if given_up is not None:
            self._see_off(given_up)
        self._on_join(event)

    def _leave(self, event: HypervisorEvent) -> None:
        ended: list[Key | None] = [self._members.ended_by(lasting.work_key(event))]
        if payload_facts.is_kill(event):
            sessions = lasting.sessions_left(event, self.works)
            ended += self._members.of_agent(event.agent_did or "", sessions)
        for key in ended:
            if self._members.end(key, self._moment.run) is not None and key is not None:
                self._see_off(key)
        self._on_leave(event)

    def _end(self, session: str, event: HypervisorEvent) -> None:
        begun = self._sessions.end((session,), self._moment.run)
        if begun is not None:  # archived after it was terminated: it has ended before
            seconds = self._uncounted.seconds(begun.start_ns, event, SESSION_DURATION)
            self.duration.observe((), seconds, event)
        for key in self._members.having(2, session):
            self._members.end(key, self._moment.run)
            self._see_off(key)
        self._on_end(session, event)

    def _follow(self, gone: Gone) -> None:
        """Follow the end of a run."""
        for key in gone.get("members", ()):
            self._see_off(key)
        for (session,) in gone.get("sessions", ()):
            self._on_end(session, None)

    def _see_off(self, key: Key) -> None:
        agent = key[1]
        if not self.works(agent):
            self._on_gone(agent or UNKNOWN)
