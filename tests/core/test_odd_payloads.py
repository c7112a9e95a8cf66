"""Whatever payloads hold, each event counts once, by itself, and every backend writes it."""

import math
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from hypervisor_journal.format.encoding import EventEncoder
from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HistogramValue,
    HypervisorEvent,
    MetricFamily,
    MetricKind,
    Observability,
    hookimpl,
)
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    USAGE_RECORDED,
)
from hypervisor_observability.facts.payload_keys import PAYLOAD_KEYS
from hypervisor_observability.gate.normal_form import NormalForm
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.report.findings import Findings
from hypervisor_observability.report.page import report_page
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import FinishedSpan
from hypervisor_observability.tree import build_tree, render_tree, tree_to_dict
from hypervisor_otel.encoding import encode_spans
from hypervisor_otel.metric_points import encode_metrics
from hypervisor_prometheus.rendering import Renderer
from hypervisor_statsd.lines import LineFormat
from hypervisor_statsd.readings import Readings

TYPES = [*EventType, AGENT_FINISHED, GOVERNANCE_DECISION, USAGE_RECORDED]
TRACE = CausalTraceId()

NUMBERS = (
    st.sampled_from(
        [0, 1, -1, 3, 4, 255, 256, 2**31, 2**53, 2**63, 2**64, 10**400, -(10**400), 2**2048]
    )
    | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.5, -0.0])
    | st.integers(-5, 5)
)
SCALARS = (
    NUMBERS
    | st.booleans()
    | st.none()
    | st.text(max_size=8)
    | st.sampled_from(["nan", "NaN", "1e999", "true", "critical", "started", "\ud800", "a b"])
    | st.sampled_from([Decimal("NaN"), Decimal("0.25"), Decimal("1E+999"), object(), b"\xff"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from(["agent_did", "_tag", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PAYLOADS = st.dictionaries(st.sampled_from(sorted(PAYLOAD_KEYS)), VALUES, max_size=8)
EVENTS = st.builds(
    HypervisorEvent,
    event_type=st.sampled_from(TYPES),
    timestamp=st.sampled_from([1_800_000_000.0, 1_800_000_001.0, 1.0, 250_000_000_000.0]),
    session_id=st.sampled_from([None, "s", "unknown", ""]),
    agent_did=st.sampled_from([None, "a", "b", "unknown", ""]),
    causal_trace_id=st.sampled_from([None, TRACE.full_id, TRACE.child().full_id, "no id", "a/b"]),
    payload=PAYLOADS,
)
RELAXED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def registry_of(*batches: list[HypervisorEvent]) -> MetricsRegistry:
    registry = MetricsRegistry(now_ns=lambda: 1_800_000_100 * 10**9)
    for batch in batches:
        registry.observe(batch)
    return registry


def counted(registry: MetricsRegistry) -> dict[str, Any]:
    return {one.name: (dict(one.series), dict(one.histograms)) for one in registry.collect()}


def assert_finite(family: MetricFamily) -> None:
    values = [*family.series.values(), *(one.sum for one in family.histograms.values())]
    assert all(math.isfinite(float(value)) for value in values), family.name


def assert_every_backend_writes_all_of(families: list[MetricFamily]) -> None:
    for accept, parse in (
        ("text/plain", text_format),
        ("application/openmetrics-text; version=1.0.0", open_metrics),
    ):
        _, body = Renderer(lambda: families).render(accept)
        shown = {one.name for one in parse(body.decode("utf-8"))}
        for family in families:
            assert family.name.removesuffix("_total") in shown or family.name in shown
    left_out: Counter[str] = Counter()
    encode_metrics(families, {}, start_ns=0, time_ns=1, left_out=left_out).SerializeToString()
    assert not left_out
    lines, unsendable = Readings(LineFormat()).lines(families)
    assert lines
    assert not unsendable


@RELAXED
@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_events_of_a_batch_count_as_each_alone(events: list[HypervisorEvent]) -> None:
    together, apart = registry_of(events), registry_of(*([one] for one in events))

    assert counted(together) == counted(apart)
    families = {one.name: one for one in together.collect()}
    emitted = families["agent_hypervisor_observability_events_emitted_total"].series
    assert sum(emitted.values()) == len(events)
    assert families["agent_hypervisor_observability_meter_errors_total"].series == {(): 0}
    for family in families.values():
        assert_finite(family)


@settings(RELAXED, max_examples=40)
@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_every_backend_writes_whatever_was_counted(events: list[HypervisorEvent]) -> None:
    assert_every_backend_writes_all_of(registry_of(events).collect())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("value", [10**400, -(10**400), math.nan, math.inf, 1e308, -1, {}, "nan"])
def test_key_with_an_odd_value_spoils_no_type(kind: EventType, value: object) -> None:
    payload = dict.fromkeys(PAYLOAD_KEYS, value)
    odd = HypervisorEvent(event_type=kind, agent_did="a", session_id="s", payload=payload)
    breach = HypervisorEvent(event_type=EventType.RING_BREACH_DETECTED)
    registry = registry_of([breach, odd, breach])

    families = {one.name: one for one in registry.collect()}
    breaches = families["agent_hypervisor_ring_breaches_by_agent_total"].series[("unknown",)]
    assert breaches == 2
    assert families["agent_hypervisor_observability_meter_errors_total"].series == {(): 0}
    assert_every_backend_writes_all_of(list(families.values()))


@RELAXED
@given(st.lists(EVENTS, max_size=12))
def test_spans_trees_and_reports_are_made_of_anything(events: list[HypervisorEvent]) -> None:
    assembler = SpanAssembler(pending=True)
    spans = [span for event in events for span in assembler.feed(event)]
    encode_spans(spans, {}).SerializeToString()
    tree = build_tree(events, TRACE.trace_id)
    render_tree(tree).encode("utf-8", "surrogatepass")
    tree_to_dict(tree)
    report_page(Findings.of(events), "journal")


@RELAXED
@given(EVENTS)
def test_what_was_written_is_counted_as_what_was_emitted(event: HypervisorEvent) -> None:
    gated = HypervisorEvent(
        event.event_id,
        event.event_type,
        event.timestamp,
        event.session_id,
        event.agent_did,
        event.causal_trace_id,
        None,
        NormalForm(None).dict(dict(event.payload)),
    )
    if not any("\ud800" in (text or "") for text in (event.session_id, event.agent_did)):
        EventEncoder().parts_of(gated)

    assert counted(registry_of([event])) == counted(registry_of([gated]))


def test_failure_of_a_meter_costs_the_event_alone(caplog: pytest.LogCaptureFixture) -> None:
    registry = registry_of()
    observers = registry._observers

    def fail(_: HypervisorEvent) -> None:
        raise OverflowError("too large")

    kind = EventType.RING_BREACH_DETECTED
    observers[kind] = (fail, *observers[kind])
    registry.observe([HypervisorEvent(event_type=kind) for _ in range(3)])

    families = {one.name: one for one in registry.collect()}
    assert families["agent_hypervisor_ring_breaches_by_agent_total"].series == {("unknown",): 3}
    assert families["agent_hypervisor_observability_meter_errors_total"].series == {(): 3}
    assert "a meter failed at a ring.breach_detected" in caplog.text


def odd_families() -> list[Any]:
    odd: list[Any] = [None, "x", [1], {}, object(), 10**400, Decimal("sNaN"), b"1"]
    gauges = [
        MetricFamily(name=f"odd_{number}", kind=kind, help="", series={(): value})
        for kind in (MetricKind.GAUGE, MetricKind.COUNTER)
        for number, value in enumerate(odd)
    ]
    labels: list[Any] = [(None,), (5,), ("a", "b"), "x", None]
    labelled = [
        MetricFamily(
            name=f"labelled_{number}",
            kind=MetricKind.GAUGE,
            help="",
            label_names=("a",),
            series={key: 1},
        )
        for number, key in enumerate(labels)
    ]
    counts: Any = HistogramValue((1, 10**400), 10**400)
    histogram = MetricFamily(
        name="h", kind=MetricKind.HISTOGRAM, help="", bounds=(1, 2, 3), histograms={(): counts}
    )
    none: Any = None
    nameless = MetricFamily(name=none, kind=MetricKind.GAUGE, help=none, series={(): 1})
    return [*gauges, *labelled, histogram, nameless]


@pytest.mark.parametrize("number", range(len(odd_families())))
def test_family_that_cannot_be_written_is_left_out_alone(number: int) -> None:
    good = MetricFamily(name="good", kind=MetricKind.GAUGE, help="", series={(): 7})
    families = [odd_families()[number], good]

    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        assert b"good 7.0" in Renderer(lambda: families).render(accept)[1]
    request = encode_metrics(families, {}, start_ns=0, time_ns=1, left_out=Counter())
    written = request.resource_metrics[0].scope_metrics[0].metrics
    assert "good" in {metric.name for metric in written}
    lines, _ = Readings(LineFormat()).lines(families)
    assert "good:7|g" in {text for text, *_ in lines}


class Spans:
    name = "spans"

    def __init__(self) -> None:
        self.found: list[FinishedSpan] = []

    @hookimpl
    def export_spans(self, spans: list[FinishedSpan]) -> None:
        self.found += spans


@pytest.mark.parametrize("allowed", [True, False, 1, 0, "true", "no", None, [], math.nan])
def test_decision_is_the_same_for_every_reader(allowed: object) -> None:
    plugin = Spans()
    decided = HypervisorEvent(
        event_type=GOVERNANCE_DECISION,
        causal_trace_id=TRACE.full_id,
        payload={"allowed": allowed, "tool_name": 7},
    )
    with Observability(plugins=[plugin]) as observability:
        observability.bus.emit(decided)
        assert observability.flush(timeout=30)
        families = {one.name: one for one in observability.collect_metrics()}
    (span,) = plugin.found
    counts = families["agent_governance_policy_decisions_total"].series
    ((decision, _, tool),) = [labels for labels, count in counts.items() if count]
    found = Findings.of([decided])

    assert span.attributes["agent.hypervisor.policy.decision"] == decision
    assert span.name == f"execute_tool {tool}"
    assert ("REFUSED" in render_tree(build_tree([decided], TRACE.trace_id))) == (decision == "deny")
    assert found.decisions == {"allowed" if decision == "allow" else "denied": 1}
