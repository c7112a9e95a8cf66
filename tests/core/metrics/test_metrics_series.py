"""Series: how many, where a total stands, and when they go."""

import gc
import sys
from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    USAGE_RECORDED,
)
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.metrics.histogram import Histogram
from hypervisor_observability.metrics.instruments import Counter, Gauge
from hypervisor_observability.metrics.labels import MAX_SERIES, LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.metrics.series import Labels

BREACHES = "agent_hypervisor_ring_breaches_total"
BY_AGENT = "agent_hypervisor_ring_breaches_by_agent_total"
BY_SEVERITY = "agent_hypervisor_ring_breaches_by_severity_total"
TRANSITIONS = "agent_hypervisor_ring_transitions_total"
CURRENT = "agent_hypervisor_ring_current"
ACTIVE = "agent_hypervisor_ring_elevation_active_seconds"
WITHDRAWN = "agent_hypervisor_observability_series_withdrawn_total"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Clock:
    def __init__(self) -> None:
        self.ns = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> MetricsRegistry:
    return MetricsRegistry(now_ns=clock)


def event(
    kind: EventType, agent: str | None = "a", session: str | None = "s", **payload: Any
) -> HypervisorEvent:
    return HypervisorEvent(event_type=kind, agent_did=agent, session_id=session, payload=payload)


def families(registry: MetricsRegistry) -> dict[str, MetricFamily]:
    return {family.name: family for family in registry.collect()}


def series(registry: MetricsRegistry, name: str) -> dict[tuple[str, ...], float]:
    found = families(registry).get(name)
    return {} if found is None else dict(found.series)


def breach(agent: str = "a", session: str = "s", **payload: Any) -> HypervisorEvent:
    return event(EventType.RING_BREACH_DETECTED, agent, session, **payload)


# The limit


def test_limit_of_every_metric_can_be_set() -> None:
    registry = MetricsRegistry(LabelRules(max_series=100))
    payload = {"ring": 3, "allowed": True, "tool_name": "t", "evaluation_ms": 1.0}
    for kind in (EventType.RING_ASSIGNED, EventType.RING_BREACH_DETECTED, GOVERNANCE_DECISION):
        registry.observe([event(kind, f"agent-{n}", "s", **payload) for n in range(300)])

    found = families(registry)
    assert {len(found[name].series) for name in (BREACHES, BY_AGENT, TRANSITIONS)} == {101}
    assert len(found[CURRENT].series) == 100
    assert {sum(found[name].series.values()) for name in (BREACHES, BY_AGENT)} == {300}
    latency = found["agent_governance_evaluation_latency_ms"].histograms
    assert len(latency) == 101
    assert sum(value.count for value in latency.values()) == 300


def test_what_is_beyond_the_limit_is_counted_in_the_overflow_series() -> None:
    counter = Counter("c_total", "", {"agent": ()})
    for number in range(3 * MAX_SERIES):
        counter.increase((f"agent-{number}",), 2)
    counter.increase(("agent-0",))

    assert len(counter.series) == MAX_SERIES + 1
    assert sum(counter.series.values()) == 6 * MAX_SERIES + 1
    assert counter.series["agent-0",] == 3
    assert counter.series["other",] == 2 * counter.bounded.overflowed == 4 * MAX_SERIES


def test_labels_whose_values_are_known_keep_them_beyond_the_limit() -> None:
    labels: Labels = {"decision": ("allow", "deny"), "agent": ()}
    counter = Counter("c_total", "", labels)
    histogram = Histogram("h", "", labels, bounds=(1,))
    for number in range(3 * MAX_SERIES):
        decision = "deny" if number % 3 else "allow"
        counter.increase((decision, f"agent-{number}"))
        histogram.observe((decision, f"agent-{number}"), 0.5)

    for names in (counter.series, histogram.series):
        assert len(names) == MAX_SERIES + 1
    denied = sum(value for key, value in counter.series.items() if key[0] == "deny")
    assert denied == 2 * MAX_SERIES
    observed = sum(sum(one.counts) for key, one in histogram.series.items() if key[0] == "deny")
    assert observed == 2 * MAX_SERIES


def test_overflow_series_is_there_before_it_is_needed() -> None:
    counter = Counter("c_total", "", {"agent": ()})
    for number in range(MAX_SERIES // 2 - 1):
        counter.increase((str(number),))
    assert ("other",) not in counter.series

    counter.increase(("one more",))

    assert counter.series["other",] == 0


def test_zeros_leave_half_of_the_places_to_what_has_something_to_show() -> None:
    counter = Counter("c_total", "", {"agent": ()})
    for number in range(MAX_SERIES):
        counter.show((f"idle-{number}",))
    for number in range(MAX_SERIES // 2):
        counter.increase((f"busy-{number}",))

    assert counter.bounded.overflowed == 0
    assert counter.series["busy-0",] == 1


def test_agent_that_is_called_like_the_overflow_series_loses_nothing() -> None:
    counter = Counter("c_total", "", {"agent": ()})
    counter.increase(("other",), 5)
    for number in range(MAX_SERIES + 7):
        counter.increase((str(number),))

    assert len(counter.series) <= MAX_SERIES + 1
    assert sum(counter.series.values()) == 5 + MAX_SERIES + 7


def test_gauge_beyond_the_limit_shows_those_that_were_set_last() -> None:
    gauge = Gauge("g", "", {"agent": ()})
    for number in range(MAX_SERIES):
        gauge.set((str(number),), number)
    gauge.set(("0",), 7)
    gauge.set(("new",), 1)

    assert len(gauge.series) == MAX_SERIES
    assert gauge.evicted == 1
    assert ("1",) not in gauge.series
    assert gauge.series["0",] == 7


# Zeros


def test_counters_with_known_labels_are_there_from_the_beginning(registry: MetricsRegistry) -> None:
    found = families(registry)

    assert set(found[BY_SEVERITY].series.values()) == {0}
    assert ("critical",) in found[BY_SEVERITY].series
    assert found["agent_hypervisor_saga_steps_total"].series == {("committed",): 0, ("failed",): 0}
    assert found["agent_hypervisor_ring_invalid_total"].series == {(): 0}
    assert found["agent_hypervisor_sagas_total"].series["escalated",] == 0
    assert found["agent_hypervisor_saga_duration_seconds"].histograms["committed",].count == 0


@pytest.mark.parametrize("kind", [EventType.SESSION_JOINED, EventType.RING_ASSIGNED])
def test_first_breach_of_a_known_agent_is_an_increase(
    registry: MetricsRegistry, kind: EventType
) -> None:
    registry.observe([event(kind, "a", "s")])
    before = families(registry)
    registry.observe([breach("a", "s", severity="high")])
    after = families(registry)

    for name, key in ((BREACHES, ("a", "s")), (BY_AGENT, ("a",)), (BY_SEVERITY, ("high",))):
        assert (before[name].series[key], after[name].series[key]) == (0, 1)


@pytest.mark.parametrize("severity", [None, 5, "fatal", ["high"]])
def test_severity_that_is_none_is_unknown(registry: MetricsRegistry, severity: object) -> None:
    registry.observe([breach(severity=severity)])

    assert series(registry, BY_SEVERITY)["unknown",] == 1


# Sessions that end


def test_series_of_a_session_go_ten_minutes_after_its_end_and_the_twins_stay(
    registry: MetricsRegistry, clock: Clock
) -> None:
    registry.observe([event(EventType.RING_ASSIGNED, ring=3), breach(), breach("b", "other one")])
    registry.observe([event(EventType.SESSION_TERMINATED)])
    clock.ns += 9 * MINUTE
    assert series(registry, BREACHES)["a", "s"] == 1

    clock.ns += 2 * MINUTE

    assert series(registry, BREACHES) == {("b", "other one"): 1}
    assert series(registry, TRANSITIONS) == {}
    assert series(registry, BY_AGENT) == {("a",): 1, ("b",): 1}
    withdrawn = series(registry, WITHDRAWN)
    assert (withdrawn[BREACHES,], withdrawn[TRANSITIONS,]) == (1, 1)


def test_places_of_sessions_that_ended_are_given_to_others(
    registry: MetricsRegistry, clock: Clock
) -> None:
    for number in range(MAX_SERIES):
        session = f"s{number}"
        registry.observe([breach("a", session), event(EventType.SESSION_TERMINATED, "a", session)])
    clock.ns += 11 * MINUTE
    registry.collect()
    registry.observe([breach("a", "new")])

    assert series(registry, BREACHES) == {("a", "new"): 1, ("other", "other"): 0}
    assert series(registry, BY_AGENT) == {("a",): MAX_SERIES + 1}


def test_session_that_begins_again_keeps_its_series(
    registry: MetricsRegistry, clock: Clock
) -> None:
    registry.observe([breach(), event(EventType.SESSION_TERMINATED)])
    clock.ns += 5 * MINUTE
    registry.observe([event(EventType.SESSION_JOINED)])
    clock.ns += 30 * MINUTE

    assert series(registry, BREACHES)["a", "s"] == 1


def test_what_comes_of_a_session_after_it_has_gone_goes_too(
    registry: MetricsRegistry, clock: Clock
) -> None:
    registry.observe([breach(), event(EventType.SESSION_TERMINATED)])
    clock.ns += 11 * MINUTE
    registry.observe([breach()])
    assert series(registry, BREACHES)["a", "s"] == 1
    clock.ns += MINUTE
    assert series(registry, BREACHES)["a", "s"] == 1
    clock.ns += 11 * MINUTE

    assert series(registry, BREACHES) == {}
    assert series(registry, BY_AGENT) == {("a",): 2}


def test_event_without_a_session_ends_none(registry: MetricsRegistry, clock: Clock) -> None:
    registry.observe([event(EventType.RING_BREACH_DETECTED, "a", None)])
    registry.observe([event(EventType.SESSION_TERMINATED, None, None)])
    clock.ns += 30 * MINUTE

    assert series(registry, BREACHES) == {("a", "unknown"): 1}


def test_gauges_of_an_agent_go_ten_minutes_after_its_last_session(
    registry: MetricsRegistry, clock: Clock
) -> None:
    for session in ("s", "t"):
        registry.observe([event(EventType.SESSION_JOINED, "a", session)])
    registry.observe([event(EventType.RING_ASSIGNED, ring=2)])
    registry.observe([event(AGENT_FINISHED, "a", "s")])
    clock.ns += 30 * MINUTE
    assert series(registry, CURRENT) == {("a",): 2}
    registry.observe([event(EventType.SESSION_TERMINATED, None, "t")])
    clock.ns += 9 * MINUTE
    assert series(registry, CURRENT) == {("a",): 2}

    clock.ns += 2 * MINUTE

    assert series(registry, CURRENT) == {}


def test_agent_that_returns_keeps_its_gauges(registry: MetricsRegistry, clock: Clock) -> None:
    registry.observe([event(EventType.SESSION_JOINED), event(EventType.RING_ASSIGNED, ring=2)])
    registry.observe([event(AGENT_FINISHED)])
    clock.ns += 5 * MINUTE
    registry.observe([event(EventType.SESSION_JOINED)])
    clock.ns += 30 * MINUTE

    assert series(registry, CURRENT) == {("a",): 2}


def test_nobody_is_elevated_in_a_session_that_has_ended(registry: MetricsRegistry) -> None:
    registry.observe([event(EventType.RING_ELEVATED, to_ring=1)])
    assert series(registry, ACTIVE)
    registry.observe([event(EventType.SESSION_TERMINATED)])

    assert series(registry, ACTIVE) == {}


# A million


@pytest.mark.slow
@pytest.mark.fault("P5")
def test_million_agents_and_sessions_leave_few_series_exact_totals_and_flat_memory() -> None:
    registry = MetricsRegistry()
    all_kinds = (
        EventType.SESSION_CREATED,
        EventType.SESSION_JOINED,
        EventType.RING_ASSIGNED,
        GOVERNANCE_DECISION,
        USAGE_RECORDED,
        EventType.RATE_LIMITED,
    )
    payload = {"ring": 3, "to_ring": 3, "severity": "low", "allowed": False, "tool_name": "t"}
    payload |= {"evaluation_ms": 0.25, "input_tokens": 2, "cost": 0.5, "model": "m"}

    def observe(numbers: range) -> int:
        for start in range(numbers.start, numbers.stop, 500):
            part = range(start, min(start + 500, numbers.stop))
            registry.observe([breach(f"agent-{n}", f"s-{n}", **payload) for n in part])
            registry.observe(
                [
                    event(kind, f"agent-{n}", f"s-{n}", **payload)
                    for n in part[::10]
                    for kind in all_kinds
                ]
            )
            ended = [event(EventType.SESSION_TERMINATED, None, f"s-{n}") for n in part[::20]]
            registry.observe(ended)
        gc.collect()
        return sys.getallocatedblocks()

    # By then everything that is bounded is full: the most is kept of what a tenth of them does.
    before = observe(range(210_000))
    after = observe(range(210_000, 1_000_000))

    total, part = 1_000_000, 100_000
    found = families(registry)
    for family in found.values():
        assert max(len(family.series), len(family.histograms)) <= MAX_SERIES + 1, family.name
    sums = {name: sum(family.series.values()) for name, family in found.items()}
    assert {sums[name] for name in (BREACHES, BY_AGENT, BY_SEVERITY)} == {total}
    assert sums[TRANSITIONS] == part
    assert sums["agent_governance_policy_decisions_total"] == part
    assert sums["agent_hypervisor_rate_limited_total"] == part
    assert sums["agent_hypervisor_tokens_total"] == 2 * part
    assert sums["agent_hypervisor_cost_total"] == part / 2
    assert sums["agent_hypervisor_sessions_active"] == part / 2
    latency = found["agent_governance_evaluation_latency_ms"].histograms.values()
    assert sum(value.count for value in latency) == part
    # A block for each hundredth of the further agents would be too many.
    assert after - before < 7_900
