"""Histograms as plain dicts, with a bound on their series."""

from bisect import bisect_left

from ..events.event import HypervisorEvent
from .families import Exemplar, HistogramValue, LabelValues, MetricFamily, MetricKind
from .instruments import RawExemplar
from .series import NO_LABELS, Labels, SeriesKeys


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
        self.keys = SeriesKeys(labels)
        self.counts: dict[LabelValues, list[int]] = {}
        self.sums: dict[LabelValues, float] = {}
        self._exemplars: dict[LabelValues, list[RawExemplar | Exemplar | None]] = {}
        if self.keys.is_closed:
            self._show_known()

    def observe(
        self, labels: LabelValues, value: float, event: HypervisorEvent | None = None
    ) -> None:
        """Count *value*, a finite number, in the series of *labels*.

        Args:
            labels: The values of the labels.
            value: Finite.
            event: Becomes the bucket's example, if it has a causal id.
        """
        key = labels
        if labels not in self.counts:
            key = self.keys.place(labels)
            if self.keys.needs_overflow:
                self._show_known()
            self._show(key)
        bucket = bisect_left(self.bounds, value)
        self.counts[key][bucket] += 1
        self.sums[key] += value
        if event is not None and (causal := event.causal_trace_id) is not None:
            exemplars = self._exemplars.get(key)
            if exemplars is None:
                exemplars = self._exemplars[key] = [None] * (len(self.bounds) + 1)
            exemplars[bucket] = (causal, value, event.timestamp_ns)

    def family(self) -> MetricFamily:
        """Give the present state."""
        return MetricFamily(
            name=self.name,
            kind=MetricKind.HISTOGRAM,
            help=self._help,
            unit=self._unit,
            label_names=self.label_names,
            bounds=self.bounds,
            histograms={
                key: HistogramValue(tuple(counts), self.sums[key])
                for key, counts in list(self.counts.items())
            },
            exemplars={key: _examples(found) for key, found in list(self._exemplars.items())},
        )

    def restore(self, labels: LabelValues, counts: list[int], total: float) -> None:
        """Set the series of *labels* to what was counted before a restart."""
        if labels not in self.counts and labels not in self.keys.known:
            self.keys.take(labels)
        self.counts[labels], self.sums[labels] = counts, total

    def _show(self, key: LabelValues) -> None:
        self.counts.setdefault(key, [0] * (len(self.bounds) + 1))
        self.sums.setdefault(key, 0.0)

    def _show_known(self) -> None:
        for key in self.keys.known:
            self._show(key)


def _examples(found: list[RawExemplar | Exemplar | None]) -> tuple[Exemplar | None, ...]:
    for bucket, one in enumerate(found):
        if type(one) is tuple:
            found[bucket] = Exemplar(*one)
    return tuple(one for one in found if not isinstance(one, tuple))
