"""What the meters count, and by which labels."""

import math
from decimal import Decimal
from typing import Any

import numpy
import pytest

from hypervisor_observability import (
    CausalTraceId,
    Config,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    MetricFamily,
    Observability,
    Recorder,
    RingMetricsCollector,
)
from hypervisor_observability.config import MetricsConfig
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    USAGE_RECORDED,
)
from hypervisor_observability.facts.lasting import MAX_LASTING
from hypervisor_observability.metrics.labels import LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry
from tests.threads import run_in_threads

P = "agent_hypervisor_"
Series = dict[tuple[str, ...], float]


@pytest.fixture
def registry() -> MetricsRegistry:
    return MetricsRegistry()


def event(
    kind: EventType,
    payload: dict[str, Any] | None = None,
    *,
    agent: str | None = "a",
    session: str | None = "s",
    trace: str | None = None,
    at: float = 1_700_000_000.0,
) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=kind,
        agent_did=agent,
        session_id=session,
        causal_trace_id=trace,
        payload=payload,
        timestamp=at,
    )


def family(registry: MetricsRegistry, name: str) -> MetricFamily:
    (found,) = [one for one in registry.collect() if one.name == P + name]
    return found


def series(registry: MetricsRegistry, name: str) -> Series:
    """Give what is not zero."""
    found = [one for one in registry.collect() if one.name == P + name]
    return {key: value for one in found for key, value in one.series.items() if value}


# Sessions


def test_sessions_and_agents_are_active_until_they_end(registry: MetricsRegistry) -> None:
    registry.observe([event(EventType.SESSION_CREATED)])
    for agent in ("a", "b", "a"):
        registry.observe([event(EventType.SESSION_JOINED, agent=agent)])
    registry.observe([event(EventType.SESSION_JOINED, agent="a", session="t")])
    assert series(registry, "sessions_active") == {(): 1}
    assert series(registry, "agents_active") == {(): 2}

    registry.observe([event(AGENT_FINISHED, agent="a"), event(AGENT_FINISHED, agent="nobody")])
    assert series(registry, "agents_active") == {(): 2}
    registry.observe([event(EventType.AGENT_KILLED, agent="a", session=None)])
    assert series(registry, "agents_active") == {(): 1}
    registry.observe([event(EventType.SESSION_TERMINATED, at=1_700_000_060.0)])
    registry.observe([event(EventType.SESSION_ARCHIVED, at=1_700_000_900.0)])

    assert series(registry, "agents_active") == series(registry, "sessions_active") == {}
    duration = family(registry, "session_duration_seconds").histograms[()]
    assert (duration.count, duration.sum) == (1, 60.0)


def test_measured_duration_is_taken_where_there_is_one(registry: MetricsRegistry) -> None:
    registry.observe([event(EventType.SESSION_CREATED)])
    registry.observe([event(EventType.SESSION_TERMINATED, {"duration_seconds": 0.25})])
    registry.observe([event(EventType.SESSION_CREATED)])
    registry.observe([event(EventType.SESSION_TERMINATED, {"duration_seconds": -1}, at=1.0)])

    assert family(registry, "session_duration_seconds").histograms[()].sum == 0.25


def test_more_sessions_than_are_followed_are_counted_all_the_same(
    registry: MetricsRegistry,
) -> None:
    for number in range(MAX_LASTING + 50):
        registry.observe([event(EventType.SESSION_CREATED, session=str(number))])
    assert series(registry, "sessions_active") == {(): MAX_LASTING + 50}

    for number in range(MAX_LASTING + 50):
        registry.observe([event(EventType.SESSION_TERMINATED, session=str(number))])

    assert series(registry, "sessions_active") == {}


def test_more_members_than_are_followed_are_let_go(registry: MetricsRegistry) -> None:
    for number in range(MAX_LASTING + 50):
        registry.observe([event(EventType.SESSION_JOINED, agent=str(number))])

    assert series(registry, "agents_active") == {(): MAX_LASTING}


# Sagas


def test_sagas_are_counted_and_timed_by_outcome(registry: MetricsRegistry) -> None:
    created, completed = EventType.SAGA_CREATED, EventType.SAGA_COMPLETED
    registry.observe([event(created, {"saga_id": "1"}), event(created, trace="t/s")])
    registry.observe(
        [event(completed, {"saga_id": "1", "outcome": "compensated"}, at=1_700_000_002)]
    )
    registry.observe([event(EventType.SAGA_ESCALATED, {"outcome": ["odd"]}, trace="t/s")])
    registry.observe([event(completed, {"saga_id": "never created"})])

    assert series(registry, "sagas_total") == {
        ("compensated",): 1,
        ("escalated",): 1,
        ("committed",): 1,
    }
    durations = family(registry, "saga_duration_seconds").histograms
    assert {key: one.count for key, one in durations.items()} == {
        ("committed",): 0,
        ("compensated",): 1,
        ("failed",): 0,
        ("escalated",): 1,
    }
    assert durations[("compensated",)].sum == 2.0


def test_steps_compensations_fanouts_checkpoints_and_handoffs_are_counted(
    registry: MetricsRegistry,
) -> None:
    for kind, payload in (
        (EventType.SAGA_STEP_COMMITTED, {}),
        (EventType.SAGA_STEP_FAILED, {}),
        (EventType.SAGA_COMPENSATING, {"phase": "started"}),
        (EventType.SAGA_COMPENSATING, {"phase": "failed"}),
        (EventType.SAGA_COMPENSATING, {}),
        (EventType.SAGA_FANOUT_STARTED, {"policy": "majority", "branch_count": 3}),
        (EventType.SAGA_FANOUT_STARTED, {"policy": 7, "branch_count": 200}),
        (EventType.SAGA_FANOUT_STARTED, {"branch_count": "many"}),
        (EventType.SAGA_CHECKPOINT_SAVED, {}),
        (EventType.SAGA_HANDOFF, {"status": "handed_off"}),
    ):
        registry.observe([event(kind, payload)])

    assert series(registry, "saga_steps_total") == {("committed",): 1, ("failed",): 1}
    assert series(registry, "saga_compensations_total") == {("failed",): 1, ("succeeded",): 1}
    branches = family(registry, "fanout_branches").histograms
    assert branches[("majority",)].sum == 3
    assert branches[("unknown",)].counts[-1] == 1
    assert series(registry, "saga_checkpoints_total") == {(): 1}
    assert series(registry, "saga_handoffs_total") == {("handed_off",): 1}


# Liability, files, security, audit


def test_vouches_and_quarantines_are_active_until_released(registry: MetricsRegistry) -> None:
    registry.observe([event(EventType.VOUCH_CREATED, {"vouch_id": one}) for one in "xy"])
    registry.observe([event(EventType.QUARANTINE_ENTERED, {"reason": "manual"})])
    registry.observe([event(EventType.QUARANTINE_ENTERED, {"reason": "because"}, agent="b")])
    registry.observe([event(EventType.VOUCH_RELEASED, {"vouch_id": "x"})])
    registry.observe([event(EventType.QUARANTINE_RELEASED)])

    assert series(registry, "vouches_active") == {(): 1}
    assert series(registry, "quarantines_active") == {(): 1}
    assert series(registry, "quarantines_total") == {("manual",): 1, ("unknown",): 1}


@pytest.mark.parametrize(
    ("kind", "payload", "name", "labels"),
    [
        (EventType.SLASH_EXECUTED, {"severity": "critical"}, "slashes_total", ("critical",)),
        (EventType.FAULT_ATTRIBUTED, {}, "faults_attributed_total", ()),
        (EventType.VFS_WRITE, {}, "vfs_operations_total", ("write",)),
        (EventType.VFS_CONFLICT, {}, "vfs_operations_total", ("conflict",)),
        (EventType.RATE_LIMITED, {}, "rate_limited_total", ("a",)),
        (EventType.AGENT_KILLED, {"reason": "manual"}, "agents_killed_total", ("manual",)),
        (EventType.AGENT_KILLED, {"reason": "it was late"}, "agents_killed_total", ("other",)),
        (EventType.AGENT_KILLED, {"reason": 7}, "agents_killed_total", ("other",)),
        (EventType.AGENT_KILLED, {}, "agents_killed_total", ("unknown",)),
        (EventType.AUDIT_DELTA_CAPTURED, {}, "audit_deltas_total", ()),
        (EventType.AUDIT_COMMITTED, {}, "audit_commits_total", ()),
    ],
)
def test_event_is_counted(
    registry: MetricsRegistry,
    kind: EventType,
    payload: dict[str, Any],
    name: str,
    labels: tuple[str, ...],
) -> None:
    registry.observe([event(kind, payload)])

    assert series(registry, name) == {labels: 1}


def test_drift_is_measured_where_it_is_a_number(registry: MetricsRegistry) -> None:
    for score in (0.3, "high", None, float("nan"), -1):
        registry.observe([event(EventType.BEHAVIOR_DRIFT, {"drift_score": score})])

    assert family(registry, "drift_score").histograms[()].count == 1


@pytest.mark.fault("P8")
@pytest.mark.parametrize("ring", [True, "x", 2.0, float("nan"), float("inf"), [0]])
def test_odd_ring_is_rejected_and_counted_and_ring_zero_is_shown(
    registry: MetricsRegistry, ring: object
) -> None:
    registry.observe([event(EventType.RING_ASSIGNED, {"ring": ring})])
    assert series(registry, "ring_invalid_total") == {(): 1}
    assert P + "ring_current" not in {one.name for one in registry.collect()}

    registry.observe([event(EventType.RING_ASSIGNED, {"ring": None})])
    registry.observe([event(EventType.RING_ASSIGNED, {"ring": 0})])

    assert series(registry, "ring_invalid_total") == {(): 1}
    assert family(registry, "ring_current").series == {("a",): 0}


def test_finished_elevations_are_timed_by_how_they_ended(registry: MetricsRegistry) -> None:
    for end, at in ((EventType.RING_DEMOTED, 10.0), (EventType.RING_ELEVATION_EXPIRED, 70.0)):
        registry.observe([event(EventType.RING_ELEVATED, at=5.0), event(end, at=at)])

    elevations = family(registry, "ring_elevation_seconds").histograms
    assert (elevations[("demoted",)].sum, elevations[("expired",)].sum) == (5.0, 65.0)


# Usage


def usage(trace: str | None = None, **payload: Any) -> HypervisorEvent:
    return event(USAGE_RECORDED, {"model": "m", **payload}, trace=trace)


def tokens(registry: MetricsRegistry) -> Series:
    return series(registry, "tokens_total")


def test_tokens_and_cost_are_counted_by_agent_and_model(registry: MetricsRegistry) -> None:
    registry.observe([usage(input_tokens=10, output_tokens=2, cost=0.5, currency="EUR")] * 2)
    registry.observe([usage(cost=1, currency="two words")])

    assert tokens(registry) == {("a", "m", "input"): 20, ("a", "m", "output"): 4}
    assert series(registry, "cost_total") == {("a", "m", "EUR"): 1.0, ("a", "m", "other"): 1}


@pytest.mark.fault("P8")
@pytest.mark.parametrize("amount", [-1, "7", True, float("nan"), float("inf"), 2**60, 1.5])
def test_tokens_that_are_no_number_of_things_are_counted_as_invalid(
    registry: MetricsRegistry, amount: object
) -> None:
    registry.observe([usage(input_tokens=amount, output_tokens=3)])

    assert tokens(registry) == {("a", "m", "output"): 3}
    assert series(registry, "usage_invalid_total") == {(): 1}


def test_report_that_sums_up_those_below_is_not_counted_again(registry: MetricsRegistry) -> None:
    registry.observe([event(EventType.SESSION_JOINED, trace="t/call/agent")])
    registry.observe([usage("t/x/call", input_tokens=10), usage("t/y/call", input_tokens=20)])
    registry.observe([usage("t/call/agent", input_tokens=30), usage("t/agent", input_tokens=30)])

    assert tokens(registry) == {("a", "m", "input"): 30}
    assert series(registry, "usage_totals_skipped_total") == {(): 2}


def test_own_usage_of_who_delegates_is_counted(registry: MetricsRegistry) -> None:
    registry.observe([usage("t/agent", input_tokens=5)])
    registry.observe([usage("t/sub/agent", input_tokens=100)])
    registry.observe([usage("t/agent", input_tokens=5), usage("t/agent", input_tokens=7)])

    assert tokens(registry) == {("a", "m", "input"): 117}


@pytest.mark.parametrize(("total", "counted"), [(True, 10), (False, 40)])
def test_payload_may_say_whether_a_report_is_a_total(
    registry: MetricsRegistry, total: bool, counted: int
) -> None:
    registry.observe([usage("t/sub/agent", input_tokens=10)])
    registry.observe([usage("t/agent", input_tokens=30, total=total)])
    registry.observe([usage(None, input_tokens=1, total=True)])

    assert tokens(registry) == {("a", "m", "input"): counted}


@pytest.mark.parametrize("trace", [None, "", "no", "a/b/c/d", "t/s/s"])
def test_report_without_a_place_is_counted(registry: MetricsRegistry, trace: str | None) -> None:
    registry.observe([usage(trace, input_tokens=1), usage(trace, input_tokens=1)])

    assert tokens(registry) == {("a", "m", "input"): 2}


def test_circle_of_parents_ends(registry: MetricsRegistry) -> None:
    registry.observe([usage("t/a/b", input_tokens=1), usage("t/b/a", input_tokens=1)])
    registry.observe([usage("t/a/b", input_tokens=1)])

    assert sum(tokens(registry).values()) <= 3


def test_work_that_is_remembered_is_bounded(
    registry: MetricsRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_observability.facts.leaves.MAX_SPANS", 2)
    registry.observe([usage(f"t/{number}/p", input_tokens=1) for number in range(10)])
    registry.observe([usage("t/9/p", input_tokens=1)])

    assert tokens(registry) == {("a", "m", "input"): 11}


def test_recorder_s_usage_of_nested_agents_is_counted_once() -> None:
    with Observability() as observability:
        recorder: Recorder = observability.recorder
        with recorder.agent("outer"):
            for _ in range(2):
                with recorder.agent("inner"):
                    recorder.usage(model="m", input_tokens=100, output_tokens=10)
            recorder.usage(model="m", input_tokens=200, output_tokens=20)
        found = {one.name: one for one in observability.collect_metrics()}

    assert found[P + "tokens_total"].series == {
        ("inner", "m", "input"): 200,
        ("inner", "m", "output"): 20,
    }


# Exemplars


def test_exemplar_leads_to_the_trace_of_the_event(registry: MetricsRegistry) -> None:
    trace = CausalTraceId()
    registry.observe([event(EventType.RING_BREACH_DETECTED, trace=trace.full_id, at=7.5)])
    registry.observe([event(EventType.SAGA_STEP_FAILED, trace="no id at all")])

    (exemplar,) = family(registry, "ring_breaches_by_agent_total").exemplars[("a",)]
    assert exemplar is not None
    assert exemplar.w3c == trace.to_w3c()
    assert (exemplar.value, exemplar.timestamp_ns) == (1, 7_500_000_000)
    (bad,) = family(registry, "saga_steps_total").exemplars[("failed",)]
    assert bad is not None
    assert bad.w3c is None
    again = family(registry, "ring_breaches_by_agent_total").exemplars[("a",)]
    assert again == (exemplar,)


def test_bucket_has_the_exemplar_of_its_latest_observation(registry: MetricsRegistry) -> None:
    for trace, score in (("t/1", 0.01), ("t/2", 0.02), ("t/3", 7.0)):
        registry.observe([event(EventType.BEHAVIOR_DRIFT, {"drift_score": score}, trace=trace)])

    exemplars = family(registry, "drift_score").exemplars[()]
    found = {n: one.causal_trace_id for n, one in enumerate(exemplars) if one is not None}
    assert found == {0: "t/2", len(exemplars) - 1: "t/3"}


# Labels


def test_production_labels_show_no_session_and_buckets_of_agents() -> None:
    registry = MetricsRegistry(LabelRules("production"))
    for number in range(1_000):
        agent, session = f"agent-{number}", f"s-{number}"
        for kind, payload in (
            (EventType.SESSION_JOINED, {}),
            (EventType.RING_ELEVATED, {"to_ring": number % 4}),
            (EventType.RING_BREACH_DETECTED, {}),
            (EventType.SESSION_TERMINATED, {}),
        ):
            registry.observe([event(kind, payload, agent=agent, session=session)])

    breaches = family(registry, "ring_breaches_total")
    assert breaches.label_names == ("agent_did",)
    assert {agent for (agent,) in breaches.series} <= {f"bucket-{n:02d}" for n in range(64)}
    assert sum(breaches.series.values()) == 1_000
    assert len(breaches.series) == 64
    rings = family(registry, "ring_current").series
    assert set(rings.values()) == {0}  # of each bucket the most privileged
    assert family(registry, "ring_transitions_total").label_names == ("event_type", "agent_did")


def test_bucket_of_an_agent_is_the_same_in_every_process() -> None:
    rules = LabelRules("production")

    assert rules.agent("did:mesh:analyst") == "bucket-30"
    assert rules.agent("\ud800") == rules.agent("\ud800")
    assert rules.agent(None) == rules.agent("") == "unknown"


def test_configuration_chooses_the_labels() -> None:
    with Observability(Config(metrics=MetricsConfig(labels="production"))) as observability:
        observability.governance.register_trust_score_gauge(
            lambda: {f"agent-{n}": float(n) for n in range(500)}
        )
        observability.governance.record_decision(False, "agent-1", "rm", 0.1)
        found = {one.name: one for one in observability.collect_metrics()}

    ((_, agent, tool),) = list(found["agent_governance_policy_decisions_total"].series)
    assert agent.startswith("bucket-")
    assert tool == "rm"
    trust = found["agent_governance_trust_score"].series
    assert len(trust) == 64
    assert min(trust.values()) == 0.0
    with pytest.raises(ValueError, match="labels"):
        MetricsConfig(labels="none")  # type: ignore[arg-type]  # what is refused


def test_configuration_limits_the_series() -> None:
    with Observability(Config(metrics=MetricsConfig(max_series=150))) as observability:
        observability.governance.register_trust_score_gauge(
            lambda: {f"agent-{n}": float(n) for n in range(500)}
        )
        for number in range(500):
            observability.governance.record_decision(False, f"agent-{number}", "rm", 0.1)
        found = {one.name: one for one in observability.collect_metrics()}

    decisions = found["agent_governance_policy_decisions_total"].series
    # Both decisions have an overflow series.
    assert (len(decisions), sum(decisions.values())) == (151, 500)
    assert len(found["agent_governance_trust_score"].series) == 150
    for count in (99, 100_001):
        with pytest.raises(ValueError, match="max_series"):
            MetricsConfig(max_series=count)


def test_trust_scores_beyond_the_limit_show_the_least_trusted() -> None:
    with Observability() as observability:
        observability.governance.register_trust_score_gauge(
            lambda: {f"agent-{n}": float(n) for n in range(5_000)}
        )
        found = {one.name: one for one in observability.collect_metrics()}

    assert len(found["agent_governance_trust_score"].series) == 2_000
    assert max(found["agent_governance_trust_score"].series.values()) == 1_999


# Threads


def test_collector_counts_exactly_what_many_threads_emit(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    class Exporter:
        total = 0.0

        def set_gauge(self, *_: object, **__: object) -> None:
            pass

        def inc_counter(self, name: str, value: float = 1.0, *_: object, **__: object) -> None:
            if name == P + "ring_breaches_total":
                self.total += value

    exporter = Exporter()

    def emit() -> None:
        for _ in range(2_000):
            bus.record(EventType.RING_BREACH_DETECTED, agent_did="a", session_id="s")

    def export() -> None:
        for _ in range(50):
            collector.export_to_prometheus(exporter)

    run_in_threads(emit, emit, export, emit, export)
    export()

    snapshot = collector.collect()
    assert snapshot["events_processed"] == 6_000
    assert snapshot[P + "ring_breaches_total"] == {("a", "s"): 6_000}
    assert exporter.total == 6_000


def test_amounts_of_other_types_are_counted_as_the_numbers_that_they_are(
    registry: MetricsRegistry,
) -> None:
    used = {"input_tokens": numpy.int64(7), "cost": Decimal("0.25"), "currency": "EUR"}
    absurd = {"input_tokens": -1, "output_tokens": math.nan, "cost": 10**400}
    registry.observe([event(USAGE_RECORDED, used), event(USAGE_RECORDED, absurd)])
    registry.observe([event(USAGE_RECORDED, used)])

    assert sum(series(registry, "tokens_total").values()) == 14
    assert sum(series(registry, "cost_total").values()) == 0.5
    assert series(registry, "usage_invalid_total") == {(): 3}


@pytest.mark.parametrize(
    ("kind", "key", "metric"),
    [
        (EventType.BEHAVIOR_DRIFT, "drift_score", "agent_hypervisor_drift_score"),
        (EventType.SAGA_FANOUT_STARTED, "branch_count", "agent_hypervisor_fanout_branches"),
        (GOVERNANCE_DECISION, "evaluation_ms", "agent_governance_evaluation_latency_ms"),
    ],
)
@pytest.mark.parametrize("value", [10**400, -1, math.nan, math.inf, "5", True, [1]])
def test_value_that_a_metric_cannot_take_is_counted(
    registry: MetricsRegistry, kind: EventType, key: str, metric: str, value: object
) -> None:
    registry.observe([event(kind, {key: value}), event(kind, {key: 1}), event(kind, {key: None})])

    assert series(registry, "observability_invalid_values_total") == {(metric,): 1}


def test_duration_that_is_none_is_counted_and_the_time_between_is_taken(
    registry: MetricsRegistry,
) -> None:
    registry.observe(
        [
            event(EventType.SESSION_CREATED, at=1_700_000_000.0),
            event(EventType.SESSION_TERMINATED, {"duration_seconds": -5}, at=1_700_000_060.0),
        ]
    )

    assert family(registry, "session_duration_seconds").histograms[()].sum == 60
    invalid = series(registry, "observability_invalid_values_total")
    assert invalid == {(P + "session_duration_seconds",): 1}
