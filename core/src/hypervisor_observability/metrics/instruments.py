"""Counters, gauges and histograms as plain dicts, with a bound on their series."""

from bisect import bisect_left

from .families import HistogramValue, LabelValues, MetricFamily, MetricKind

MAX_SERIES = 2_000
"""Most series of one metric, as OpenTelemetry's default cardinality limit (Metrics SDK)."""

OVERFLOW = "other"
"""Label value of the series that takes what comes beyond the bound."""


class Instrument:
    """What counters, gauges and histograms share: a name, labels, and the bound.

    Args:
        name: The exposed name.
        help_text: What it tells, in one line.
        label_names: Names of the labels.
        unit: Base unit; empty for none.
    """

    def __init__(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), *, unit: str = ""
    ) -> None:
        self.name = name
        self.help_text = help_text
        self.label_names = label_names
        self.unit = unit
        self.overflowed = 0
        """Observations that went to the overflow series."""

    def _key(self, labels: LabelValues, known: object, size: int) -> LabelValues:
        if known is not None or size < MAX_SERIES:
            return labels
        self.overflowed += 1
        return (OVERFLOW,) * len(labels)


class Counter(Instrument):
    """A total that only grows. Its name ends in ``_total``."""

    def __init__(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), *, unit: str = ""
    ) -> None:
        super().__init__(name, help_text, label_names, unit=unit)
        self.series: dict[LabelValues, float] = {}

    def increase(self, labels: LabelValues = (), amount: float = 1) -> None:
        """Add *amount*, not negative, to the series of *labels*."""
        known = self.series.get(labels)
        key = self._key(labels, known, len(self.series))
        self.series[key] = self.series.get(key, 0) + amount

    def family(self) -> MetricFamily:
        """Give the present state."""
        return MetricFamily(
            name=self.name,
            kind=MetricKind.COUNTER,
            help=self.help_text,
            unit=self.unit,
            label_names=self.label_names,
            series=dict(self.series),
        )


class Gauge(Instrument):
    """A value that goes up and down."""

    def __init__(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), *, unit: str = ""
    ) -> None:
        super().__init__(name, help_text, label_names, unit=unit)
        self.series: dict[LabelValues, float] = {}

    def set(self, labels: LabelValues, value: float) -> None:
        """Set the series of *labels*. Beyond the bound nothing is set, only counted."""
        if labels in self.series or len(self.series) < MAX_SERIES:
            self.series[labels] = value
        else:
            self.overflowed += 1

    def family(self) -> MetricFamily:
        """Give the present state."""
        return MetricFamily(
            name=self.name,
            kind=MetricKind.GAUGE,
            help=self.help_text,
            unit=self.unit,
            label_names=self.label_names,
            series=dict(self.series),
        )


class Histogram(Instrument):
    """Observations counted in buckets.

    Args:
        bounds: Upper bounds of the buckets, inclusive, ascending, without infinity.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        label_names: tuple[str, ...] = (),
        *,
        bounds: tuple[float, ...],
        unit: str = "",
    ) -> None:
        super().__init__(name, help_text, label_names, unit=unit)
        self.bounds = bounds
        self._counts: dict[LabelValues, list[int]] = {}
        self._sums: dict[LabelValues, float] = {}

    def observe(self, labels: LabelValues, value: float) -> None:
        """Count *value*, a finite number, in the series of *labels*."""
        key = self._key(labels, self._counts.get(labels), len(self._counts))
        counts = self._counts.setdefault(key, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + value

    def family(self) -> MetricFamily:
        """Give the present state."""
        return MetricFamily(
            name=self.name,
            kind=MetricKind.HISTOGRAM,
            help=self.help_text,
            unit=self.unit,
            label_names=self.label_names,
            histograms={
                key: HistogramValue(tuple(counts), self._sums[key])
                for key, counts in self._counts.items()
            },
            bounds=self.bounds,
        )
