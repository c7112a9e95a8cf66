"""What the metrics tell of themselves: how many series, and what went beyond the limit."""

from collections.abc import Iterable, Mapping

from .families import LabelValues, MetricFamily, MetricKind
from .instruments import Gauge
from .meter import Instrument

_PREFIX = "agent_hypervisor_observability_"


def series_families(
    families: Iterable[MetricFamily], instruments: Iterable[Instrument]
) -> list[MetricFamily]:
    """Give the families about *families*, which the *instruments* gave."""
    size: dict[LabelValues, float] = {}
    for family in families:
        count = len(family.series) or len(family.histograms)
        if family.label_names and count:
            size[family.name,] = count
    overflowed: dict[LabelValues, float] = {}
    withdrawn: dict[LabelValues, float] = {}
    evicted: dict[LabelValues, float] = {}
    for one in instruments:
        name, labels = one.name, one.label_names
        if not labels:
            continue
        if isinstance(one, Gauge):
            evicted[name,] = one.evicted
            continue
        if not one.bounded.is_closed:
            overflowed[name,] = one.bounded.overflowed
        if "session_id" in labels:
            withdrawn[name,] = one.bounded.withdrawn
    counter, gauge = MetricKind.COUNTER, MetricKind.GAUGE
    return [
        _family("series", gauge, "Series of a metric", size),
        _family(
            "series_overflow_total",
            counter,
            "Observations counted in an overflow series",
            overflowed,
        ),
        _family(
            "series_withdrawn_total", counter, "Series withdrawn as their session ended", withdrawn
        ),
        _family("series_evicted_total", counter, "Series of gauges that went for others", evicted),
    ]


def _family(
    name: str, kind: MetricKind, help_text: str, series: Mapping[LabelValues, float]
) -> MetricFamily:
    return MetricFamily(
        name=_PREFIX + name, kind=kind, help=help_text, label_names=("metric",), series=series
    )
