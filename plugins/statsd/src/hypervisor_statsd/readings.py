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
    Stem,
    Totals,
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
    """Write metric families, again and again: only what changed is written anew.

    Attributes:
        format: How lines are written.
        told: The totals that the server has been told, by the name of the counter. They move
            on when what ``lines`` gave was sent.
    """

    format: LineFormat
    told: dict[str, Totals] = field(factory=dict)
    _stems: dict[tuple[str, LabelValues], dict[LabelValues, Stem]] = field(factory=dict, init=False)

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
        told: dict[str, Totals] = {}
        stems: dict[tuple[str, LabelValues], dict[LabelValues, Stem]] = {}
        for family in _with_plain_histograms(families):
            key = family.name, family.label_names
            stems[key] = self._known_stems(family)
            if family.kind is MetricKind.GAUGE:
                unsendable += _gauge_lines(family, stems[key], lines)
            else:
                totals = told[family.name] = self.told.get(family.name, {})
                for gone in totals.keys() - family.series.keys():
                    del totals[gone]
                unsendable += _counter_lines(family, stems[key], totals, lines)
        self.told = told
        self._stems = stems
        return lines, unsendable

    def _known_stems(self, family: MetricFamily) -> dict[LabelValues, Stem]:
        stems = self._stems.get((family.name, family.label_names), {})
        for gone in stems.keys() - family.series.keys():
            del stems[gone]
        type_: MetricType = "g" if family.kind is MetricKind.GAUGE else "c"
        for new in family.series.keys() - stems.keys():
            pairs = zip(family.label_names, new, strict=False)
            stems[new] = self.format.stem(family.name, pairs, type_)
        return stems


def _gauge_lines(
    family: MetricFamily, stems: dict[LabelValues, Stem], lines: list[Line]
) -> list[str]:
    unsendable = []
    for labels, value in family.series.items():
        try:
            lines.append((with_value(stems[labels], value), None, (), 0))
        except ValueError:
            unsendable.append(family.name)
    return unsendable


def _counter_lines(
    family: MetricFamily, stems: dict[LabelValues, Stem], totals: Totals, lines: list[Line]
) -> list[str]:
    unsendable = []
    # Many counters gain the same few numbers.
    figures: dict[float, str] = {}
    for labels, value in family.series.items():
        since = totals.get(labels, 0)
        if value == since:
            continue
        change = value - since if value > since else value
        figure = figures.get(change)
        if figure is None:
            try:
                figure = number(change)
            except ValueError:
                unsendable.append(family.name)
                continue
            if change <= 0:
                continue
            figures[change] = figure
        head, tail = stems[labels]
        lines.append((f"{head}{figure}{tail}", totals, labels, value))
    return unsendable


def span_lines(spans: Sequence[FinishedSpan], format_: LineFormat) -> list[Line]:
    """Write the durations of *spans* as timers, in milliseconds."""
    return [
        (
            with_value(
                format_.stem(_timer(span), _labels(span), "ms"),
                (span.end_ns - span.start_ns) / 1e6,
            ),
            None,
            (),
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
