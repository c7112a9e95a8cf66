"""Counters and gauges as plain dicts, with a bound on their series."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from ..events.event import HypervisorEvent
from .families import Exemplar, LabelValues, MetricFamily, MetricKind
from .labels import MAX_SERIES
from .series import NO_LABELS, BoundedSeries, Labels

RawExemplar = tuple[str, float, int]
"""An exemplar until somebody reads it: most are replaced before that."""


class Counter:
    """A total that only grows. Its name ends in ``_total``.

    Args:
        name: The exposed name.
        help_text: What it tells, in one line.
        labels: Its labels.
    """

    def __init__(self, name: str, help_text: str, labels: Labels = NO_LABELS) -> None:
        self.name, self.label_names = name, tuple(labels)
        self._help = help_text
        self.bounded: BoundedSeries[float] = BoundedSeries(labels, int)
        self.series = self.bounded.values
        self._exemplars: dict[LabelValues, RawExemplar | Exemplar] = {}

    def increase(
        self, labels: LabelValues = (), amount: float = 1, event: HypervisorEvent | None = None
    ) -> None:
        """Add *amount*, not negative, to the series of *labels*.

        Args:
            labels: The values of the labels.
            amount: Not negative.
            event: Becomes the series' example, if it has a causal id.
        """
        key = labels if labels in self.series else self.bounded.place(labels)
        self.series[key] += amount
        if event is not None and (causal := event.causal_trace_id) is not None:
            self._exemplars[key] = (causal, amount, event.timestamp_ns)

    def show(self, labels: LabelValues) -> None:
        """Have the series of *labels* there, at zero, if there is a place for it."""
        self.bounded.show(labels)

    def withdraw(self, session: str) -> None:
        """Remove the series of a session that ended."""
        for key in self.bounded.withdraw(session):
            self._exemplars.pop(key, None)

    def family(self) -> MetricFamily:
        """Give the present state."""
        return MetricFamily(
            name=self.name,
            kind=MetricKind.COUNTER,
            help=self._help,
            label_names=self.label_names,
            series=dict(self.series),
            exemplars=self._examples(),
        )

    def _examples(self) -> dict[LabelValues, tuple[Exemplar]]:
        raw = {key: one for key, one in list(self._exemplars.items()) if type(one) is tuple}
        self._exemplars.update({key: Exemplar(*one) for key, one in raw.items()})
        return {key: (one,) for key, one in self._exemplars.items() if isinstance(one, Exemplar)}


class Gauge:
    """A value that goes up and down.

    Beyond ``max_series`` the series that was not set for the longest time goes.

    Args:
        name: The exposed name.
        help_text: What it tells, in one line.
        labels: Its labels.
        unit: Base unit; empty for none.
        shown: Gives the series that are shown, where these are not those that were set.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Labels = NO_LABELS,
        *,
        unit: str = "",
        shown: Callable[[], Mapping[LabelValues, float]] | None = None,
    ) -> None:
        self.name, self.label_names = name, tuple(labels)
        self._help, self._unit = help_text, unit
        self._shown = shown
        self.series: OrderedDict[LabelValues, float] = OrderedDict()
        self.max_series = MAX_SERIES
        """Most series."""
        self.evicted = 0
        """Series that went for others."""
        self._runs: dict[LabelValues, str] = {}

    def set(self, labels: LabelValues, value: float, run: str = "") -> None:
        """Set the series of *labels*; *run* says on whose behalf."""
        self.series[labels] = value
        self.series.move_to_end(labels)
        self._runs[labels] = run
        if len(self.series) > self.max_series:
            self.remove(next(iter(self.series)))
            self.evicted += 1

    def remove(self, labels: LabelValues) -> None:
        """Remove the series of *labels*, if there is one."""
        self.series.pop(labels, None)
        self._runs.pop(labels, None)

    def runs(self) -> frozenset[str]:
        """Give the runs on whose behalf there is something."""
        return frozenset(self._runs.values())

    def end_run(self, run: str) -> None:
        """Remove what was set on behalf of *run*."""
        for labels in [labels for labels, owner in self._runs.items() if owner == run]:
            self.remove(labels)

    def family(self) -> MetricFamily:
        """Give the present state."""
        shown = dict(self.series) if self._shown is None else self._shown()
        return MetricFamily(
            name=self.name,
            kind=MetricKind.GAUGE,
            help=self._help,
            unit=self._unit,
            label_names=self.label_names,
            series=shown,
        )
