"""Traces in which something went wrong are kept whole, of the others a part."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from attrs import define, field, frozen

from hypervisor_observability import CausalTraceId, EventType, FinishedSpan, HypervisorEvent
from hypervisor_observability.events.event_types import AGENT_FINISHED, GOVERNANCE_DECISION
from hypervisor_observability.spans import sampler as sampler_module
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.sampler import SpanSampler
from hypervisor_observability.spans.sampling import Sampling, is_sampled

E = EventType
TRACES = 4_000
RATIO = 0.01
NEVER = "0" * 16 + "f" * 16
"""A trace that no ratio below 1 chooses."""


@define
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@define
class Sampled:
    """A sampler, and what it has given."""

    sampling: Sampling
    clock: Clock = field(factory=Clock)
    spans: list[FinishedSpan] = field(factory=list)
    sampler: SpanSampler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sampler = SpanSampler(self.sampling, SpanAssembler(), self.clock)

    def feed(self, *events: HypervisorEvent) -> list[str]:
        """Feed *events*; give the names of the spans that were handed over for them."""
        names = []
        for event in events:
            _, chosen = self.sampler.feed(event)
            self.spans += [held.span for held in chosen]
            names += [held.span.name for held in chosen]
        return names

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds
        self.sampler.leave_out_the_quiet()

    def saved_and_restored(self) -> "Sampled":
        """Go on as the next process does, with what was saved as JSON."""
        old, new = self.sampler, Sampled(self.sampling, self.clock, self.spans)
        saved = json.loads(json.dumps([old.assembler.state(), old.state()]))
        new.sampler = SpanSampler(self.sampling, SpanAssembler.from_state(saved[0]), self.clock)
        new.sampler.restore(saved[1])
        return new


def sampled(**options: Any) -> Sampled:
    options = {"ratio": RATIO, "keep_incidents": True, "wait_seconds": 10, **options}
    return Sampled(Sampling(**options))


def event(event_type: EventType, causal: str | None, second: float = 0.0, **fields: Any) -> Any:
    """Make an event of one agent; what is no field of it goes into the payload."""
    agent_did = fields.pop("agent_did", "did:mesh:worker")
    return HypervisorEvent(
        event_type=event_type,
        timestamp=1_000.0 + second,
        causal_trace_id=causal,
        agent_did=agent_did,
        session_id=fields.pop("session_id", None),
        payload=fields,
    )


def foreign(trace_id: str, span: int, parent: int | None = None) -> str:
    """Write a causal id whose trace is *trace_id* as it stands."""
    above = "" if parent is None else f"/{parent:016x}"
    return f"{trace_id}/{span:016x}{above}"


def agent(causal: str, second: float = 0.0, **finish: Any) -> list[HypervisorEvent]:
    """An agent that joins and ends."""
    return [
        event(E.SESSION_JOINED, causal, second, name="worker"),
        event(AGENT_FINISHED, causal, second + 1, **finish),
    ]


# Many traces


@frozen
class Trace:
    trace_id: str
    incident: str
    events: Sequence[HypervisorEvent]


def incident_events(kind: str, ids: Callable[[], str], root: str, saga_id: str) -> Iterator[Any]:
    """Tell of one incident of each kind, within the agent's work."""
    if kind == "breach":
        yield event(E.RING_BREACH_DETECTED, root, severity="high")
    elif kind == "kill":
        yield event(E.AGENT_KILLED, None, reason="rogue", agent_did=f"did:{saga_id}")
    elif kind == "slash":
        yield event(E.SLASH_EXECUTED, ids(), severity="high", agent_did=f"did:{saga_id}")
    elif kind == "quarantine":
        yield event(E.QUARANTINE_ENTERED, None, reason="drift", agent_did=f"did:{saga_id}")
        yield event(E.QUARANTINE_RELEASED, None, agent_did=f"did:{saga_id}")
    elif kind == "denial":
        yield event(GOVERNANCE_DECISION, ids(), allowed=False, tool_name="shell")
    elif kind == "error":
        step = ids()
        keys: dict[str, Any] = {"saga_id": saga_id, "step_id": "odd", "action": "odd"}
        yield event(E.SAGA_STEP_STARTED, step, **keys)
        yield event(E.SAGA_STEP_FAILED, step, error="no", **keys)


KINDS = ("breach", "kill", "slash", "quarantine", "escalation", "denial", "error")


def trace(number: int, rng: random.Random, incidents: float) -> Trace:
    """Let an agent run a saga of three steps, in which something may go wrong anywhere."""
    kind = rng.choice(KINDS) if rng.random() < incidents else ""
    trace_id = f"{rng.getrandbits(48) or 1:012x}"
    spans = iter(range(1, 1_000))
    root = f"{trace_id}/{next(spans):08x}"

    def ids() -> str:
        return f"{trace_id}/{next(spans):08x}/{1:08x}"

    saga_id, did = f"saga-{number}", f"did:saga-{number}"
    events = [event(E.SESSION_JOINED, root, agent_did=did)]
    saga = ids()
    events.append(event(E.SAGA_CREATED, saga, saga_id=saga_id, agent_did=did))
    for index in range(3):
        step = ids()
        keys: dict[str, Any] = {
            "saga_id": saga_id,
            "step_id": f"{index}",
            "action": "work",
            "agent_did": did,
        }
        events.append(event(E.SAGA_STEP_STARTED, step, **keys))
        events.append(event(E.SAGA_STEP_COMMITTED, step, **keys))
    end = E.SAGA_ESCALATED if kind == "escalation" else E.SAGA_COMPLETED
    events.append(event(end, saga, saga_id=saga_id, agent_did=did))
    place = rng.randint(1, len(events) - 1)
    events[place:place] = incident_events(kind, ids, root, saga_id)
    events.append(event(AGENT_FINISHED, root, agent_did=did))
    return Trace(CausalTraceId.from_string(root).to_w3c()[0], kind, events)


def interleaved(count: int, rng: random.Random, width: int) -> Iterator[tuple[Trace, bool, Any]]:
    """Tell of *width* traces at a time: the trace, whether it begins, and its next event."""
    running: list[tuple[Trace, Iterator[HypervisorEvent]]] = []
    number = 0
    while number < count or running:
        begins = number < count and len(running) < width
        if begins:
            new = trace(number, rng, RATIO)
            running.append((new, iter(new.events)))
            number += 1
        place = len(running) - 1 if begins else rng.randrange(len(running))
        told, rest = running[place]
        following = next(rest, None)
        if following is None:
            running[place] = running[-1]
            running.pop()
        else:
            yield told, begins, following


@pytest.mark.slow
def test_thousands_of_traces_keep_all_incidents_whole_and_little_else() -> None:
    rng = random.Random(20)
    told, assembler = sampled(max_held_spans=5_000), SpanAssembler()
    whole, kept = Counter[str](), Counter[str]()
    incidents: dict[str, str] = {}
    trace_ids: set[str] = set()
    held = 0
    for number, (of, begins, one) in enumerate(interleaved(TRACES, rng, 200)):
        if begins:
            trace_ids.add(of.trace_id)
            if of.incident:
                incidents[of.trace_id] = of.incident
        whole.update(span.trace_id for span in assembler.feed(one))
        told.feed(one)
        told.clock.seconds += 0.001
        if number % 100 == 0:
            told.sampler.leave_out_the_quiet()
            held = max(held, told.sampler.held_spans)
    told.sampler.leave_out_all()

    kept.update(span.trace_id for span in told.spans)
    assert len(trace_ids) == TRACES
    assert set(incidents.values()) == set(KINDS)
    assert kept.keys() >= incidents.keys()
    assert {trace_id: whole[trace_id] for trace_id in kept} == kept  # none is a part
    chosen = {trace_id for trace_id in trace_ids if is_sampled(trace_id, RATIO)}
    assert kept.keys() == incidents.keys() | chosen
    assert kept.total() <= 0.021 * whole.total()
    assert told.sampler.left_out_spans == whole.total() - kept.total()
    assert held <= 5_000
    assert told.sampler.held_spans == told.sampler.late_incidents == 0


# One trace


def test_trace_of_the_part_is_handed_over_at_once() -> None:
    everything = sampled(ratio=0.5)

    assert everything.feed(*agent(foreign("1" * 32, 1))) == ["invoke_agent worker"]
    assert everything.sampler.held_spans == 0


def test_head_sampling_alone_holds_nothing_and_keeps_no_incident() -> None:
    head = sampled(keep_incidents=False)
    causal = foreign(NEVER, 1)

    assert head.feed(*agent(causal, status="error", error="no")) == []
    assert head.feed(event(E.RING_BREACH_DETECTED, causal)) == []
    assert (head.sampler.held_spans, head.sampler.left_out_spans) == (0, 1)


def test_incident_hands_over_what_was_held_and_what_comes() -> None:
    told = sampled()
    inner, outer = agent(foreign(NEVER, 2, 1)), agent(foreign(NEVER, 1))

    assert told.feed(outer[0], *inner) == []
    assert told.sampler.held_spans == 1
    assert told.feed(event(E.RING_BREACH_DETECTED, outer[0].causal_trace_id)) == [
        "invoke_agent worker"
    ]
    assert told.feed(outer[1]) == ["invoke_agent worker"]
    assert {span.span_id for span in told.spans} == {f"{1:016x}", f"{2:016x}"}
    # The first incident has decided; another one changes nothing.
    assert told.feed(event(E.SLASH_EXECUTED, outer[0].causal_trace_id)) == []


def test_quiet_trace_is_left_out_and_late_spans_obey() -> None:
    told = sampled()
    told.feed(*agent(foreign(NEVER, 1)))

    told.wait(9)
    assert told.sampler.held_spans == 1
    told.wait(1)

    assert (told.sampler.held_spans, told.sampler.left_out_spans) == (0, 1)
    assert told.feed(*agent(foreign(NEVER, 2, 1))) == []
    assert told.sampler.left_out_spans == 2
    assert told.feed(event(E.AGENT_KILLED, foreign(NEVER, 3, 1))) == []
    assert told.sampler.late_incidents == 1


def test_trace_that_goes_on_is_waited_for() -> None:
    told = sampled()
    outer = agent(foreign(NEVER, 1))
    told.feed(outer[0], *agent(foreign(NEVER, 2, 1)))

    for _ in range(5):
        told.wait(60)

    assert told.sampler.held_spans == 1
    assert len(told.feed(event(E.RING_BREACH_DETECTED, outer[0].causal_trace_id))) == 1


def test_incident_without_a_causal_id_is_that_of_the_agents_trace() -> None:
    told = sampled()
    (joined, finished) = agent(foreign(NEVER, 1))
    told.feed(joined)

    told.feed(event(E.SLASH_EXECUTED, None))

    assert told.feed(finished) == ["invoke_agent worker"]


def test_limit_leaves_out_what_is_over_before_what_goes_on() -> None:
    told = sampled(max_held_spans=3)
    running = f"{'0' * 15}1{'f' * 16}"
    told.feed(event(E.SESSION_JOINED, foreign(running, 1)), *agent(foreign(running, 2, 1)))

    for number in range(2, 12):
        told.feed(*agent(foreign(f"{number:016x}{'f' * 16}", 1)))

    sampler = told.sampler
    assert (sampler.held_spans, sampler.early_decisions, sampler.left_out_spans) == (3, 8, 8)
    assert len(told.feed(event(E.RING_BREACH_DETECTED, foreign(running, 1)))) == 1


def test_limit_holds_against_one_trace_that_does_not_end() -> None:
    told = sampled(max_held_spans=10)
    told.feed(event(E.SESSION_JOINED, foreign(NEVER, 1)))

    for span in range(2, 30):
        told.feed(*agent(foreign(NEVER, span, 1)))
        assert told.sampler.held_spans <= 10

    assert told.sampler.early_decisions == 1
    assert told.sampler.left_out_spans == 28
    told.feed(event(E.RING_BREACH_DETECTED, foreign(NEVER, 1)))
    assert told.sampler.late_incidents == 1


def test_decisions_are_forgotten_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "MAX_DECISIONS", 2)
    told = sampled(ratio=0.0)

    for number in (1, 2, 3):
        told.feed(*agent(foreign(f"{number:032x}", 1), status="error"))

    assert [told.sampler._decisions.get(f"{number:032x}") for number in (1, 2, 3)] == [
        None,
        True,
        True,
    ]


@pytest.mark.fault("G2")
@pytest.mark.parametrize("seed", range(5))
def test_another_process_goes_on_with_held_traces_and_decisions(seed: int) -> None:
    rng = random.Random(seed)
    events = [one for _, _, one in interleaved(300, rng, 40)]
    straight, broken = sampled(ratio=0.2), sampled(ratio=0.2)
    straight.feed(*events)
    cut = rng.randrange(len(events))

    broken.feed(*events[:cut])
    resumed = broken.saved_and_restored()
    resumed.feed(*events[cut:])

    def by_id(spans: Sequence[FinishedSpan]) -> dict[str, FinishedSpan]:
        found = defaultdict(list)
        for span in spans:
            found[f"{span.trace_id}/{span.span_id}"].append(span)
        assert all(len(same) == 1 for same in found.values())
        return {key: same[0] for key, same in found.items()}

    assert by_id(resumed.spans) == by_id(straight.spans)
    assert resumed.sampler.held_spans == straight.sampler.held_spans


@pytest.mark.parametrize(
    "saved", [{}, {"held": [[1, 2]], "decisions": []}, {"held": [], "decisions": [[1]]}]
)
def test_damaged_state_is_refused(saved: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the saved sampling is damaged"):
        sampled().sampler.restore(saved)
