"""The spans of ten thousand random sagas equal what a plain reading of their events says."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field, frozen

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    SpanStatus,
)
from hypervisor_observability.spans import saga_memory
from hypervisor_observability.spans.assembly import SpanAssembler

SAGAS = 4_000
S = EventType
EXPIRED = "expired"

Part = tuple[str, str, int]
"""Kind, id and attempt of a saga's part; the saga itself is ``("saga", "", 1)``."""

WHOLE: Part = ("saga", "", 1)


@frozen
class Told:
    """An event of a saga, and what it says of the part."""

    event: HypervisorEvent
    part: Part
    begins: bool
    status: str = ""


@frozen
class Expected:
    """The span of a part: ``ok``, ``error`` or ``expired``, and its time in nanoseconds."""

    status: str
    start_ns: int
    end_ns: int


@define(eq=False)
class History:
    """A saga as it went."""

    saga_id: str
    rng: random.Random
    causal: CausalTraceId | None = None
    told: list[Told] = field(factory=list)
    clock: float = 0.0

    def tell(
        self, event_type: EventType, part: Part, *, begins: bool, status: str = "", **payload: Any
    ) -> None:
        self.clock += self.rng.uniform(0.001, 2)
        own = None if self.causal is None else self._causal_of(part)
        event = HypervisorEvent(
            event_type=event_type,
            timestamp=self.clock,
            causal_trace_id=own,
            agent_did="did:mesh:worker",
            payload={"saga_id": self.saga_id, **payload},
        )
        self.told.append(Told(event, part, begins, status))

    _ids: dict[Part, str] = field(factory=dict)

    def _causal_of(self, part: Part) -> str:
        assert self.causal is not None
        if part == WHOLE:
            return self.causal.full_id
        return self._ids.setdefault(part, self.causal.child().full_id)


def history(number: int, rng: random.Random) -> History:
    """Let a saga run: steps with retries, a fan-out perhaps, and compensations on failure."""
    saga = History(f"saga-{number}", rng, CausalTraceId() if rng.random() < 0.5 else None)
    saga.clock = 1_000.0 + number * 0.5
    saga.tell(S.SAGA_CREATED, WHOLE, begins=True, name="generated")
    committed: list[str] = []
    failed = False
    for index in range(rng.randint(1, 5)):
        step_id = f"step-{index}"
        failed = not _run_step(saga, step_id, rng)
        if failed:
            break
        committed.append(step_id)
    if rng.random() < 0.3:
        group: Part = ("fanout", "group", 1)
        saga.tell(S.SAGA_FANOUT_STARTED, group, begins=True, group_id="group", policy="all")
        status = rng.choice(["ok", "error"])
        saga.tell(
            S.SAGA_FANOUT_RESOLVED, group, begins=False, status=status,
            group_id="group", policy_satisfied=status == "ok",
        )  # fmt: skip
    stuck = False
    for step_id in reversed(committed if failed else []):
        stuck |= not _undo(saga, step_id, rng)
    if stuck:
        saga.tell(S.SAGA_ESCALATED, WHOLE, begins=False, status="error", reason="stuck")
    else:
        outcome = "compensated" if failed else "committed"
        saga.tell(S.SAGA_COMPLETED, WHOLE, begins=False, status="ok", outcome=outcome)
    return saga


def _run_step(saga: History, step_id: str, rng: random.Random) -> bool:
    for attempt in range(1, 4):
        keys: dict[str, Any] = {"step_id": step_id, "action": "work", "attempt": attempt}
        part = ("step", step_id, attempt)
        saga.tell(S.SAGA_STEP_STARTED, part, begins=True, **keys)
        if rng.random() < 0.8:
            saga.tell(S.SAGA_STEP_COMMITTED, part, begins=False, status="ok", **keys)
            return True
        saga.tell(S.SAGA_STEP_FAILED, part, begins=False, status="error", error="no", **keys)
    return False


def _undo(saga: History, step_id: str, rng: random.Random) -> bool:
    keys = {"step_id": f"undo-{step_id}", "action": "undo", "compensates_step_id": step_id}
    part = ("compensation", f"undo-{step_id}", 1)
    saga.tell(S.SAGA_COMPENSATING, part, begins=True, phase="started", **keys)
    done = rng.random() < 0.9
    saga.tell(
        S.SAGA_COMPENSATING, part, begins=False, status="ok" if done else "error",
        phase="succeeded" if done else "failed", **keys,
    )  # fmt: skip
    return done


def disordered(told: list[Told], rng: random.Random, *, loss: float, reach: int) -> list[Told]:
    """Lose some of it, and let each event come up to *reach* places late."""
    kept = [one for one in told if rng.random() >= loss]
    places = [index + rng.uniform(0, reach) for index in range(len(kept))]
    return [kept[index] for index in sorted(range(len(kept)), key=places.__getitem__)]


def interleaved(sagas: list[list[Told]], rng: random.Random, *, width: int) -> Iterator[Told]:
    """Tell of *width* sagas at a time."""
    waiting = [list(reversed(one)) for one in reversed(sagas) if one]
    running: list[list[Told]] = []
    while waiting or running:
        while waiting and len(running) < width:
            running.append(waiting.pop())
        chosen = rng.randrange(len(running))
        yield running[chosen].pop()
        if not running[chosen]:
            running[chosen] = running[-1]
            running.pop()


def expected(told: list[Told]) -> tuple[dict[Part, Expected], int]:
    """Say which spans a saga gives when it is told so, and how many stay open.

    A plain reading of the rules, part by part: an end without a start before it took no time,
    what is open when its saga ends has expired, and nothing is told twice.
    """
    places = {(one.part, one.begins): place for place, one in enumerate(told)}
    saga_end = places.get((WHOLE, False))
    spans: dict[Part, Expected] = {}
    left = 0
    for part in {one.part for one in told} - {WHOLE}:
        start, end = places.get((part, True)), places.get((part, False))
        if start is not None and (end is None or start < end):
            start_ns = told[start].event.timestamp_ns
            if saga_end is not None and start < saga_end and (end is None or saga_end < end):
                end_ns = max(start_ns, told[saga_end].event.timestamp_ns)
                spans[part] = Expected(EXPIRED, start_ns, end_ns)
            elif end is None:
                left += 1
            else:
                end_ns = told[end].event.timestamp_ns
                spans[part] = Expected(told[end].status, start_ns, end_ns)
        elif end is not None:
            end_ns = told[end].event.timestamp_ns
            spans[part] = Expected(told[end].status, end_ns, end_ns)
    if told:
        start, first = places.get((WHOLE, True)), told[0].event.timestamp_ns
        if start is not None and (saga_end is None or start < saga_end):
            first = min(first, told[start].event.timestamp_ns)
        if saga_end is None:
            left += 1
        else:
            end_ns = max(first, told[saga_end].event.timestamp_ns)
            spans[WHOLE] = Expected(told[saga_end].status, first, end_ns)
    return spans, left


def part_of(span: FinishedSpan) -> Part:
    if span.scope == "saga":
        return WHOLE
    name = "agent.saga.group_id" if span.scope == "fanout" else "agent.saga.step_id"
    attempt = span.attributes.get("agent.saga.attempt", 1)
    return (span.scope, str(span.attributes[name]), int(attempt))


def outcome_of(span: FinishedSpan) -> Expected:
    status = EXPIRED if span.status is SpanStatus.UNSET else span.status.value
    assert (status == EXPIRED) == (span.attributes.get("agent.hypervisor.expired") is True)
    return Expected(status, span.start_ns, span.end_ns)


def check_parents(spans: dict[Part, FinishedSpan]) -> None:
    """Parts are children of the saga, and steps that begin within a fan-out are its branches."""
    saga = spans[WHOLE].span_id
    fanouts = {span.span_id for part, span in spans.items() if part[0] == "fanout"}
    for (kind, _, _), span in spans.items():
        if kind != "saga":
            assert span.parent_span_id in {saga, *(fanouts if kind == "step" else ())}


def check_links(spans: dict[Part, FinishedSpan], *, complete: bool) -> None:
    """Links name spans of the same saga that are what the link says."""
    by_id = {span.span_id: part for part, span in spans.items()}
    for (kind, name, attempt), span in spans.items():
        links = {link.attributes["link.type"]: by_id.get(link.span_id) for link in span.links}
        if kind == "compensation" and complete:
            failed = max(part for part, one in spans.items()
                         if part[0] == "step" and one.status is SpanStatus.ERROR)  # fmt: skip
            undone = max(part for part in spans if part[:2] == ("step", name[len("undo-") :]))
            assert links == {"caused_by": failed, "compensates": undone}
        elif kind == "step" and complete:
            before = {} if attempt == 1 else {"retry_of": (kind, name, attempt - 1)}
            assert links == before
        else:
            assert set(links) <= {"caused_by", "compensates", "retry_of"}
            assert None not in links.values()


@pytest.mark.slow
@pytest.mark.fault("G2")
@pytest.mark.parametrize(("loss", "reach"), [(0.0, 0), (0.1, 4), (0.3, 30)])
def test_spans_of_random_sagas_equal_the_state_machine(loss: float, reach: int) -> None:
    rng = random.Random(f"{loss} {reach}")
    told = {}
    for number in range(SAGAS):
        saga = history(number, rng)
        told[saga.saga_id] = disordered(saga.told, rng, loss=loss, reach=reach)
    assembler, given = SpanAssembler(), defaultdict[str, list[FinishedSpan]](list)
    for number, one in enumerate(interleaved(list(told.values()), rng, width=50)):
        if number % 20_000 == 0:
            assembler = SpanAssembler.from_state(json.loads(json.dumps(assembler.state())))
        for span in assembler.feed(one.event):
            given[str(span.attributes["agent.saga.id"])].append(span)

    for number in range(saga_memory.MAX_ENDED):
        # What began after its saga's end, and never ended, goes when the saga is forgotten.
        for event_type in (S.SAGA_CREATED, S.SAGA_COMPLETED):
            payload = {"saga_id": f"other {number}"}
            for span in assembler.feed(HypervisorEvent(event_type=event_type, payload=payload)):
                given[str(span.attributes["agent.saga.id"])].append(span)

    left, late = 0, 0
    for saga_id, events in told.items():
        wanted, still_open = expected(events)
        left += still_open
        spans = {part_of(span): span for span in given[saga_id]}
        assert len(spans) == len(given[saga_id]), saga_id  # no part is two spans
        forgotten = {part for part in spans if part not in wanted}
        assert all(outcome_of(spans[part]).status == EXPIRED for part in forgotten), saga_id
        late += len(forgotten)
        assert {part: outcome_of(span) for part, span in spans.items() if part in wanted} == wanted
        assert len({span.trace_id for span in spans.values()}) <= 1
        if WHOLE in spans:
            check_parents(spans)
            check_links(spans, complete=not loss and not reach)
    assert assembler.open_spans == left - late
    assert (left == 0) == (loss == 0 and reach == 0)
    memory = assembler._sagas._memory
    assert len(memory.ended) <= saga_memory.MAX_ENDED
    assert len(memory.going_on) == sum(
        bool(one) and WHOLE not in expected(one)[0] for one in told.values()
    )
