"""Who is elevated: the same for metrics, spans, trees and reports."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    RingMetricsCollector,
)
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.facts.lasting import MAX_LASTING, Lasting
from hypervisor_observability.facts.lives import Elevations
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.report.findings import Findings
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import SpanStatus
from hypervisor_observability.tree import build_tree, render_tree

TRACE = CausalTraceId()
NOW = 1_800_000_000
ACTIVE = "agent_hypervisor_ring_elevation_active_seconds"
CURRENT = "agent_hypervisor_ring_current"
LASTED = "agent_hypervisor_ring_elevation_seconds"
UP, DOWN, EXPIRED = (
    EventType.RING_ELEVATED,
    EventType.RING_DEMOTED,
    EventType.RING_ELEVATION_EXPIRED,
)
JOINED, KILLED = EventType.SESSION_JOINED, EventType.AGENT_KILLED
QUARANTINED, TERMINATED = EventType.QUARANTINE_ENTERED, EventType.SESSION_TERMINATED

Step = tuple[EventType, str | None, str | None, dict[str, Any]]


def at(kind: EventType, agent: str | None = "a", session: str | None = "s", **payload: Any) -> Step:
    return (kind, agent, session, payload)


def events_of(steps: Sequence[Step], trace: str | None = TRACE.full_id) -> list[HypervisorEvent]:
    """Give one event each second."""
    return [
        HypervisorEvent(
            f"{number:016x}", kind, float(NOW + number), session, agent, trace, None, payload
        )
        for number, (kind, agent, session, payload) in enumerate(steps, 1)
    ]


def elevated(events: list[HypervisorEvent]) -> tuple[dict[str, float], dict[str, int]]:
    """Give who is elevated, for how long, and how many elevations ended in which way."""
    registry = MetricsRegistry(now_ns=lambda: (NOW + 100) * 10**9)
    registry.observe(events)
    families = {one.name: one for one in registry.collect()}
    ends = {end: one.count for (end,), one in families[LASTED].histograms.items() if one.count}
    return {agent: value for (agent,), value in families[ACTIVE].series.items()}, ends


CASES: dict[str, tuple[list[Step], int, dict[str, int]]] = {
    # steps, how many go on, how many ended in which way
    "nested": (
        [at(UP, elevation_id="o"), at(UP, elevation_id="i"), at(DOWN, elevation_id="i")],
        1,
        {"demoted": 1},
    ),
    "outer first": (
        [at(UP, elevation_id="o"), at(UP, elevation_id="i"), at(DOWN, elevation_id="o")],
        1,
        {"demoted": 1},
    ),
    "parallel agents, one id": (
        [at(UP, "a", elevation_id=1), at(UP, "b", elevation_id=1), at(DOWN, "a", elevation_id=1)],
        1,
        {"demoted": 1},
    ),
    "one agent, two sessions, one id": (
        [
            at(UP, session="s", elevation_id=1),
            at(UP, session="t", elevation_id=1),
            at(EXPIRED, session="t", elevation_id=1),
        ],
        1,
        {"expired": 1},
    ),
    "number and text": ([at(UP, elevation_id=7), at(DOWN, elevation_id="7")], 0, {"demoted": 1}),
    "end without a session": (
        [at(UP, elevation_id="e"), at(DOWN, session=None, elevation_id="e")],
        0,
        {"demoted": 1},
    ),
    "end without an agent": (
        [at(UP, elevation_id="e"), at(EXPIRED, None, None, elevation_id="e")],
        0,
        {"expired": 1},
    ),
    "end without an id": (
        [at(UP, elevation_id="o"), at(UP, elevation_id="i"), at(DOWN)],
        1,
        {"demoted": 1},
    ),
    "start without an id": ([at(UP), at(DOWN, elevation_id="e")], 0, {"demoted": 1}),
    "end of an unknown id": ([at(UP, elevation_id="e"), at(DOWN, elevation_id="other")], 1, {}),
    "end by another agent": ([at(UP, "a"), at(DOWN, "b")], 1, {}),
    "end in another session": ([at(UP, session="s"), at(DOWN, session="t")], 1, {}),
    "killed": (
        [at(JOINED), at(UP, elevation_id="o"), at(UP, elevation_id="i"), at(KILLED)],
        0,
        {"killed": 2},
    ),
    "killed everywhere": (
        [at(UP, session="s"), at(UP, session="t"), at(UP, session=None), at(KILLED, session=None)],
        0,
        {"killed": 3},
    ),
    "killed in one session": (
        [at(UP, session="s"), at(UP, session="t"), at(KILLED, session="s")],
        1,
        {"killed": 1},
    ),
    "another one killed": ([at(UP, "a"), at(KILLED, "b")], 1, {}),
    "nobody killed": ([at(UP, "a", None), at(KILLED, None, None)], 1, {}),
    "quarantined": ([at(UP), at(QUARANTINED, reason="manual")], 1, {}),
    "quarantined and terminated": ([at(UP), at(QUARANTINED, terminated=True)], 0, {"killed": 1}),
    "finished": ([at(JOINED), at(UP, elevation_id="e"), at(AGENT_FINISHED)], 0, {"finished": 1}),
    "finished without having joined": ([at(UP), at(AGENT_FINISHED)], 0, {"finished": 1}),
    "finished outside of a session": (
        [at(JOINED, session=None), at(UP, session=None), at(AGENT_FINISHED, session=None)],
        0,
        {"finished": 1},
    ),
    "finished elsewhere": (
        [
            at(JOINED, session="s"),
            at(JOINED, session="t"),
            at(UP, session="s"),
            at(AGENT_FINISHED, session="t"),
        ],
        1,
        {},
    ),
    "session ended": (
        [at(UP, "a"), at(UP, "b"), at(UP, "a", "t"), at(TERMINATED, None)],
        1,
        {"session": 2},
    ),
    "unnamed session ended": (
        [at(UP, session=None), at(UP, session="unknown"), at(TERMINATED, None, None)],
        2,
        {},
    ),
    "ended twice": (
        [at(UP, elevation_id="e"), at(DOWN, elevation_id="e"), at(KILLED), at(TERMINATED, None)],
        0,
        {"demoted": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_reader_knows_who_is_elevated(case: str) -> None:
    steps, going_on, ends = CASES[case]
    # Causal ids would keep agents apart by themselves, so that nothing of the rest is tried.
    events = events_of(steps, trace=None)
    active, ended = elevated(events)
    assembler = SpanAssembler()
    spans = [span for event in events for span in assembler.feed(event)]
    finished = [span for span in spans if span.scope == "elevation"]

    assert ended == ends
    assert bool(active) == bool(going_on)
    assert len(finished) == sum(ends.values())
    assert assembler.expired == 0
    begun = sum(event.event_type == UP for event in events)
    assert begun - len(finished) == going_on
    assert sum(Findings.of(events).elevations) == sum(ends.values())
    tree = render_tree(build_tree(events_of(steps), TRACE.trace_id), width=120)
    lines = [line for line in tree.splitlines() if "elevation ring" in line]
    assert len(lines) == begun
    assert sum(line.endswith(("running", "FAILED")) for line in lines) == going_on
    assert sum(line.endswith("KILLED") for line in lines) == ends.get("killed", 0)


@pytest.mark.parametrize("case", CASES)
def test_collector_knows_who_is_elevated(case: str) -> None:
    steps, going_on, _ = CASES[case]
    bus = HypervisorEventBus()
    collector = RingMetricsCollector(bus)
    for event in events_of(steps, trace=None):
        bus.emit(event)

    assert bool(collector.collect()[ACTIVE]) == bool(going_on)
    rings = sum(kind.value.startswith("ring.") for kind, *_ in steps)
    assert collector.collect()["events_processed"] == rings
    assert bus.handler_errors == 0


def rings_of(events: list[HypervisorEvent]) -> list[dict[str, float]]:
    """Give each agent's ring, as the metrics, the collector and the report have it."""
    registry, bus = MetricsRegistry(), HypervisorEventBus()
    collector = RingMetricsCollector(bus)
    registry.observe(events)
    for event in events:
        bus.emit(event)
    families = {one.name: one.series for one in registry.collect()}
    counted = {agent: ring for (agent,), ring in families.get(CURRENT, {}).items()}
    return [counted, collector.collect()[CURRENT], dict(Findings.of(events).rings)]


ASSIGNED = EventType.RING_ASSIGNED
RINGS: dict[str, tuple[list[Step], float]] = {
    "killed": ([at(UP, from_ring=3, to_ring=1), at(KILLED)], 3),
    "killed, its ring known from before": (
        [at(ASSIGNED, ring=2), at(UP, to_ring=0), at(KILLED)],
        2,
    ),
    "killed in a nest": (
        [
            at(UP, elevation_id="o", from_ring=3, to_ring=2),
            at(UP, elevation_id="i", from_ring=2, to_ring=0),
            at(KILLED),
        ],
        3,
    ),
    "killed by a quarantine": (
        [at(UP, from_ring=3, to_ring=1), at(QUARANTINED, terminated=True)],
        3,
    ),
    "quarantined": ([at(UP, from_ring=3, to_ring=1), at(QUARANTINED)], 1),
    "finished": ([at(JOINED), at(UP, from_ring=3, to_ring=1), at(AGENT_FINISHED)], 3),
    "session ended": ([at(UP, from_ring=2, to_ring=1), at(TERMINATED, None)], 2),
    "killed in one session, still elevated in another": (
        [
            at(UP, session="s", from_ring=3, to_ring=1),
            at(UP, session="t", from_ring=3, to_ring=2),
            at(KILLED, session="t"),
        ],
        1,
    ),
    "assigned another ring meanwhile": (
        [at(UP, from_ring=3, to_ring=1), at(ASSIGNED, ring=2), at(KILLED)],
        2,
    ),
    "demoted, then killed": (
        [at(UP, from_ring=3, to_ring=1), at(DOWN, to_ring=2), at(KILLED)],
        2,
    ),
    "expired without a word of the ring": ([at(UP, from_ring=3, to_ring=1), at(EXPIRED)], 3),
    "expired with a ring that is none": (
        [at(UP, from_ring=3, to_ring=1), at(EXPIRED, to_ring="outer")],
        3,
    ),
    "elevated twice under one id": (
        [at(UP, from_ring=3, to_ring=1), at(UP, to_ring=0), at(KILLED)],
        3,
    ),
    "ring before that nobody told": ([at(UP, to_ring=1), at(KILLED)], 1),
    "another one killed": ([at(UP, from_ring=3, to_ring=1), at(KILLED, "b")], 1),
}


@pytest.mark.parametrize("case", RINGS)
def test_ring_of_an_ended_elevation_is_the_one_before_for_every_reader(case: str) -> None:
    steps, ring = RINGS[case]

    assert rings_of(events_of(steps, None)) == [{"a": ring}] * 3


def test_span_and_tree_of_a_killed_agent_have_the_ring_that_it_was_assigned() -> None:
    steps = [at(JOINED), at(ASSIGNED, ring=3), at(UP, from_ring=3, to_ring=0), at(KILLED)]
    assembler = SpanAssembler()
    spans = [span for event in events_of(steps) for span in assembler.feed(event)]
    (agent,) = [span for span in spans if span.scope == "agent"]
    tree = render_tree(build_tree(events_of(steps), TRACE.trace_id))

    assert agent.attributes["agent.hypervisor.ring"] == 3
    assert "agent a (ring 3)" in tree
    assert re.search(r"elevation ring 3 to 0 .* KILLED$", tree, re.MULTILINE)


def test_elevation_of_a_process_that_is_gone_does_not_keep_its_ring() -> None:
    registry = MetricsRegistry()
    registry.observe(events_of([at(UP, session="s", from_ring=3, to_ring=0)], None), run="gone")
    registry.end_run("gone")
    again = [at(UP, session="t", from_ring=3, to_ring=2), at(KILLED, session="t")]
    registry.observe(events_of(again, None), run="other")

    (series,) = [one.series for one in registry.collect() if one.name == CURRENT]
    assert series == {("a",): 3}


def test_longest_of_an_agent_s_elevations_is_shown() -> None:
    outer, inner = at(UP, elevation_id="o"), at(UP, elevation_id="i")

    assert elevated(events_of([outer, inner]))[0] == {"a": 99.0}
    assert elevated(events_of([outer, inner, at(DOWN, elevation_id="o")]))[0] == {"a": 98.0}
    assert elevated(events_of([outer, inner, at(DOWN, elevation_id="i")]))[0] == {"a": 99.0}


def test_who_works_twice_in_a_session_and_finished_once_works_on() -> None:
    first, second = TRACE.child(), TRACE.child()
    registry = MetricsRegistry()

    def step(kind: EventType, trace: CausalTraceId) -> None:
        registry.observe(
            [
                HypervisorEvent(
                    event_type=kind, agent_did="a", session_id="s", causal_trace_id=trace.full_id
                )
            ]
        )

    def shown(name: str) -> dict[tuple[str, ...], float]:
        return dict(next(one.series for one in registry.collect() if one.name == name))

    for kind, trace in ((JOINED, first), (JOINED, second), (UP, second), (AGENT_FINISHED, first)):
        step(kind, trace)
    assert shown("agent_hypervisor_agents_active") == {(): 1}
    assert ("a",) in shown(ACTIVE)
    step(AGENT_FINISHED, second)
    assert shown("agent_hypervisor_agents_active") == {(): 0}
    assert shown(ACTIVE) == {}


def test_killed_elevation_failed_and_finished_one_did_not() -> None:
    def span(*steps: Step) -> tuple[SpanStatus, object]:
        assembler = SpanAssembler()
        spans = [one for event in events_of(steps, None) for one in assembler.feed(event)]
        (found,) = [one for one in spans if one.scope == "elevation"]
        return found.status, found.attributes.get("agent.hypervisor.ended_by")

    assert span(at(UP), at(KILLED)) == (SpanStatus.ERROR, None)
    assert span(at(JOINED), at(UP), at(AGENT_FINISHED)) == (SpanStatus.UNSET, "agent")


def test_saved_assembler_knows_elevations_again() -> None:
    steps = [at(UP, elevation_id="o"), at(UP, elevation_id="i"), at(DOWN, elevation_id="i")]
    events = [*events_of(steps, None), *events_of([at(KILLED)] * 4, None)[3:]]
    assembler, spans = SpanAssembler(), []
    for event in events:
        spans += assembler.feed(event)
        assembler = SpanAssembler.from_state(assembler.state())

    assert [span.scope for span in spans] == ["elevation", "elevation"]


def test_quarantines_and_vouches_are_told_apart_like_elevations() -> None:
    released, vouched = EventType.QUARANTINE_RELEASED, EventType.VOUCH_CREATED
    registry = MetricsRegistry()
    registry.observe(
        events_of(
            [
                at(QUARANTINED, "a", quarantine_id=1),
                at(QUARANTINED, "b", quarantine_id=1),
                at(QUARANTINED, "c"),
                at(released, "a", quarantine_id="1"),
                at(released, "c", quarantine_id="given later"),
                at(vouched, "a", vouch_id="v"),
                at(vouched, "a", vouch_id="w"),
                at(EventType.VOUCH_RELEASED, "b", None, vouch_id="v"),
            ]
        )
    )
    families = {one.name: dict(one.series) for one in registry.collect()}

    assert families["agent_hypervisor_quarantines_active"] == {(): 1}
    assert families["agent_hypervisor_vouches_active"] == {(): 1}


def test_kill_ends_the_work_of_the_killed_agent_alone() -> None:
    registry = MetricsRegistry()
    registry.observe(events_of([at(JOINED, "a"), at(JOINED, "b"), at(KILLED, "c")]))
    families = {one.name: dict(one.series) for one in registry.collect()}
    assert families["agent_hypervisor_agents_active"] == {(): 2}

    registry.observe(events_of([at(KILLED, "a")]))

    families = {one.name: dict(one.series) for one in registry.collect()}
    assert families["agent_hypervisor_agents_active"] == {(): 1}


def test_what_lasts_is_bounded() -> None:
    lasting: Lasting[int] = Lasting()
    for number in range(MAX_LASTING + 5):
        lasting.begin((str(number), "a", "s"), number)

    assert lasting.end(("0", "a", "s")) == []
    assert [value for _, value in lasting.end(("", "a", "s"))] == [MAX_LASTING + 4]
    assert len(lasting.end_all("a", None)) == MAX_LASTING - 1
    assert not lasting.any_of("a")


KINDS = st.sampled_from(
    [UP, UP, DOWN, EXPIRED, JOINED, AGENT_FINISHED, KILLED, QUARANTINED, TERMINATED]
)
STEPS = st.builds(
    lambda kind, agent, session, own, ended, ring: at(
        kind, agent, session, elevation_id=own, terminated=ended, to_ring=ring
    ),
    KINDS,
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, "s", "t"]),
    st.sampled_from([None, "1", 1, "2", "3"]),
    st.booleans(),
    st.sampled_from([None, 0, 1, 2, 3]),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_metrics_and_reports_count_the_same_elevations(steps: list[Step]) -> None:
    events = events_of(steps, None)
    _, ended = elevated(events)
    following = Elevations(lambda event: event.event_id)
    of_tree = [one for event in events for _, one in following.take(event)]

    # A second start with the same key is one elevation for metrics, and takes the first's place
    # elsewhere: the ends are the same.
    assert sum(ended.values()) == len(of_tree) == sum(Findings.of(events).elevations)
    assert len(of_tree) == len(set(of_tree))
    of_metrics, of_collector, of_report = rings_of(events)
    assert of_metrics == of_collector == of_report
