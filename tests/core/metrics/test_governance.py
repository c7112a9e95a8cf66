"""Governance decisions: events first, metrics read from them."""

import enum
import logging
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    GovernanceMetrics,
    HypervisorEventBus,
    MetricFamily,
)

DECISIONS = "agent_governance_policy_decisions_total"
LATENCY = "agent_governance_evaluation_latency_ms"
TRUST = "agent_governance_trust_score"


def by_name(families: list[MetricFamily]) -> dict[str, MetricFamily]:
    return {family.name: family for family in families}


def test_decision_is_an_event_and_is_counted(bus: HypervisorEventBus) -> None:
    governance = GovernanceMetrics(bus)

    governance.record_decision(True, "did:a", "file_read", 0.05)
    governance.record_decision(False, "did:b", "shell_exec", 0.12)
    governance.record_decision(False, "did:c", "api_call", 50, rate_limited=True)

    assert bus.type_counts() == {"governance.decision": 3}
    families = by_name(governance.collect())
    assert families[DECISIONS].series == {
        ("allow", "did:a", "file_read"): 1,
        ("deny", "did:b", "shell_exec"): 1,
        ("deny", "did:c", "api_call"): 1,
    }
    assert sum(families["agent_governance_tool_calls_allowed_total"].series.values()) == 1
    assert sum(families["agent_governance_tool_calls_blocked_total"].series.values()) == 2
    assert sum(families["agent_governance_rate_limit_hits_total"].series.values()) == 1
    latency = families[LATENCY]
    assert 50 in latency.bounds
    value = latency.histograms["deny", "did:c", "api_call"]
    assert value.counts[latency.bounds.index(50)] == 1
    assert (value.count, value.sum) == (1, 50.0)


def test_decision_belongs_to_the_current_trace(bus: HypervisorEventBus) -> None:
    governance = GovernanceMetrics(bus)
    trace = CausalTraceId()

    with trace.activate():
        governance.record_decision(True, "did:a", "file_read", 0.05)
    governance.record_decision(True, "did:b", "file_read", 0.05)

    assert [event.causal_trace_id for event in bus.query()] == [trace.full_id, None]
    ((key, (exemplar,)),) = by_name(governance.collect())[DECISIONS].exemplars.items()
    assert key == ("allow", "did:a", "file_read")
    assert exemplar is not None
    assert exemplar.causal_trace_id == trace.full_id


@pytest.mark.parametrize("latency", [float("nan"), float("inf"), -1, True, "fast", None])
def test_latency_that_is_no_duration_is_left_out(bus: HypervisorEventBus, latency: Any) -> None:
    governance = GovernanceMetrics(bus)

    governance.record_decision(True, "did:a", "file_read", latency)

    families = by_name(governance.collect())
    assert families[LATENCY].histograms == {}
    assert sum(families[DECISIONS].series.values()) == 1
    assert bus.handler_errors == 0


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (lambda: {"did:a": 850, "did:b": 320.5}, {("did:a",): 850.0, ("did:b",): 320.5}),
        (lambda: [(850.0, {"agent_id": "did:a"})], {("did:a",): 850.0}),
        (lambda: 700, {("unknown",): 700.0}),
    ],
)
def test_trust_scores_are_asked_for_when_metrics_are_read(
    callback: Callable[[], Any], expected: dict[tuple[str, ...], float]
) -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    governance.register_trust_score_gauge(callback)
    governance.register_active_agents_gauge(lambda: 7)

    families = by_name(governance.collect())

    assert families[TRUST].series == expected
    assert families["agent_governance_active_agents"].series == {(): 7.0}


def test_gauge_callback_that_raises_is_logged_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    governance.register_trust_score_gauge(lambda: 1 / 0)
    governance.register_active_agents_gauge(lambda: 2)

    with caplog.at_level(logging.WARNING):
        families = by_name(governance.collect())

    assert families[TRUST].series == {}
    assert families["agent_governance_active_agents"].series == {(): 2.0}
    assert "raised" in caplog.text


def test_audit_events_are_counted() -> None:
    from hypervisor_observability import EventType

    bus = HypervisorEventBus()
    governance = GovernanceMetrics(bus)

    bus.record(EventType.AUDIT_COMMITTED)
    bus.record(EventType.AUDIT_DELTA_CAPTURED)

    families = by_name(governance.collect())
    assert families["agent_governance_audit_events_total"].series == {(): 2}


def test_instance_that_does_not_count_still_emits(bus: HypervisorEventBus) -> None:
    governance = GovernanceMetrics(bus, counting=False)

    governance.record_decision(True, "did:a", "file_read", 0.05)

    assert bus.emitted == 1
    assert by_name(governance.collect())[DECISIONS].series == {}


def test_score_that_is_no_number_costs_itself_alone() -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    scores: Any = {"a": 1, "b": "high", "c": math.nan, "d": 10**400, "e": Decimal("2.5"), "f": None}
    governance.register_trust_score_gauge(lambda: scores)
    odd: Any = math.inf
    governance.register_active_agents_gauge(lambda: odd)

    families = {family.name: family.series for family in governance.collect()}
    assert families["agent_governance_trust_score"] == {("a",): 1.0, ("e",): 2.5}
    assert families["agent_governance_active_agents"] == {}


class Team(enum.Enum):
    RED = "did:red"


@pytest.mark.parametrize("agent", ["did:a", 7, uuid.UUID(int=7), Team.RED], ids=repr)
def test_agent_of_any_type_has_one_label(agent: Any) -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    governance.record_decision(True, agent, "shell", 1.0)
    governance.register_trust_score_gauge(lambda: {agent: 1.0})
    governance.register_trust_score_gauge(lambda: [(2.0, {"agent_id": agent})])

    families = by_name(governance.collect())
    ((_, label, _),) = families[DECISIONS].series
    assert list(families[TRUST].series) == [(label,)]


def test_agent_without_a_text_costs_itself_alone() -> None:
    governance = GovernanceMetrics(HypervisorEventBus())
    scores: Any = {10**5_000: 1.0, "did:a": 2.0}
    governance.register_trust_score_gauge(lambda: scores)

    assert by_name(governance.collect())[TRUST].series == {("<int>",): 1.0, ("did:a",): 2.0}
