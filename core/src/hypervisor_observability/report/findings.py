"""What a report tells, gathered from events in one pass."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import GOVERNANCE_DECISION, EventType
from ..facts import payload_facts, saga_facts
from ..facts.present_rings import RING_TYPES, PresentRings
from ..facts.prices import Prices
from .activity import Activity, Taker
from .breaches import NewestBreaches
from .calls import trace_of
from .kept_traces import KeptTraces
from .saga_census import SagaCensus
from .sagas import SagaStory, tell_saga
from .timeline import Timeline

MOST_SAGAS = 20
"""How many sagas are drawn: the newest."""

ELEVATION_BOUNDS_SECONDS = (1, 10, 60, 300, 900, 3600)

_DECISIONS = {"allow": "allowed", "deny": "denied"}
_GREATEST_SCORE = 1_000_000


@define(eq=False)
class Findings:
    """What was found.

    Attributes:
        events: How many events there were.
        first_ns: The earliest time; None: there were none.
        last_ns: The latest one.
        transitions: Changes of rings: when, and what kind.
        breaches: When, and of which severity.
        breaches_by_agent: How many.
        newest_breaches: The newest of them one by one.
        elevations: How many elevations that ended took up to each of
            :data:`ELEVATION_BOUNDS_SECONDS` and more than the one before, and how many longer.
        decisions: How many uses of tools were allowed, and how many denied.
        allowed_by_agent: The same for each agent: [denied, allowed].
        trust_by_agent: The score that each agent had when its identity was last verified; in
            agent-hypervisor, what its IATP manifest gives it, 0 to 10.
        sagas: The newest sagas by id, oldest first. Each has all that is told of it: one that
            had to go for a newer one does not come back.
        census: How many there were, and how they ended.
        activity: Runs, agents, calls of tools and models, handoffs, refusals and errors.
        traces: The traces whose trees are drawn.
    """

    events: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    transitions: Timeline = field(factory=Timeline)
    breaches: Timeline = field(factory=Timeline)
    breaches_by_agent: Counter[str] = field(factory=Counter)
    newest_breaches: NewestBreaches = field(factory=NewestBreaches)
    elevations: list[int] = field(factory=lambda: [0] * (len(ELEVATION_BOUNDS_SECONDS) + 1))
    decisions: Counter[str] = field(factory=Counter)
    allowed_by_agent: dict[str, list[int]] = field(factory=dict)
    trust_by_agent: dict[str, float] = field(factory=dict)
    sagas: dict[str, SagaStory] = field(factory=dict)
    census: SagaCensus = field(factory=SagaCensus)
    activity: Activity = field(factory=Activity)
    traces: KeptTraces = field(factory=KeptTraces)
    _rings: PresentRings = field(factory=PresentRings, init=False)
    _takers: dict[str, tuple[Taker, ...]] = field(init=False)

    @_takers.default
    def _takers_by_type(self) -> dict[str, tuple[Taker, ...]]:
        takers: dict[str, tuple[Taker, ...]] = {}
        for types, taker in (
            (RING_TYPES, self._ring),
            ([EventType.RING_BREACH_DETECTED], self._breach),
            ([GOVERNANCE_DECISION], self._decided),
            ([EventType.IDENTITY_VERIFIED], self._identity),
            (saga_facts.SAGA_TYPES, self._saga),
            *self.activity.takers,
        ):
            for kind in types:
                takers[kind] = (*takers.get(kind, ()), taker)
        return takers

    @classmethod
    def of(cls, events: Iterable[HypervisorEvent], *, prices: Prices | None = None) -> "Findings":
        """Gather them from *events*.

        Args:
            events: What happened.
            prices: To estimate costs of which nobody told; None: they are not estimated.
        """
        findings = cls(activity=Activity(prices=prices))
        for event in events:
            findings.take(event)
        return findings

    def take(self, event: HypervisorEvent) -> None:
        """Take one event."""
        self.events += 1
        now = event.timestamp_ns
        if self.first_ns is None or self.last_ns is None:
            self.first_ns = self.last_ns = now
        elif now > self.last_ns:
            self.last_ns = now
        elif now < self.first_ns:
            self.first_ns = now
        self.traces.take(event)
        for take in self._takers.get(event.event_type, ()):
            take(event)

    def _ring(self, event: HypervisorEvent) -> None:
        for grant in self._rings.take(event):
            seconds = max(0, event.timestamp_ns - grant.begun_ns) / 1e9
            self.elevations[bisect_left(ELEVATION_BOUNDS_SECONDS, seconds)] += 1
        kind = payload_facts.RING_TRANSITIONS.get(event.event_type)
        if kind is not None:
            self.transitions.add(event.timestamp_ns, kind)

    def _breach(self, event: HypervisorEvent) -> None:
        self.breaches.add(event.timestamp_ns, payload_facts.severity(event))
        self.breaches_by_agent[_agent(event)] += 1
        self.newest_breaches.take(event)

    def _decided(self, event: HypervisorEvent) -> None:
        decision = payload_facts.decision(event)
        self.decisions[_DECISIONS.get(decision, decision)] += 1
        if decision in _DECISIONS:
            allowed = decision == "allow"
            self.allowed_by_agent.setdefault(_agent(event), [0, 0])[allowed] += 1

    def _identity(self, event: HypervisorEvent) -> None:
        score = payload_facts.amount(event, "iatp_trust_score")
        # A number may have more digits than a picture has room for.
        if score is not None and score <= _GREATEST_SCORE:
            self.trust_by_agent[_agent(event)] = score

    def _saga(self, event: HypervisorEvent) -> None:
        name = saga_facts.saga_id(event)
        if self.census.meet(name):
            self.sagas[name] = SagaStory(name, event.timestamp_ns, trace=trace_of(event))
            if len(self.sagas) > MOST_SAGAS:
                del self.sagas[next(iter(self.sagas))]
        if (saga := self.sagas.get(name)) is not None:
            tell_saga(saga, event)
        if event.event_type in saga_facts.SAGA_ENDS:
            self.census.end(name, saga_facts.outcome(event))

    @property
    def rings(self) -> dict[str, int]:
        """Each agent's last known ring."""
        known = self._rings.by_agent
        return {agent or payload_facts.UNKNOWN: ring for agent, ring in known.items()}

    @property
    def sagas_seen(self) -> int:
        """How many sagas there were, at least: see ``census.is_complete``."""
        return len(self.census)

    @property
    def outcomes(self) -> Counter[str]:
        """How many sagas ended in which way."""
        return self.census.outcomes


def _agent(event: HypervisorEvent) -> str:
    return event.agent_did or payload_facts.UNKNOWN
