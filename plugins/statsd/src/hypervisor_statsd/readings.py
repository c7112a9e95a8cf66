"""From metric families and spans to lines: what is told of each, and what was told before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve

from hypervisor_observability import FinishedSpan, MetricFamily, MetricKind
from hypervisor_statsd.lines import Label, Line, LineFormat, SeriesKey

Totals = Mapping[SeriesKey, float]
"""The totals of counters that the server has been told, by name and label values."""

_TIMERS = {
    "saga": "agent_hypervisor.saga",
    "step": "agent_hypervisor.saga.step",
    "compensation": "agent_hypervisor.saga.compensation",
}
_ACTION = "agent.saga.step_action"


def metric_lines(
    families: Iterable[MetricFamily], told: Totals, format_: LineFormat
) -> tuple[list[Line], list[str]]:
    """Write *families*: counters as what came since *told*, gauges as they are.

    A counter that fell has begun anew, so its whole total came since. A histogram is
    written as two counters, its count and its sum: StatsD makes percentiles from single
    observations, which are gone.

    Returns:
        The lines, and the names of families with a value that is not finite, which is
        left out.
    """
    lines: list[Line] = []
    unsendable: list[str] = []
    for family in _with_plain_histograms(families):
        for labels, value in family.series.items():
            pairs = tuple(zip(family.label_names, labels, strict=False))
            try:
                if family.kind is MetricKind.GAUGE:
                    lines.append(Line(format_.line(family.name, pairs, value, "g")))
                    continue
                key = (family.name, labels)
                since = told.get(key, 0)
                change = value - since if value >= since else value
                if change > 0 or change != change:  # noqa: PLR0124 - only NaN differs from itself
                    text = format_.line(family.name, pairs, change, "c")
                    lines.append(Line(text, (key, value)))
            except ValueError:
                unsendable.append(family.name)
    return lines, unsendable


def counter_keys(families: Iterable[MetricFamily]) -> set[SeriesKey]:
    """Give the keys under which totals of *families* are remembered."""
    return {
        (family.name, labels)
        for family in _with_plain_histograms(families)
        if family.kind is MetricKind.COUNTER
        for labels in family.series
    }


def span_lines(spans: Sequence[FinishedSpan], format_: LineFormat) -> list[Line]:
    """Write the durations of *spans* as timers, in milliseconds."""
    return [
        Line(format_.line(_timer(span), _labels(span), (span.end_ns - span.start_ns) / 1e6, "ms"))
        for span in spans
    ]


def _timer(span: FinishedSpan) -> str:
    return _TIMERS.get(span.scope, f"agent_hypervisor.{span.scope}")


def _labels(span: FinishedSpan) -> tuple[Label, ...]:
    status = ("status", span.status.value)
    if _ACTION not in span.attributes:
        return (status,)
    return (("action", str(span.attributes[_ACTION])), status)


def _with_plain_histograms(families: Iterable[MetricFamily]) -> Iterator[MetricFamily]:
    for family in families:
        if family.kind is not MetricKind.HISTOGRAM:
            yield family
            continue
        counter = evolve(family, kind=MetricKind.COUNTER, histograms={}, bounds=())
        values = family.histograms.items()
        yield evolve(
            counter,
            name=f"{family.name}_count",
            series={key: value.count for key, value in values},
        )
        yield evolve(
            counter, name=f"{family.name}_sum", series={key: value.sum for key, value in values}
        )
