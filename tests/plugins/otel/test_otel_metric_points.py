"""Metric families as OTLP: decoded again by the official classes."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from hypervisor_observability import CausalTraceId, EventType, Observability
from hypervisor_observability.metrics.families import (
    Exemplar,
    HistogramValue,
    MetricFamily,
    MetricKind,
)
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_otel.attributes import decode_attributes
from hypervisor_otel.metric_points import encode_metrics
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_otel.scope import SCHEMA_URL

if TYPE_CHECKING:
    from collections.abc import Sequence

TRACE = CausalTraceId()
EXEMPLAR = Exemplar(TRACE.full_id, 1.0, 1_700_000_000_000_000_005)


def over_the_wire(
    *families: MetricFamily, left_out: Counter[str] | None = None
) -> "Sequence[metrics_pb2.Metric]":
    request = encode_metrics(
        families, {"service.name": "shop"}, start_ns=1_000, time_ns=2_000, left_out=left_out
    )
    decoded = ExportMetricsServiceRequest.FromString(request.SerializeToString())
    (group,) = decoded.resource_metrics
    assert decode_attributes(group.resource.attributes) == {"service.name": "shop"}
    (scope,) = group.scope_metrics
    assert scope.schema_url == SCHEMA_URL
    assert scope.scope.name == "hypervisor-observability"
    return scope.metrics


def test_counter_becomes_a_cumulative_sum_with_its_exemplar() -> None:
    (metric,) = over_the_wire(
        MetricFamily(
            name="breaches_total",
            kind=MetricKind.COUNTER,
            help="Breaches.",
            label_names=("agent_did", "ring"),
            series={("did:mesh:a", "2"): 3.0, ("did:mesh:b", "0"): 1.0},
            exemplars={("did:mesh:a", "2"): (EXEMPLAR,), ("did:mesh:b", "0"): (None,)},
        )
    )

    assert (metric.name, metric.description, metric.unit) == ("breaches_total", "Breaches.", "")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    first, second = metric.sum.data_points
    assert (first.as_double, first.start_time_unix_nano, first.time_unix_nano) == (3.0, 1000, 2000)
    assert decode_attributes(first.attributes) == {"agent_did": "did:mesh:a", "ring": "2"}
    (exemplar,) = first.exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == TRACE.to_w3c()
    assert (exemplar.as_double, exemplar.time_unix_nano) == (1.0, EXEMPLAR.timestamp_ns)
    assert not second.exemplars


def test_gauge_has_the_moment_and_no_beginning() -> None:
    (metric,) = over_the_wire(
        MetricFamily(name="agents", kind=MetricKind.GAUGE, help="Agents.", series={(): 7.0})
    )

    (point,) = metric.gauge.data_points
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (7.0, 0, 2000)


def test_histogram_keeps_bounds_counts_and_exemplars() -> None:
    odd = Exemplar("no causal id", 9.0, 5)
    (metric,) = over_the_wire(
        MetricFamily(
            name="saga_seconds",
            kind=MetricKind.HISTOGRAM,
            help="Durations.",
            unit="seconds",
            label_names=("outcome",),
            histograms={("ok",): HistogramValue((1, 0, 2), 12.5)},
            bounds=(0.5, 1.0),
            exemplars={("ok",): (EXEMPLAR, None, odd)},
        )
    )

    assert metric.unit == "s"
    (point,) = metric.histogram.data_points
    assert (point.count, point.sum) == (3, 12.5)
    assert list(point.explicit_bounds) == [0.5, 1.0]
    assert list(point.bucket_counts) == [1, 0, 2]
    assert len(point.exemplars) == 1  # what is no id leads nowhere
    assert metric.histogram.aggregation_temporality == (
        metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    )


def test_family_without_series_is_left_out() -> None:
    assert not over_the_wire(MetricFamily(name="n", kind=MetricKind.GAUGE, help="None."))


def test_registry_arrives_and_its_totals_are_those_of_the_process() -> None:
    with OTLPReceiver() as receiver:
        plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint, signals=("metrics",)))
        with Observability(plugins=[plugin]) as observability:
            trace = CausalTraceId()
            for _ in range(3):
                observability.bus.record(
                    EventType.RING_BREACH_DETECTED,
                    agent_did="did:mesh:a",
                    session_id="s1",
                    causal_trace_id=trace.full_id,
                    payload={"severity": "high"},
                )
            assert observability.flush(30)

        assert receiver.received_spans == 0
        assert not receiver.logs
        points = receiver.metrics["agent_hypervisor_ring_breaches_total"].sum.data_points
        assert sum(point.as_double for point in points) == 3
        exemplars = [exemplar for point in points for exemplar in point.exemplars]
        assert {exemplar.trace_id.hex() for exemplar in exemplars} == {trace.to_w3c()[0]}


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), float("inf"), float("-inf"), float("nan"), "much", None]
)
@pytest.mark.parametrize("kind", [MetricKind.COUNTER, MetricKind.GAUGE])
def test_value_that_cannot_be_written_is_left_out_alone(kind: MetricKind, value: object) -> None:
    series: dict[tuple[str, ...], Any] = {("a",): 1, ("b",): value, ("c",): 2**70}
    left_out: Counter[str] = Counter()
    family = MetricFamily(name="cost", kind=kind, help="", label_names=("x",), series=series)
    other = MetricFamily(name="other", kind=kind, help="", series={(): 5.0})

    first, second = over_the_wire(family, other, left_out=left_out)

    points = first.sum.data_points or first.gauge.data_points
    assert [point.as_double for point in points] == [1.0, float(2**70)]
    assert second.name == "other"
    assert left_out == {"cost": 1}


@pytest.mark.parametrize(
    "odd",
    [
        MetricFamily(name="\ud800", kind=MetricKind.GAUGE, help="", series={(): 1.0}),
        MetricFamily(
            name="odd", kind=MetricKind.GAUGE, help="", label_names=("a",), series={(): 1.0}
        ),
        MetricFamily(name="odd", kind=MetricKind.COUNTER, help="", series={(): float("inf")}),
        MetricFamily(
            name="odd",
            kind=MetricKind.HISTOGRAM,
            help="",
            bounds=(1.0,),
            histograms={(): HistogramValue((1, -1), 1.0)},
        ),
        MetricFamily(
            name="odd",
            kind=MetricKind.HISTOGRAM,
            help="",
            bounds=(1.0,),
            histograms={(): HistogramValue((1, 2**70), 1.0)},
        ),
        MetricFamily(
            name="odd",
            kind=MetricKind.HISTOGRAM,
            help="",
            bounds=(1.0,),
            histograms={(): HistogramValue((1, 0), float("inf"))},
        ),
    ],
)
def test_family_of_which_nothing_can_be_written_is_left_out_alone(odd: MetricFamily) -> None:
    left_out: Counter[str] = Counter()
    other = MetricFamily(name="other", kind=MetricKind.GAUGE, help="", series={(): 5.0})

    (only,) = over_the_wire(odd, other, left_out=left_out)

    assert only.name == "other"
    assert left_out == {odd.name: 1}


def test_exemplar_that_cannot_be_written_costs_its_number_nothing() -> None:
    (metric,) = over_the_wire(
        MetricFamily(
            name="cost_total",
            kind=MetricKind.COUNTER,
            help="",
            series={(): 1.0},
            exemplars={(): (Exemplar(TRACE.full_id, 10**400, 1), Exemplar(TRACE.full_id, 2, -1))},
        )
    )

    (point,) = metric.sum.data_points
    (exemplar,) = point.exemplars
    assert (exemplar.as_double, exemplar.time_unix_nano) == (2.0, 0)


def test_gauge_that_gives_no_number_is_told_and_costs_no_other_metric(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OTLPReceiver() as receiver:
        plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint, signals=("metrics",)))
        with Observability(plugins=[plugin]) as observability:
            observability.governance.register_active_agents_gauge(lambda: 10**400)
            observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")
            assert observability.flush(30)

    assert "agent_hypervisor_ring_breaches_total" in receiver.metrics
    assert plugin.left_out.total() <= 1  # or the registry has left it out already


def test_sum_begins_when_its_family_says() -> None:
    family = MetricFamily(name="c_total", kind=MetricKind.COUNTER, help="", series={(): 1.0})
    metrics = over_the_wire(family, evolve(family, since_ns=500))

    begins = [metric.sum.data_points[0].start_time_unix_nano for metric in metrics]
    assert begins == [1_000, 500]


def test_series_that_counts_since_another_moment_begins_then() -> None:
    """One that was taken over from another agent keeps its beginning: else it looks reset."""
    family = MetricFamily(
        name="c_total", kind=MetricKind.COUNTER, help="", label_names=("partition",),
        series={("0",): 1.0, ("1",): 2.0}, since_ns=500, since_ns_of={("1",): 700},
    )  # fmt: skip
    (metric,) = over_the_wire(family)

    begins = {point.as_double: point.start_time_unix_nano for point in metric.sum.data_points}
    assert begins == {1.0: 500, 2.0: 700}
