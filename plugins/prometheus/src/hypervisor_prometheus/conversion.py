"""From metric families to the objects that prometheus_client's encoders write out."""

import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.utils import floatToGoString

from hypervisor_observability import Exemplar as TracedExemplar
from hypervisor_observability import HistogramValue, MetricFamily, MetricKind
from hypervisor_observability.metrics.families import LabelValues
from hypervisor_observability.text.utf8_text import encodable

_TOTAL = "_total"
_BUCKET = "le"
# Letters and digits of any script. More is allowed in quotes, but not all readers know that.
_NAME = re.compile(r"[\w:./-]+")
_NOT_PLAIN = re.compile("^[0-9]|[^a-zA-Z0-9_]")


def to_metric(family: MetricFamily) -> Metric:
    """Give *family* as prometheus_client knows it.

    Every format then shows exactly the family's name. A counter whose name does not end in
    ``_total`` cannot keep both its name and its type: OpenMetrics would append the suffix,
    so it becomes a metric of unknown type.

    Raises:
        ValueError: The name of the family or of a label is none that Prometheus accepts.
        TypeError, OverflowError: A value or a label is of another type than it says, or an
            integer too large for a float.
    """
    _check_names(family)
    match family.kind:
        case MetricKind.HISTOGRAM:
            return _histogram(family)
        case MetricKind.COUNTER:
            return _counter(family)
        case MetricKind.GAUGE:
            gauge = GaugeMetricFamily(
                family.name,
                encodable(family.help),
                labels=family.label_names,
                unit=_unit(family.name, family.unit),
            )
            # Of two series that look the same once scrubbed, the last one shows.
            latest = {_encodable(key): float(value) for key, value in family.series.items()}
            for labels, value in latest.items():
                gauge.add_metric(labels, value)
            return gauge


def _check_names(family: MetricFamily) -> None:
    """Refuse what prometheus_client writes and no reader takes: it would hide all the others."""
    for name in (family.name, *family.label_names):
        if not _NAME.fullmatch(name):
            raise ValueError(f"no name: {name!r}")
    # Older formats show what is no letter or digit of ASCII as underscores.
    shown = [_NOT_PLAIN.sub("_", name) for name in family.label_names]
    if any(name.startswith("__") for name in shown):
        raise ValueError(f"names of labels that Prometheus keeps for itself: {family.label_names}")
    if len(set(shown)) < len(shown):
        raise ValueError(f"labels that would have one name: {family.label_names}")
    if family.kind is MetricKind.HISTOGRAM and _BUCKET in shown:
        raise ValueError(f"{_BUCKET!r} is the label of a histogram's buckets")


def _counter(family: MetricFamily) -> Metric:
    counter: CounterMetricFamily | UnknownMetricFamily
    if family.name.endswith(_TOTAL):
        unit = _unit(family.name.removesuffix(_TOTAL), family.unit)
        counter = CounterMetricFamily(
            family.name, encodable(family.help), labels=family.label_names, unit=unit
        )
    else:
        counter = UnknownMetricFamily(
            family.name, encodable(family.help), labels=family.label_names
        )
    totals: dict[LabelValues, float] = {}
    for key, value in family.series.items():
        labels = _encodable(key)
        totals[labels] = totals[labels] + float(value) if labels in totals else float(value)
    if isinstance(counter, UnknownMetricFamily):
        for labels, total in totals.items():
            counter.add_metric(labels, total)
        return counter
    examples = _examples(family)
    for labels, total in totals.items():
        (example,) = examples.get(labels, (None,))
        counter.add_metric(labels, total, exemplar=example)
    return counter


def _histogram(family: MetricFamily) -> Metric:
    histogram = HistogramMetricFamily(
        family.name,
        encodable(family.help),
        labels=family.label_names,
        unit=_unit(family.name, family.unit),
    )
    bounds = [*map(floatToGoString, family.bounds), "+Inf"]
    examples = _examples(family)
    for labels, value in _merged(family.histograms).items():
        cumulative = accumulate(value.counts)
        of_buckets = examples.get(labels, (None,) * len(bounds))
        # Any: the library takes None for an exemplar, and its types do not say so.
        buckets: Any = list(zip(bounds, cumulative, of_buckets, strict=True))
        histogram.add_metric(labels, buckets, sum_value=value.sum)
    return histogram


def _examples(family: MetricFamily) -> dict[LabelValues, tuple[Exemplar | None, ...]]:
    return {_encodable(key): tuple(map(_example, found)) for key, found in family.exemplars.items()}


def _example(exemplar: TracedExemplar | None) -> Exemplar | None:
    if exemplar is None or (ids := exemplar.w3c) is None:
        return None
    labels = {"trace_id": ids[0], "span_id": ids[1]}
    return Exemplar(labels, float(exemplar.value), exemplar.timestamp_ns / 1e9)


def _merged(histograms: Mapping[LabelValues, HistogramValue]) -> dict[LabelValues, HistogramValue]:
    """Add up the series whose labels look the same once scrubbed."""
    merged: dict[LabelValues, HistogramValue] = {}
    for key, value in histograms.items():
        labels = _encodable(key)
        if (other := merged.get(labels)) is not None:
            pairs = zip(value.counts, other.counts, strict=True)
            value = HistogramValue(tuple(map(sum, pairs)), value.sum + other.sum)  # noqa: PLW2901 - the sum takes its place
        merged[labels] = value
    return merged


def _unit(name: str, unit: str) -> str:
    # prometheus_client appends a unit that the name does not end in.
    return unit if unit and name.endswith(f"_{unit}") else ""


def _encodable(labels: Iterable[str]) -> LabelValues:
    return tuple(map(encodable, labels))
