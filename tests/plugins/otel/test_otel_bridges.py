"""Bridges to providers that the application has: its spans, its instruments."""

from collections.abc import Iterator
from functools import partial

import opentelemetry.metrics
import opentelemetry.trace
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    PrometheusExporterProtocol,
    RingMetricsCollector,
    SagaSpanExporter,
    SpanSink,
)
from hypervisor_otel import OTelMetricsExporter, OTelSpanSink, span_sink
from tests.threads import run_in_threads


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(memory: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(memory))
    yield made
    made.shutdown()


def event(event_type: EventType, second: float, **payload: object) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=event_type,
        timestamp=1_790_000_000.0 + second,
        session_id="s1",
        agent_did="did:mesh:a",
        payload={"saga_id": "deploy-v2", **payload},
    )


COMPENSATED = [
    event(EventType.SAGA_CREATED, 0),
    event(EventType.SAGA_STEP_STARTED, 1, step_id="b", step_action="build"),
    event(EventType.SAGA_STEP_COMMITTED, 2, step_id="b", step_action="build"),
    event(EventType.SAGA_STEP_STARTED, 3, step_id="m", step_action="migrate"),
    event(EventType.SAGA_STEP_FAILED, 4, step_id="m", step_action="migrate", error="timeout"),
    event(EventType.SAGA_COMPENSATING, 5, step_id="b", step_action="build"),
    event(EventType.SAGA_ESCALATED, 6, reason="gave up"),
]


def by_name(memory: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in memory.get_finished_spans()}


def test_saga_has_its_times_parents_links_and_status(
    provider: TracerProvider, memory: InMemorySpanExporter
) -> None:
    bus = HypervisorEventBus()
    sink = OTelSpanSink(provider)
    assert isinstance(sink, SpanSink)
    SagaSpanExporter(bus, sink=sink)
    host = provider.get_tracer("host")

    with host.start_as_current_span("request") as request:
        for each in COMPENSATED:
            bus.emit(each)

    spans = by_name(memory)
    saga, built = spans["saga.escalated"], spans["saga.step.build"]
    migrated, undone = spans["saga.step.migrate"], spans["saga.compensate.build"]
    assert saga.parent == request.get_span_context()
    assert [span.parent for span in (built, migrated, undone)] == [saga.context] * 3
    second = 1_000_000_000
    start = 1_790_000_000 * second
    assert (saga.start_time, saga.end_time) == (start, start + 6 * second)
    assert (migrated.start_time, migrated.end_time) == (start + 3 * second, start + 4 * second)
    assert built.status.status_code is StatusCode.OK
    assert (migrated.status.status_code, migrated.status.description) == (
        StatusCode.ERROR,
        "timeout",
    )
    assert (saga.status.status_code, saga.status.description) == (StatusCode.ERROR, "gave up")
    assert undone.status.status_code is StatusCode.OK
    links = {link.attributes["link.type"]: link.context for link in undone.links if link.attributes}
    assert links == {"caused_by": migrated.context, "compensates": built.context}
    assert migrated.attributes is not None
    assert migrated.attributes["agent.saga.id"] == "deploy-v2"
    assert migrated.attributes["agent.did"] == "did:mesh:a"
    assert opentelemetry.trace._TRACER_PROVIDER is None


def test_spans_whose_saga_never_ends_are_made_when_asked(
    provider: TracerProvider, memory: InMemorySpanExporter
) -> None:
    bus = HypervisorEventBus()
    sink = OTelSpanSink(provider)
    SagaSpanExporter(bus, sink=sink)
    for each in COMPENSATED[:-1]:
        bus.emit(each)
    assert not memory.get_finished_spans()

    sink.flush()
    sink.flush()

    assert [span.name for span in memory.get_finished_spans()] == [
        "saga.step.build",
        "saga.step.migrate",
        "saga.compensate.build",
    ]
    assert all(span.parent is None for span in memory.get_finished_spans())


def test_spans_that_wait_are_bounded(
    provider: TracerProvider, memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_sink, "MAX_WAITING_SPANS", 3)
    sink = OTelSpanSink(provider)

    for number in range(5):
        sink.record_span("saga.step.a", 1.0, 2.0, {"agent.saga.id": str(number)}, "ok")

    sagas = [(span.attributes or {})["agent.saga.id"] for span in memory.get_finished_spans()]
    assert sagas == ["0", "1"]


def test_odd_values_do_not_hurt(provider: TracerProvider, memory: InMemorySpanExporter) -> None:
    odd = {"": "x", "n": 2**70, "s": "a\ud800", "f": 0.5, "b": True, "l": [1], "i": 7}

    OTelSpanSink(provider).record_span("saga.completed.x", 1.0, 2.0, odd, "error")

    (span,) = memory.get_finished_spans()
    assert dict(span.attributes or {}) == {
        "n": str(2**70),
        "s": "a\ufffd",
        "f": 0.5,
        "b": True,
        "l": "[1]",
        "i": 7,
    }
    assert span.status.status_code is StatusCode.ERROR


def test_many_threads_lose_no_span(provider: TracerProvider, memory: InMemorySpanExporter) -> None:
    sink = OTelSpanSink(provider)

    def work(number: int) -> None:
        for saga in range(50):
            attributes = {"agent.saga.id": f"{number}-{saga}"}
            sink.record_span("saga.step.a", 1.0, 2.0, attributes, "ok")
            sink.record_span(f"saga.completed.{number}-{saga}", 1.0, 2.0, attributes, "ok")

    run_in_threads(*(partial(work, number) for number in range(4)))

    spans = memory.get_finished_spans()
    assert len(spans) == 400
    sagas = {span.context.span_id for span in spans if span.context and "step" not in span.name}
    assert {span.parent.span_id for span in spans if span.parent} == sagas


def test_metrics_become_instruments_of_the_provider() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    exporter = OTelMetricsExporter(provider)
    assert isinstance(exporter, PrometheusExporterProtocol)
    bus = HypervisorEventBus()
    collector = RingMetricsCollector(bus)

    for _ in range(3):
        bus.record(EventType.RING_BREACH_DETECTED, session_id="s1", agent_did="did:mesh:a")
    bus.record(
        EventType.RING_ASSIGNED, session_id="s1", agent_did="did:mesh:a", payload={"ring": 2}
    )
    collector.export_to_prometheus(exporter)
    bus.record(EventType.RING_BREACH_DETECTED, session_id="s1", agent_did="did:mesh:a")
    collector.export_to_prometheus(exporter)

    data = reader.get_metrics_data()
    assert data is not None
    metrics = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    (breaches,) = metrics["agent_hypervisor_ring_breaches_total"].data.data_points
    assert breaches.value == 4  # type: ignore[union-attr] # no histogram
    assert dict(breaches.attributes or {}) == {"agent_did": "did:mesh:a", "session_id": "s1"}
    (ring,) = metrics["agent_hypervisor_ring_current"].data.data_points
    assert ring.value == 2  # type: ignore[union-attr] # no histogram
    assert metrics["agent_hypervisor_ring_breaches_total"].description
    assert opentelemetry.metrics._internal._METER_PROVIDER is None
    provider.shutdown()


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -5.0, 1e30])
def test_time_that_no_exporter_can_write_costs_no_other_span(
    provider: TracerProvider, memory: InMemorySpanExporter, seconds: float
) -> None:
    sink = OTelSpanSink(provider)

    sink.record_span("saga.step.odd", seconds, seconds, {"agent.saga.id": "a"}, "ok")
    sink.flush()

    (span,) = memory.get_finished_spans()
    encode_spans([span])


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan")])
def test_value_that_no_exporter_can_write_is_left_out_of_the_instruments(
    value: float, caplog: pytest.LogCaptureFixture
) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    exporter = OTelMetricsExporter(meters)

    exporter.inc_counter("cost_total", value)
    exporter.set_gauge("level", value)
    exporter.inc_counter("cost_total", 2.0)

    data = reader.get_metrics_data()
    assert data is not None
    encoded = encode_metrics(data)
    (metric,) = encoded.resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.data_points[0].as_double == 2.0
    assert "cost_total" in caplog.text
    meters.shutdown()
