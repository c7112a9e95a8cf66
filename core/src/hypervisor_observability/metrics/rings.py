"""Rings: transitions, breaches, current levels and elevations, counted from events."""

from collections.abc import Callable

from ..events import clock
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import lives, payload_facts
from ..facts.elevated_rings import ElevatedRings
from .families import LabelValues
from .histogram import Histogram
from .instruments import Counter, Gauge
from .labels import UNKNOWN, LabelRules
from .meter import Instruments
from .open_work import Moment, OpenWork
from .series import Labels

TRANSITIONS = "agent_hypervisor_ring_transitions_total"
BREACHES = "agent_hypervisor_ring_breaches_total"
CURRENT = "agent_hypervisor_ring_current"
ELEVATION_DURATION = "agent_hypervisor_ring_elevation_duration_seconds"
ELEVATION_ACTIVE = "agent_hypervisor_ring_elevation_active_seconds"
INVALID = "agent_hypervisor_ring_invalid_total"
TRANSITIONS_BY_AGENT = "agent_hypervisor_ring_transitions_by_agent_total"
BREACHES_BY_AGENT = "agent_hypervisor_ring_breaches_by_agent_total"
BREACHES_BY_SEVERITY = "agent_hypervisor_ring_breaches_by_severity_total"
ELEVATIONS = "agent_hypervisor_ring_elevation_seconds"

RING_TYPES = (*payload_facts.RING_TRANSITIONS, EventType.RING_BREACH_DETECTED)
ELEVATION_BOUNDS_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600)

_TRANSITIONS = tuple(kind.value for kind in payload_facts.RING_TRANSITIONS)
_AGENT: Labels = {"agent_did": ()}


class RingMetrics:
    """The state of all rings, as far as the events observed so far tell.

    Args:
        rules: How agents and sessions are shown.
        now_ns: Gives the present time in nanoseconds since the epoch, for elevations that
            are still running.
        moment: On whose behalf events are observed.
        works: Tells whether an agent works in a session; without one, whether in any. None: that
            is followed here.
        expecting: Whether counters of a known agent are there, at zero, before their first
            increment.
    """

    event_types = (*RING_TYPES, *lives.LIFE_TYPES)

    def __init__(
        self,
        rules: LabelRules = LabelRules(),  # noqa: B008 - frozen
        now_ns: Callable[[], int] = clock.now_ns,
        moment: Moment | None = None,
        *,
        works: Callable[[str, str], bool] | None = None,
        expecting: bool = True,
    ) -> None:
        self._expecting = expecting
        self._rules = rules
        self._now_ns = now_ns
        self._moment = moment or Moment()
        own: Labels = {**_AGENT, "session_id": ()} if rules.shows_sessions else _AGENT
        self.transitions = Counter(
            TRANSITIONS,
            "Ring assignments, elevations, demotions and expirations",
            {"event_type": _TRANSITIONS, **own},
        )
        self.breaches = Counter(BREACHES, "Capability boundary violations", own)
        self.current = Gauge(
            CURRENT,
            "Current ring of the agent (0=root, 3=sandbox)",
            _AGENT,
            shown=lambda: self._shown(self._rings(), min),
        )
        self.invalid = Counter(INVALID, "Ring events whose ring is none")
        self.transitions_by_agent = Counter(
            TRANSITIONS_BY_AGENT,
            "Ring transitions, whatever the session: exact when sessions end",
            {"event_type": _TRANSITIONS, **_AGENT},
        )
        self.breaches_by_agent = Counter(
            BREACHES_BY_AGENT,
            "Ring breaches, whatever the session: exact when sessions end",
            _AGENT,
        )
        self.breaches_by_severity = Counter(
            BREACHES_BY_SEVERITY,
            "Ring breaches of all agents, by severity",
            {"severity": payload_facts.SEVERITIES},
        )
        self.elevations = Histogram(
            ELEVATIONS,
            "Time that finished elevations took, by how they ended",
            {"end": lives.ELEVATION_ENDS},
            bounds=ELEVATION_BOUNDS_SECONDS,
            unit="seconds",
        )
        self._running = OpenWork(self._moment, 3)
        self._elevated = lives.Elevations(self._running.opened, self._running.lasting, works)
        self._elevated_rings = ElevatedRings()
        self._last_seconds = Gauge(
            ELEVATION_DURATION,
            "Time spent at elevated privilege: running, else the last finished one",
            _AGENT,
            unit="seconds",
            shown=lambda: self._shown(self.elevation_seconds(), max),
        )
        self._active_seconds = Gauge(
            ELEVATION_ACTIVE,
            "Time spent at elevated privilege so far; absent when not elevated",
            _AGENT,
            unit="seconds",
            shown=lambda: self._shown(self.active_seconds(), max),
        )
        self.published = Instruments(
            self.transitions,
            self.breaches,
            self.current,
            self._last_seconds,
            self._active_seconds,
            self.invalid,
        )
        """What a ``RingMetricsCollector`` shows."""
        self.instruments = Instruments(
            *self.published,
            self.transitions_by_agent,
            self.breaches_by_agent,
            self.breaches_by_severity,
            self.elevations,
            open_work={"elevations": self._running},
            forgotten=lambda gone: self._elevated_rings.forget(gone["elevations"]),
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one ring event, or learn from an agent's life that an elevation has ended."""
        kind = event.event_type
        if kind == EventType.RING_BREACH_DETECTED:
            agent, own = self._labels(event)
            self.breaches.increase(own, event=event)
            self.breaches_by_agent.increase((agent,), event=event)
            self.breaches_by_severity.increase((payload_facts.severity(event),), event=event)
            return
        if kind in payload_facts.RING_TRANSITIONS:
            agent, own = self._labels(event)
            self.transitions.increase((kind.value, *own), event=event)
            self.transitions_by_agent.increase((kind.value, agent), event=event)
            self._expect(agent, own)
            if kind == EventType.RING_ELEVATED:
                self._elevated_rings.begin(event, self._ring_of(event.agent_did))
            self._take_ring(event)
        elif kind == EventType.SESSION_JOINED:
            self._expect(*self._labels(event))
        ended = self._elevated.take(event)
        if not ended:
            return
        for key, begun in ended:
            seconds = max(0, event.timestamp_ns - begun.start_ns) / 1e9
            self._last_seconds.set((key[1] or UNKNOWN,), seconds, self._moment.run)
            self.elevations.observe((lives.elevation_end(event),), seconds, event)
        rings = self._elevated_rings.end(event, [key for key, _ in ended], self._ring_of)
        for did, ring in rings.items():
            self._set_ring(did, ring)

    def forget_agent(self, agent: str) -> None:
        """Remove the gauges of an agent that is gone."""
        self.current.remove((agent,))
        self._last_seconds.remove((agent,))

    def active_seconds(self) -> dict[str, float]:
        """Give how long each agent that is elevated now has been; its longest elevation."""
        now_ns = self._now_ns()
        active: dict[str, float] = {}
        for key, begun in list(self._running.lasting.values.items()):
            agent, seconds = key[1] or UNKNOWN, max(0, now_ns - begun.start_ns) / 1e9
            active[agent] = max(seconds, active.get(agent, 0.0))
        return active

    def elevation_seconds(self) -> dict[str, float]:
        """Give each agent's running elevation, else its last finished one, in seconds."""
        finished = {agent: value for (agent,), value in self._last_seconds.series.items()}
        return finished | self.active_seconds()

    def _labels(self, event: HypervisorEvent) -> tuple[str, LabelValues]:
        """Give how the agent is shown, alone and beside its session."""
        agent = self._rules.agent(event.agent_did)
        if not self._rules.shows_sessions:
            return agent, (agent,)
        return agent, (agent, event.session_id or UNKNOWN)

    def _expect(self, agent: str, own: LabelValues) -> None:
        """Have the counters of an agent there, at zero, before it does anything."""
        if not self._expecting or own in self.breaches.series:
            return
        self.breaches.show(own)
        self.breaches_by_agent.show((agent,))
        for kind in _TRANSITIONS:
            self.transitions_by_agent.show((kind, agent))

    def _take_ring(self, event: HypervisorEvent) -> None:
        ring = payload_facts.ring(event)
        if (ring is None or not self._set_ring(event.agent_did, ring)) and payload_facts.has_ring(
            event
        ):
            self.invalid.increase(event=event)

    def _set_ring(self, agent: str | None, ring: int) -> bool:
        """Note an agent's ring, if there is such a ring."""
        if ring <= self._rules.max_ring:
            self.current.set((agent or UNKNOWN,), ring, self._moment.run)
            return True
        return False

    def _ring_of(self, agent: str | None) -> int | None:
        ring = self.current.series.get((agent or UNKNOWN,))
        return None if ring is None else int(ring)

    def _rings(self) -> dict[str, float]:
        return {agent: ring for (agent,), ring in list(self.current.series.items())}

    def _shown(
        self, by_agent: dict[str, float], worst: Callable[[float, float], float]
    ) -> dict[tuple[str, ...], float]:
        """Give the series of a gauge; where agents share one, the worst of them."""
        shown: dict[tuple[str, ...], float] = {}
        for agent, value in by_agent.items():
            key = (agent if agent == UNKNOWN else self._rules.agent(agent),)
            shown[key] = worst(value, shown[key]) if key in shown else value
        return shown
