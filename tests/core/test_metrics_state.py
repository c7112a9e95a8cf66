"""Counters over a restart: what is saved as JSON is counted on from."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.event_types import AGENT_FINISHED, GOVERNANCE_DECISION, USAGE_RECORDED
from hypervisor_observability.metrics.families import MetricFamily, MetricKind
from hypervisor_observability.metrics.registry import MetricsRegistry

SECOND = 1_000_000_000
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
