"""Counters over a restart: what is saved as JSON is counted on from."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    USAGE_RECORDED,
)
from hypervisor_observability.metrics.families import MetricFamily, MetricKind
from hypervisor_observability.metrics.labels import LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry

SECOND = 1_000_000_000
BREACHES = "agent_hypervisor_ring_breaches_total"
SESSIONS = "agent_hypervisor_session_duration_seconds"
TYPES = [*EventType, AGENT_FINISHED, GOVERNANCE_DECISION, USAGE_RECORDED]
NAMES = st.one_of(st.none(), st.sampled_from(["a", "b", "other", "unknown", ""]), st.text())
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(), st.text(max_size=8)
)
KEYS = ["ring", "to_ring", "severity", "outcome", "phase", "saga_id", "allowed", "evaluation_ms"]
KEYS += ["input_tokens", "cost", "model", "branch_count", "drift_score", "duration_seconds"]
EVENTS = st.builds(
    HypervisorEvent,
    event_type=st.sampled_from(TYPES),
    timestamp=st.integers(1_700_000_000, 1_700_000_100),
    session_id=NAMES,
    agent_did=NAMES,
    causal_trace_id=st.sampled_from([None, "t1/a", "t1/b/a", "no id", "t2/c/a"]),
    payload=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
)


def totals(registry: MetricsRegistry) -> dict[Any, Any]:
    """Give what only grows, without the gauges and the examples."""
    return {
        family.name: (family.series, family.histograms)
        for family in registry.collect()
        if family.kind is not MetricKind.GAUGE
    }


def family(registry: MetricsRegistry, name: str) -> MetricFamily:
    (found,) = [one for one in registry.collect() if one.name == name]
    return found


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(state, allow_nan=False))
    return loaded


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(before=st.lists(EVENTS, max_size=30), after=st.lists(EVENTS, max_size=30))
def test_registry_that_was_restored_counts_like_one_that_went_on(
    before: list[HypervisorEvent], after: list[HypervisorEvent]
) -> None:
    whole = MetricsRegistry(now_ns=lambda: 0)
    first = MetricsRegistry(now_ns=lambda: 0)
    second = MetricsRegistry(now_ns=lambda: 0)

    first.observe(before)
    assert second.restore(through_json(first.state())) == []
    assert totals(second) == totals(first)
    second.observe(after)
    whole.observe(before + after)

    usage = {"agent_hypervisor_tokens_total", "agent_hypervisor_cost_total"}
    usage |= {"agent_hypervisor_usage_totals_skipped_total"}
    # Which work lies below which is not kept: of a report on both sides of a restart it is
    # not known that it is a total.
    for name, expected in totals(whole).items():
        if name not in usage:
            assert totals(second)[name] == expected
    assert second.state()["meters"].keys() == whole.state()["meters"].keys()


@settings(max_examples=50, deadline=None)
@given(before=st.lists(EVENTS, max_size=20))
def test_state_that_is_restored_is_the_same_state(before: list[HypervisorEvent]) -> None:
    first = MetricsRegistry(now_ns=lambda: 0)
    first.observe(before)
    second = MetricsRegistry(now_ns=lambda: 0)

    second.restore(through_json(first.state()))

    assert second.state() == first.state()


DAMAGED: list[Any] = [
    None,
    [],
    "x",
    {},
    {"version": 1},
    {"version": 2},
    {"version": 1, "meters": [], "withdrawals": {}},
    {"version": 1, "meters": {"rings": {}}, "withdrawals": {"sessions": {}}},
    {"version": 1, "meters": {}, "withdrawals": {"sessions": {"s": "x"}}},
]


@pytest.mark.parametrize("state", DAMAGED)
def test_damaged_state_is_refused_and_changes_nothing(state: Any) -> None:
    registry = MetricsRegistry()
    registry.observe([HypervisorEvent(event_type=EventType.RING_BREACH_DETECTED)])
    before = totals(registry)

    with pytest.raises(ValueError, match="no state of metrics"):
        registry.restore(state)
    assert totals(registry) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s["counted"][BREACHES]["series"].append([["a"], 1]),
        lambda s: s["counted"][BREACHES]["series"].append([["a", "b"], -1]),
        lambda s: s["counted"][BREACHES]["series"].append([["a", 5], 1]),
        lambda s: s["counted"][BREACHES]["series"].append([["a", "b"], True]),
        lambda s: s["counted"][BREACHES].update(overflowed=-1),
        lambda s: s["open"]["elevations"]["open"].append([["a"], 1, ""]),
        lambda s: s["open"]["elevations"]["open"].append([["a", "b", "c"], "x", ""]),
        lambda s: s["open"]["elevations"]["open"].append(["ab", 1, ""]),
        lambda s: s["counted"][SESSIONS]["series"].append([[], [1], 1]),
    ],
)
def test_state_with_wrong_series_is_refused(damage: Any) -> None:
    state = through_json(MetricsRegistry().state())
    damage(state["meters"]["all"])

    with pytest.raises(ValueError, match="no state of metrics"):
        MetricsRegistry().restore(state)


def test_metrics_that_had_other_labels_begin_at_zero_and_are_told() -> None:
    first = MetricsRegistry(LabelRules("full"))
    first.observe([HypervisorEvent(event_type=EventType.RING_BREACH_DETECTED, agent_did="a")])
    state = through_json(first.state())
    state["meters"]["all"]["counted"][SESSIONS]["bounds"].pop()
    second = MetricsRegistry(LabelRules("production"))

    changed = second.restore(state)

    assert BREACHES in changed
    assert SESSIONS in changed
    assert (
        family(second, "agent_hypervisor_ring_breaches_by_severity_total").series[("unknown",)] == 1
    )


def test_series_that_were_restored_are_withdrawn_when_their_session_ends() -> None:
    now = [0]
    first = MetricsRegistry(now_ns=lambda: now[0])
    second = MetricsRegistry(now_ns=lambda: now[0])
    breach = HypervisorEvent(
        event_type=EventType.RING_BREACH_DETECTED, agent_did="a", session_id="s"
    )
    ended = HypervisorEvent(event_type=EventType.SESSION_TERMINATED, session_id="s")
    first.observe([breach, ended])
    second.restore(through_json(first.state()))
    assert family(second, BREACHES).series == {("a", "s"): 1}

    now[0] += 11 * 60 * SECOND

    assert BREACHES not in {one.name for one in second.collect()}


# Several runs, as of many processes


def at_work(session: str, agent: str) -> list[HypervisorEvent]:
    return [
        HypervisorEvent(event_type=kind, agent_did=agent, session_id=session, payload=payload)
        for kind, payload in (
            (EventType.SESSION_CREATED, {}),
            (EventType.SESSION_JOINED, {}),
            (EventType.RING_ELEVATED, {"to_ring": 1}),
            (EventType.VOUCH_CREATED, {"vouch_id": f"v-{agent}"}),
            (EventType.QUARANTINE_ENTERED, {}),
            (EventType.SAGA_CREATED, {"saga_id": f"saga-{agent}"}),
            (EventType.RING_BREACH_DETECTED, {}),
        )
    ]


def gauges(registry: MetricsRegistry) -> dict[str, Any]:
    return {
        one.name.removeprefix("agent_hypervisor_"): dict(one.series)
        for one in registry.collect()
        if one.kind is MetricKind.GAUGE and not one.name.endswith("_seconds")
    }


@pytest.mark.fault("P9")
def test_run_that_ended_leaves_its_totals_and_takes_its_gauges() -> None:
    now = [0]
    registry = MetricsRegistry(now_ns=lambda: now[0])
    registry.observe(at_work("s1", "a"), run="one")
    registry.observe(at_work("s2", "b"), run="two")
    assert registry.runs == {"one", "two"}

    registry.end_run("one")

    assert registry.runs == {"two"}
    left = gauges(registry)
    assert left["ring_current"] == {("b",): 1}
    assert left["sessions_active"] == left["agents_active"] == {(): 1}
    assert left["vouches_active"] == left["quarantines_active"] == {(): 1}
    elevated = "agent_hypervisor_ring_elevation_active_seconds"
    assert set(family(registry, elevated).series) == {("b",)}
    now[0] += 11 * 60 * SECOND
    assert family(registry, BREACHES).series == {("b", "s2"): 1}
    by_agent = family(registry, "agent_hypervisor_ring_breaches_by_agent_total")
    assert by_agent.series == {("a",): 1, ("b",): 1}


@pytest.mark.fault("P9")
def test_run_that_holds_but_a_gauge_is_known_until_it_ends() -> None:
    registry = MetricsRegistry()
    assigned = HypervisorEvent(
        event_type=EventType.RING_ASSIGNED, agent_did="a", payload={"ring": 2}
    )
    registry.observe([assigned], run="one")
    assert registry.runs == {"one"}
    registry.observe([assigned], run="two")
    assert registry.runs == {"two"}  # the gauge is that of who set it last

    registry.end_run("one")
    assert gauges(registry)["ring_current"] == {("a",): 2}
    registry.end_run("two")

    assert registry.runs == set()
    assert "ring_current" not in gauges(registry)


@pytest.mark.fault("P9")
def test_runs_are_known_after_a_restart_and_gauges_are_not() -> None:
    first = MetricsRegistry()
    first.observe(at_work("s1", "a"), run="one")
    second = MetricsRegistry()

    second.restore(through_json(first.state()))

    assert second.runs == {"one"}
    assert "ring_current" not in gauges(second)
    assert gauges(second)["sessions_active"] == {(): 1}
    second.end_run("one")
    assert gauges(second)["sessions_active"] == {(): 0}
    assert second.runs == set()


# Since when


def counters_since(registry: MetricsRegistry) -> dict[str, int | None]:
    return {
        one.name: one.since_ns for one in registry.collect() if one.kind is not MetricKind.GAUGE
    }


def test_totals_that_go_on_keep_the_time_since_when_they_count() -> None:
    moments = iter(range(1_000, 9_000, 1_000))
    first = MetricsRegistry(now_ns=lambda: next(moments, 9_000))
    first.observe([HypervisorEvent(event_type=EventType.VFS_WRITE)])
    assert set(counters_since(first).values()) == {1_000}

    second = MetricsRegistry(now_ns=lambda: 5_000)
    own = MetricFamily(name="own_total", kind=MetricKind.COUNTER, help="", series={(): 1.0})
    second.add_callback(lambda: [own])
    second.restore(through_json(first.state()))
    third = MetricsRegistry(now_ns=lambda: 7_000)
    third.restore(through_json(second.state()))

    since = counters_since(second)
    assert since.pop("own_total") == 5_000  # that counts from this process on
    assert set(since.values()) == set(counters_since(third).values()) == {1_000}


def test_totals_that_begin_at_zero_count_since_then() -> None:
    first = MetricsRegistry(now_ns=lambda: 1_000)
    first.observe([HypervisorEvent(event_type=EventType.VFS_WRITE)])
    saved = through_json(first.state())
    changed = MetricsRegistry(LabelRules("production"), now_ns=lambda: 5_000)
    anew = changed.restore(saved)
    changed.observe([HypervisorEvent(event_type=EventType.RING_BREACH_DETECTED)])

    since = counters_since(changed)
    assert {name for name, moment in since.items() if moment == 5_000} == since.keys() & set(anew)
    assert 1_000 in since.values()
    changed.begin_anew()
    changed.observe([HypervisorEvent(event_type=EventType.VFS_WRITE)])
    assert set(counters_since(changed).values()) == {5_000}


@pytest.mark.parametrize("since", [-1, "1", 1.5, True, None])
def test_state_that_counts_since_no_time_is_refused(since: Any) -> None:
    registry = MetricsRegistry()
    with pytest.raises(ValueError, match="since_ns"):
        registry.restore({**registry.state(), "since_ns": since})


def test_state_of_a_release_that_saved_no_time_counts_since_now() -> None:
    registry = MetricsRegistry(now_ns=lambda: 5_000)
    registry.observe([HypervisorEvent(event_type=EventType.VFS_WRITE)])
    saved = registry.state()
    del saved["since_ns"]
    later = MetricsRegistry(now_ns=lambda: 6_000)
    later.restore(saved)

    assert set(counters_since(later).values()) == {6_000}


def test_state_in_which_each_meter_had_its_own_place_is_restored() -> None:
    first, second = MetricsRegistry(), MetricsRegistry()
    first.observe([HypervisorEvent(event_type=EventType.RING_BREACH_DETECTED, agent_did="a")])
    first.observe([HypervisorEvent(event_type=EventType.SESSION_CREATED, session_id="s")])
    state = through_json(first.state())
    everything = state["meters"].pop("all")
    for number, (name, counted) in enumerate(everything["counted"].items()):
        state["meters"][f"meter {number}"] = {"counted": {name: counted}, "open": {}}
    state["meters"]["sessions"] = {"counted": {}, "open": everything["open"]}

    assert second.restore(state) == []
    assert second.state() == first.state()
