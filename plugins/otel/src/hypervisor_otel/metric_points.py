"""Metric families as OTLP's metrics, with exemplars. Pure functions; no I/O.

What cannot be written, such as a value that no finite float holds, is left out alone: a point, or
a family whose name is none.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from hypervisor_observability.metrics.families import (
    Exemplar,
    HistogramValue,
    LabelValues,
    MetricFamily,
    MetricKind,
)
from hypervisor_observability.spans.record import AttributeValue
from hypervisor_otel.attributes import add_attributes, fit_text, fit_time
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
    left_out: Counter[str] | None = None,
) -> ExportMetricsServiceRequest:
    """Give the request that exports *families*, under the names that they have.

    Args:
        families: Counters become monotonic sums, cumulative as they are.
        resource: What they come from.
        start_ns: When counting began, in nanoseconds since the epoch, where a family does not
            say since when it counts. A backend that makes differences takes a later one for a
            reset: after a restart that goes on with old totals it must be the old one.
        time_ns: The moment of the state, likewise.
        left_out: Gets, by the name of its family, how many points could not be written.
    """
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.dropped_attributes_count = add_attributes(group.resource.attributes, resource)
    scope_metrics = group.scope_metrics.add()
    scope_metrics.schema_url = describe_scope(scope_metrics.scope)
    time = fit_time(time_ns)
    missing: Counter[str] = Counter() if left_out is None else left_out
    for family in families:
        count = len(family.series) + len(family.histograms)
        if not count:
            continue
        metric = scope_metrics.metrics.add()
        try:
            since_ns = start_ns if family.since_ns is None else family.since_ns
            written = _fill(metric, family, (fit_time(since_ns), time))
        except _UNWRITABLE:
            written = 0
        if written < count:
            missing[str(family.name)] += count - written
        if not written:
            del scope_metrics.metrics[-1]
    return request


# What protobuf, and the arithmetic before it, say of a value of the wrong kind or size. What of
# a family is told by whoever set it, and that may be anything.
_UNWRITABLE = (ValueError, TypeError, OverflowError, AttributeError)


def _fill(metric: metrics_pb2.Metric, family: MetricFamily, times: tuple[int, int]) -> int:
    """Fill in *metric*, and give how many points it has."""
    metric.name = family.name
    metric.description = fit_text(family.help)
    metric.unit = _UNITS.get(family.unit, family.unit)
    if family.kind is MetricKind.HISTOGRAM:
        metric.histogram.aggregation_temporality = CUMULATIVE
        return _fill_points(
            metric.histogram.data_points, family, family.histograms, times, _fill_histogram
        )
    if family.kind is MetricKind.GAUGE:
        return _fill_points(metric.gauge.data_points, family, family.series, times, _fill_gauge)
    metric.sum.aggregation_temporality = CUMULATIVE
    metric.sum.is_monotonic = True
    return _fill_points(metric.sum.data_points, family, family.series, times, _fill_counter)


def _fill_points(
    points: Any,
    family: MetricFamily,
    series: Mapping[LabelValues, Any],
    times: tuple[int, int],
    fill: Callable[[Any, MetricFamily, Any, int], None],
) -> int:
    start_ns, time_ns = times
    for labels, value in series.items():
        point = points.add()
        try:
            since_ns = family.since_ns_of.get(labels)
            fill(point, family, value, start_ns if since_ns is None else fit_time(since_ns))
            point.time_unix_nano = time_ns
            add_attributes(point.attributes, _attributes(family, labels))
            _add_exemplars(point.exemplars, family.exemplars.get(labels, ()))
        except _UNWRITABLE:
            del points[-1]
    return len(points)


def _fill_gauge(
    point: metrics_pb2.NumberDataPoint, _family: MetricFamily, value: float, _start_ns: int
) -> None:
    point.as_double = _finite(value)


def _fill_counter(
    point: metrics_pb2.NumberDataPoint, _family: MetricFamily, value: float, start_ns: int
) -> None:
    point.as_double = _finite(value)
    point.start_time_unix_nano = start_ns


def _fill_histogram(
    point: metrics_pb2.HistogramDataPoint, family: MetricFamily, value: HistogramValue, start: int
) -> None:
    point.start_time_unix_nano = start
    point.count = value.count
    point.sum = _finite(value.sum)
    point.explicit_bounds.extend(family.bounds)
    point.bucket_counts.extend(value.counts)


def _finite(value: float) -> float:
    """Give *value* as a float.

    Raises:
        ValueError: It is infinite, or none.
        OverflowError: No float is so large.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


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
        try:
            message.as_double = _finite(exemplar.value)
        except _UNWRITABLE:
            del messages[-1]  # the number that it is an example of is none the worse
            continue
        message.time_unix_nano = fit_time(exemplar.timestamp_ns)
        message.trace_id, message.span_id = map(bytes.fromhex, ids)
