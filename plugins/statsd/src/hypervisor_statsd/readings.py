"""From metric families and spans to lines: what is told of each, and what was told before."""

from collections.abc import Iterable, Iterator, Sequence

from attrs import define, evolve, field

from hypervisor_observability import FinishedSpan, MetricFamily, MetricKind
from hypervisor_statsd.lines import (
    Label,
    LabelValues,
    Line,
    LineFormat,
    MetricType,
    Series,
    number,
    with_value,
)

_TIMERS = {
    "saga": "agent_hypervisor.saga",
    "step": "agent_hypervisor.saga.step",
    "compensation": "agent_hypervisor.saga.compensation",
}
_ACTION = "agent.saga.step_action"


@define(eq=False)
class Readings:
    """Write metric families, again and again: what a series is called is worked out once.

    Attributes:
        format: How lines are written.
        series: What is known of each series, by family. Of a counter, what it was told moves
            on when what ``lines`` gave was sent.
    """

    format: LineFormat
    series: dict[tuple[str, LabelValues], dict[LabelValues, Series]] = field(factory=dict)

    def lines(self, families: Iterable[MetricFamily]) -> tuple[list[Line], list[str]]:
        """Write *families*: counters as what came since they were told, gauges as they are.

        A counter that fell has begun anew, so its whole total came since. A histogram is
        written as two counters, its count and its sum: StatsD makes percentiles from single
        observations, which are gone. Series that are gone are forgotten, and would begin
        anew, should they come back.

        Returns:
            The lines, and the names of families with a value that is not finite, which is
            left out.
        """
        lines: list[Line] = []
        unsendable: list[str] = []
        known: dict[tuple[str, LabelValues], dict[LabelValues, Series]] = {}
        for family in _with_plain_histograms(families):
            key = family.name, family.label_names
            series = known[key] = self.series.get(key, {})
            pairs = self._with_series(family, series)
            if family.kind is MetricKind.GAUGE:
                finite = _gauge_lines(pairs, lines)
            else:
                finite = _counter_lines(pairs, lines)
            if not finite:
                unsendable.append(family.name)
        self.series = known
        return lines, unsendable

    def _with_series(
        self, family: MetricFamily, known: dict[LabelValues, Series]
    ) -> Iterator[tuple[Series, float]]:
        type_: MetricType = "g" if family.kind is MetricKind.GAUGE else "c"
        for labels, value in family.series.items():
            series = known.get(labels)
            if series is None:
                pairs = zip(family.label_names, labels, strict=False)
                series = known[labels] = Series(self.format.stem(family.name, pairs, type_))
            yield series, value
        if len(known) > len(family.series):
            for gone in known.keys() - family.series.keys():
                del known[gone]


def _gauge_lines(pairs: Iterable[tuple[Series, float]], lines: list[Line]) -> bool:
    finite = True
    for series, value in pairs:
        try:
            lines.append((with_value(series.stem, value), None, 0))
        except ValueError:
            finite = False
    return finite


def _counter_lines(pairs: Iterable[tuple[Series, float]], lines: list[Line]) -> bool:
    finite = True
    # Many counters gain the same few numbers.
    figures: dict[float, str] = {}
    for series, value in pairs:
        told = series.told
        if value == told:
            continue
        change = value - told if value > told else value
        figure = figures.get(change)
        if figure is None:
            try:
                figure = number(change)
            except ValueError:
                finite = False
                continue
            if change <= 0:
                continue
            figures[change] = figure
        head, tail = series.stem
        lines.append((f"{head}{figure}{tail}", series, value))
    return finite


def span_lines(spans: Sequence[FinishedSpan], format_: LineFormat) -> list[Line]:
    """Write the durations of *spans* as timers, in milliseconds."""
    return [
        (
            with_value(
                format_.stem(_timer(span), _labels(span), "ms"),
                (span.end_ns - span.start_ns) / 1e6,
            ),
            None,
            0,
        )
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
