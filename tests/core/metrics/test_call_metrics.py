"""Runs, calls of tools and models, and handoffs as metrics."""

from asyncio import CancelledError
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    MetricFamily,
    Recorder,
)
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.facts import payload_facts
from hypervisor_observability.metrics.labels import OTHER, UNKNOWN, LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import SpanStatus

P = "agent_hypervisor_"
ENDS = ("run.finished", "tool.finished", "model.finished")
STATUS = {
    "error": SpanStatus.ERROR,
    "blocked": SpanStatus.ERROR,
    "cancelled": SpanStatus.UNSET,
    "expired": SpanStatus.UNSET,
    "ok": SpanStatus.OK,
}
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)

payloads = st.fixed_dictionaries(
    {},
    optional={
        "tool_name": st.sampled_from(["search", "read", ""]) | ANY,
        "model": st.sampled_from(["m-1", "m-2", "a model of words"]) | ANY,
        "status": st.sampled_from([*payload_facts.CALL_ENDS, "odd"]) | ANY,
        "error_type": st.just("ValueError") | ANY,
        "duration_seconds": st.floats(0, 100) | ANY,
        "first_token_seconds": st.floats(0, 100) | ANY,
    },
)
types = st.sampled_from([*ENDS, "tool.started", "model.started", "agent.handoff"])


def event(kind: str, payload: dict[str, Any], trace: str | None = None) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=EventType.of(kind), agent_did="did:a", causal_trace_id=trace, payload=payload
    )


def counted(registry: MetricsRegistry) -> dict[str, MetricFamily]:
    return {one.name.removeprefix(P): one for one in registry.collect()}


@given(st.lists(st.tuples(types, payloads), max_size=30))
def test_counts_equal_the_events(told: list[tuple[str, dict[str, Any]]]) -> None:
    events = [event(kind, payload) for kind, payload in told]
    registry = MetricsRegistry()
    registry.observe(events)
    found = counted(registry)

    of_type = Counter(kind for kind, _ in told)
    totals = {
        "run.finished": "runs_total",
        "tool.finished": "tool_calls_total",
        "model.finished": "model_calls_total",
        "agent.handoff": "handoffs_total",
    }
    for kind, name in totals.items():
        series = found[name].series if name in found else {}
        assert sum(series.values()) == of_type[kind]
    by_status = Counter(
        payload_facts.work_end(one) for one in events if one.event_type == "tool.finished"
    )
    told_by_status: Counter[str] = Counter()
    if "tool_calls_total" in found:
        for (_, status), value in found["tool_calls_total"].series.items():
            told_by_status[status] += int(value)
    assert +told_by_status == by_status
    for name, kind, key in (
        ("run_duration_seconds", "run.finished", "duration_seconds"),
        ("tool_duration_seconds", "tool.finished", "duration_seconds"),
        ("model_duration_seconds", "model.finished", "duration_seconds"),
        ("model_first_token_seconds", "model.finished", "first_token_seconds"),
    ):
        of_kind = [one for one in events if one.event_type == kind]
        amounts = [payload_facts.amount(one, key) for one in of_kind]
        timed = found[name].histograms.values() if name in found else ()
        assert sum(one.count for one in timed) == sum(one is not None for one in amounts)
        invalid = found["observability_invalid_values_total"].series[P + name,]
        refused = [payload_facts.has(one, key) for one in of_kind]
        assert invalid == sum(refused) - sum(one is not None for one in amounts)


@given(st.sampled_from(ENDS), payloads)
def test_metrics_say_of_an_end_what_its_span_says(kind: str, payload: dict[str, Any]) -> None:
    work = kind.partition(".")[0]
    end = event(kind, payload, "t/s")
    assembler = SpanAssembler()
    assembler.feed(event(f"{work}.started", {}, "t/s"))
    (span,) = assembler.feed(end)
    registry = MetricsRegistry()
    registry.observe([end])

    series = counted(registry)[f"{work}{'s' if work == 'run' else '_calls'}_total"].series
    ((labels, _),) = [one for one in series.items() if one[1]]
    assert STATUS[labels[-1]] is span.status


@pytest.mark.parametrize("how", ["ok", "error", "blocked", "cancelled", "expired"])
def test_call_is_counted_by_how_it_ended(
    bus: HypervisorEventBus, recorder: Recorder, how: str
) -> None:
    errors = {"error": ValueError("no"), "cancelled": CancelledError()}
    recorder.open("tool", 1, tool_name="search")
    recorder.open("model", 2, model="m-1")
    for key in (1, 2):
        recorder.close(key, errors.get(how), status=None if how in errors else how)
    registry = MetricsRegistry()
    registry.observe(bus.all_events)

    found = counted(registry)
    assert found["tool_calls_total"].series["search", how] == 1
    assert found["model_calls_total"].series["m-1", how] == 1
    assert found["tool_duration_seconds"].histograms["search",].count == 1
    assert found["model_duration_seconds"].histograms["m-1",].count == 1


def test_runs_handoffs_and_first_tokens_of_the_recorder_are_counted(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"), recorder.agent("did:lead"):
        with recorder.model("m-1") as call:
            call.first_token()
        recorder.handoff("did:builder")
    registry = MetricsRegistry()
    registry.observe(bus.all_events)

    found = counted(registry)
    assert found["runs_total"].series["ok",] == 1
    assert found["run_duration_seconds"].histograms[()].count == 1
    assert found["handoffs_total"].series == {("did:lead", "did:builder"): 1}
    assert found["model_first_token_seconds"].histograms["m-1",].count == 1


def handoff(giver: str | None, taker: str | None) -> HypervisorEvent:
    return event("agent.handoff", {"from_agent": giver, "to_agent": taker})


def test_handoff_without_a_name_is_from_the_agent_of_the_event_and_to_nobody_known() -> None:
    registry = MetricsRegistry()
    registry.observe([handoff(None, None), handoff("did:b", "did:c"), handoff("", "did:c")])

    series = counted(registry)["handoffs_total"].series
    assert series == {("did:a", UNKNOWN): 1, ("did:b", "did:c"): 1, ("did:a", "did:c"): 1}


def test_handoffs_between_many_agents_stay_within_the_limit_and_their_sum_is_exact() -> None:
    registry = MetricsRegistry(LabelRules(max_series=10))
    registry.observe([handoff(f"did:{one}", f"did:{one + 1}") for one in range(100)])

    series = counted(registry)["handoffs_total"].series
    assert len(series) == 11
    assert sum(series.values()) == 100
    assert series[OTHER, OTHER] == 90


def test_agents_of_handoffs_are_in_buckets_where_agents_are() -> None:
    rules = LabelRules("production")
    registry = MetricsRegistry(rules)
    registry.observe([handoff("did:a", "did:b"), handoff("did:b", None)])

    a, b = rules.agent("did:a"), rules.agent("did:b")
    assert a.startswith("bucket-")
    assert counted(registry)["handoffs_total"].series == {(a, b): 1, (b, UNKNOWN): 1}


def test_series_of_errors_is_there_before_the_first_error() -> None:
    registry = MetricsRegistry()
    registry.observe([event("tool.started", {"tool_name": "search"})])

    found = counted(registry)
    assert found["tool_calls_total"].series["search", "error"] == 0
    assert set(found["runs_total"].series) == {(one,) for one in payload_facts.WORK_ENDS}


def test_tools_beyond_the_limit_are_counted_by_status_all_the_same() -> None:
    registry = MetricsRegistry(LabelRules(max_series=5))
    ends = [
        event("tool.finished", {"tool_name": f"t{number}", "status": status})
        for number in range(50)
        for status in ("ok", "blocked")
    ]
    registry.observe(ends)

    series = counted(registry)["tool_calls_total"].series
    for status in ("ok", "blocked"):
        assert sum(value for key, value in series.items() if key[1] == status) == 50
    assert series[OTHER, "ok"] > 40


def test_erased_end_is_counted_as_such() -> None:
    registry = MetricsRegistry()
    kind = EventType.of("tool.finished")
    registry.observe([HypervisorEvent(event_type=kind, payload=erased_payload())])

    series = counted(registry)["tool_calls_total"].series
    assert [key for key, value in series.items() if value] == [(UNKNOWN, "erased")]
