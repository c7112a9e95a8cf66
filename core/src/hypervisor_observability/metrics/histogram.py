"""Histograms as plain dicts, with a bound on their series."""

from bisect import bisect_left

from attrs import define

from ..events.event import HypervisorEvent
from .families import Exemplar, HistogramValue, LabelValues, MetricFamily, MetricKind
from .instruments import RawExemplar
from .series import NO_LABELS, BoundedSeries, Labels


@define(eq=False)
class Buckets:
    """One series.

    Attributes:
        counts: Observations per bucket, not cumulative, and those beyond the greatest bound.
        sum: Of all observations.
        exemplars: The latest of each bucket; None: there was none yet.
    """

    counts: list[int]
    sum: float = 0.0
    exemplars: list[RawExemplar | Exemplar | None] | None = None

    def examples(self) -> tuple[Exemplar | None, ...]:
        """Give the exemplars; what is widened for that is kept."""
        found = self.exemplars or []
        for bucket, one in enumerate(found):
            if type(one) is tuple:
                found[bucket] = Exemplar(*one)
        return tuple(one for one in found if not isinstance(one, tuple))


class Histogram:
    """Observations counted in buckets.

    Args:
        name: The exposed name.
        help_text: What it tells, in one line.
        labels: Its labels.
        bounds: Upper bounds of the buckets, inclusive, ascending, without infinity.
        unit: Base unit; empty for none.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Labels = NO_LABELS,
        *,
        bounds: tuple[float, ...],
        unit: str = "",
    ) -> None:
        self.name, self.label_names, self.bounds = name, tuple(labels), bounds
        self._help, self._unit = help_text, unit
        self.bounded = BoundedSeries(labels, lambda: Buckets([0] * (len(bounds) + 1)))
        self.series = self.bounded.values

    def observe(
        self, labels: LabelValues, value: float, event: HypervisorEvent | None = None
    ) -> None:
        """Count *value*, a finite number, in the series of *labels*.

        Args:
            labels: The values of the labels.
            value: Finite.
            event: Becomes the bucket's example, if it has a causal id.
        """
        key = labels if labels in self.series else self.bounded.place(labels)
        bucket, one = bisect_left(self.bounds, value), self.series[key]
        one.counts[bucket] += 1
        one.sum += value
        if event is not None and (causal := event.causal_trace_id) is not None:
            if one.exemplars is None:
                one.exemplars = [None] * len(one.counts)
            one.exemplars[bucket] = (causal, value, event.timestamp_ns)

    def family(self) -> MetricFamily:
        """Give the present state."""
        series = list(self.series.items())
        return MetricFamily(
            name=self.name,
            kind=MetricKind.HISTOGRAM,
            help=self._help,
            unit=self._unit,
            label_names=self.label_names,
            bounds=self.bounds,
            histograms={key: HistogramValue(tuple(one.counts), one.sum) for key, one in series},
            exemplars={key: one.examples() for key, one in series if one.exemplars is not None},
        )
