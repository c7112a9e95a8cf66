"""What a report tells, gathered from events in one pass."""

from collections import Counter, deque
from collections.abc import Iterable

from attrs import define, field

from ..event_types import GOVERNANCE_DECISION, EventType
from ..events import HypervisorEvent
from ..tree import payload_facts
from .sagas import SAGA_TYPES, SagaStory, tell_saga

TRANSITIONS = {
    EventType.RING_ASSIGNED: "assigned",
    EventType.RING_ELEVATED: "elevated",
    EventType.RING_DEMOTED: "demoted",
    EventType.RING_ELEVATION_EXPIRED: "expired",
}
MOST_SAGAS = 20
"""How many sagas are drawn: the newest."""

_GREATEST_SCORE = 1_000_000

Moments = list[tuple[int, str]]


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
        rings: Each agent's last known ring.
        elevation_seconds: How long each elevation took that ended.
        decisions: How many uses of tools were allowed, and how many denied.
        allowed_by_agent: The same for each agent: [denied, allowed].
        trust_by_agent: The score that each agent had when its identity was last verified; in
            agent-hypervisor, what its IATP manifest gives it, 0 to 10.
        sagas: The newest sagas by id, oldest first.
        sagas_seen: How many there were.
        outcomes: How sagas ended.
    """

    events: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    transitions: Moments = field(factory=list)
    breaches: Moments = field(factory=list)
    breaches_by_agent: Counter[str] = field(factory=Counter)
    rings: dict[str, int] = field(factory=dict)
    elevation_seconds: deque[float] = field(factory=deque)
    decisions: Counter[str] = field(factory=Counter)
    allowed_by_agent: dict[str, list[int]] = field(factory=dict)
    trust_by_agent: dict[str, float] = field(factory=dict)
    sagas: dict[str, SagaStory] = field(factory=dict)
    sagas_seen: int = 0
    outcomes: Counter[str] = field(factory=Counter)
    _elevated: dict[tuple[str, ...], int] = field(factory=dict, init=False)

    @classmethod
    def of(cls, events: Iterable[HypervisorEvent]) -> "Findings":
        """Gather them from *events*."""
        findings = cls()
        for event in events:
            findings.take(event)
        return findings

    def take(self, event: HypervisorEvent) -> None:
        """Take one event."""
        self.events += 1
        now = event.timestamp_ns
        self.first_ns = now if self.first_ns is None else min(self.first_ns, now)
        self.last_ns = now if self.last_ns is None else max(self.last_ns, now)
        kind = event.event_type
        if kind in TRANSITIONS:
            self._transition(event)
        elif kind == EventType.RING_BREACH_DETECTED:
            self.breaches.append((now, payload_facts.text(event, "severity") or "unknown"))
            self.breaches_by_agent[_agent(event)] += 1
        elif kind == GOVERNANCE_DECISION:
            allowed = bool(event.payload.get("allowed"))
            self.decisions["allowed" if allowed else "denied"] += 1
            self.allowed_by_agent.setdefault(_agent(event), [0, 0])[allowed] += 1
        elif kind == EventType.IDENTITY_VERIFIED:
            self._identity(event)
        elif kind in SAGA_TYPES:
            self._saga(event)

    def _transition(self, event: HypervisorEvent) -> None:
        agent = _agent(event)
        self.transitions.append((event.timestamp_ns, TRANSITIONS[event.event_type]))
        ring = event.payload.get("to_ring", event.payload.get("ring"))
        if isinstance(ring, int) and not isinstance(ring, bool):
            self.rings[agent] = ring
        key = payload_facts.elevation_key(event)
        if event.event_type == EventType.RING_ELEVATED:
            self._elevated[key] = event.timestamp_ns
        elif event.event_type != EventType.RING_ASSIGNED:
            begun = self._elevated.pop(key, None)
            if begun is not None:
                self.elevation_seconds.append(max(0, event.timestamp_ns - begun) / 1e9)

    def _identity(self, event: HypervisorEvent) -> None:
        score = event.payload.get("iatp_trust_score")
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            return
        # An integer may have more digits than a picture has room for.
        if 0 <= score <= _GREATEST_SCORE:
            self.trust_by_agent[_agent(event)] = score

    def _saga(self, event: HypervisorEvent) -> None:
        name = payload_facts.saga_id(event)
        saga = self.sagas.get(name)
        if saga is None:
            self.sagas_seen += 1
            saga = self.sagas[name] = SagaStory(name, event.timestamp_ns)
            if len(self.sagas) > MOST_SAGAS:
                del self.sagas[next(iter(self.sagas))]
        outcome = tell_saga(saga, event)
        if outcome:
            self.outcomes[outcome] += 1


def _agent(event: HypervisorEvent) -> str:
    return event.agent_did or "unknown"
