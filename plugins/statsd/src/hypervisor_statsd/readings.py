"""From metric families to lines: what is told of each, and what was told before."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, field

from hypervisor_observability import MetricFamily, MetricKind
from hypervisor_statsd.lines import (
    LabelValues,
    Line,
    LineFormat,
    MetricType,
    Series,
    number,
    with_value,
)


@define(eq=False)
class Readings:
    """Write metric families, again and again: what a series is called is worked out once.

    Attributes:
        format: How lines are written.
        series: What is known of each series, by family. Of a counter, what it was told moves
            on when what ``lines`` gave was sent.
        holder: The instance that tells; a call of another, which was given up, tells no more.
    """

    format: LineFormat
    series: dict[tuple[str, LabelValues], dict[LabelValues, Series]] = field(factory=dict)
    holder: object = None

    def lines(self, families: Iterable[MetricFamily]) -> tuple[list[Line], Counter[str]]:
        """Write *families*: counters as what came since they were told, gauges as they are.

        A counter that fell has restarted, so its whole total came since. A histogram is
        written as two counters, its count and its sum: StatsD makes percentiles from single
        observations, which are gone. Series that are gone are forgotten, and start at
        zero if they come back. Those that this process took over from another agent start at
        what that agent has sent.

        Returns:
            The lines, and how many values of which family are left out, because they are no
            finite numbers.
        """
        lines: list[Line] = []
        unsendable: Counter[str] = Counter()
        known: dict[tuple[str, LabelValues], dict[LabelValues, Series]] = {}
        for family in _with_plain_histograms(families):
            key = family.name, family.label_names
            series = known[key] = self.series.get(key, {})
            written = len(lines)
            try:
                pairs = list(self._with_series(family, series))
                write = _gauge_lines if family.kind is MetricKind.GAUGE else _counter_lines
                left_out = write(pairs, lines)
            except Exception:  # noqa: BLE001 - whatever names and labels of a family raise
                del lines[written:]
                left_out = len(family.series)
            if left_out:
                unsendable[family.name] += left_out
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
            begun_at = family.taken_over.get(labels)
            # It starts there if less was sent so far, or if the value fell below what was sent.
            if isinstance(begun_at, int | float) and not begun_at <= series.told <= value:
                series.told = begun_at
            yield series, value
        if len(known) > len(family.series):
            for gone in known.keys() - family.series.keys():
                del known[gone]


def _gauge_lines(pairs: Iterable[tuple[Series, float]], lines: list[Line]) -> int:
    left_out = 0
    for series, value in pairs:
        try:
            lines.append((with_value(series.stem, value), None, 0))
        except ValueError:
            left_out += 1
    return left_out


def _counter_lines(pairs: Iterable[tuple[Series, float]], lines: list[Line]) -> int:
    left_out = 0
    # Many counters gain the same few numbers.
    figures: dict[float, str] = {}
    for series, value in pairs:
        told = series.told
        if value == told:
            continue
        try:
            change = value - told if value > told else value
            figure = figures.get(change)
            if figure is None:
                figure = number(change)
                if change <= 0:
                    continue
                figures[change] = figure
        except (ValueError, TypeError, ArithmeticError):
            left_out += 1
            continue
        head, tail = series.stem
        lines.append((f"{head}{figure}{tail}", series, value))
    return left_out


def _with_plain_histograms(families: Iterable[MetricFamily]) -> Iterator[MetricFamily]:
    for family in families:
        if family.kind is not MetricKind.HISTOGRAM:
            yield family
            continue
        counter = evolve(family, kind=MetricKind.COUNTER, histograms={}, bounds=())
        for name in ("count", "sum"):
            yield evolve(
                counter,
                name=f"{family.name}_{name}",
                series=_each(name, family.histograms),
                taken_over=_each(name, family.taken_over),
            )


def _each(name: str, series: Mapping[LabelValues, Any]) -> dict[LabelValues, float]:
    """Give one number of each histogram."""
    return {labels: getattr(value, name) for labels, value in series.items()}
