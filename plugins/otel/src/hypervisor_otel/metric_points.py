"""Metric families as OTLP's metrics, with exemplars. Pure functions; no I/O."""

from collections.abc import Mapping, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from hypervisor_observability.metrics.families import (
    Exemplar,
    LabelValues,
    MetricFamily,
    MetricKind,
)
from hypervisor_observability.spans.record import AttributeValue
from hypervisor_otel.attributes import add_attributes, fit_text
from hypervisor_otel.scope import describe_scope

CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE

# OpenTelemetry wants units of UCUM (Metrics, Instrument Units).
_UNITS = {"seconds": "s"}


def encode_metrics(
    families: Sequence[MetricFamily],
    resource: Mapping[str, AttributeValue],
    *,
    start_ns: int,
    time_ns: int,
) -> ExportMetricsServiceRequest:
    """Give the request that exports *families*, under the names that they have.

    Args:
        families: Counters become monotonic sums, cumulative as they are.
        resource: What they come from.
        start_ns: When counting began, in nanoseconds since the epoch.
        time_ns: The moment of the state, likewise.
    """
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.dropped_attributes_count = add_attributes(group.resource.attributes, resource)
    scope_metrics = group.scope_metrics.add()
    scope_metrics.schema_url = describe_scope(scope_metrics.scope)
    for family in families:
        if family.series or family.histograms:
            _fill(scope_metrics.metrics.add(), family, start_ns, time_ns)
    return request


def _fill(metric: metrics_pb2.Metric, family: MetricFamily, start_ns: int, time_ns: int) -> None:
    metric.name = family.name
    metric.description = fit_text(family.help)
    metric.unit = _UNITS.get(family.unit, family.unit)
    if family.kind is MetricKind.HISTOGRAM:
        metric.histogram.aggregation_temporality = CUMULATIVE
        _fill_histogram(metric.histogram, family, start_ns, time_ns)
        return
    is_counter = family.kind is MetricKind.COUNTER
    if is_counter:
        metric.sum.aggregation_temporality = CUMULATIVE
        metric.sum.is_monotonic = True
    points = metric.sum.data_points if is_counter else metric.gauge.data_points
    for labels, value in family.series.items():
        point = points.add()
        point.as_double = value
        point.time_unix_nano = time_ns
        if is_counter:
            point.start_time_unix_nano = start_ns
        add_attributes(point.attributes, _attributes(family, labels))
        _add_exemplars(point.exemplars, family.exemplars.get(labels, ()))


def _fill_histogram(
    histogram: metrics_pb2.Histogram, family: MetricFamily, start_ns: int, time_ns: int
) -> None:
    for labels, value in family.histograms.items():
        point = histogram.data_points.add()
        point.start_time_unix_nano = start_ns
        point.time_unix_nano = time_ns
        point.count = value.count
        point.sum = value.sum
        point.explicit_bounds.extend(family.bounds)
        point.bucket_counts.extend(value.counts)
        add_attributes(point.attributes, _attributes(family, labels))
        _add_exemplars(point.exemplars, family.exemplars.get(labels, ()))


def _attributes(family: MetricFamily, labels: LabelValues) -> dict[str, AttributeValue]:
    return dict(zip(family.label_names, labels, strict=True))


def _add_exemplars(
    messages: RepeatedCompositeFieldContainer[metrics_pb2.Exemplar],
    exemplars: Sequence[Exemplar | None],
) -> None:
    for exemplar in exemplars:
        if exemplar is None or (ids := exemplar.w3c) is None:
            continue
        message = messages.add()
        message.time_unix_nano = max(0, exemplar.timestamp_ns)
        message.as_double = exemplar.value
        message.trace_id, message.span_id = map(bytes.fromhex, ids)
