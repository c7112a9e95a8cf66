"""Counters and gauges as plain dicts, with a bound on their series."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from ..events.event import HypervisorEvent
from .families import Exemplar, LabelValues, MetricFamily, MetricKind
from .labels import MAX_SERIES
from .series import NO_LABELS, Labels, SeriesKeys

RawExemplar = tuple[str, float, int]
"""An exemplar until somebody reads it: most are replaced before that."""


class Counter:
    """A total that only grows. Its name ends in ``_total``.

    Where the values of all its labels are known in advance, all its series are there from
    the beginning, at zero: a counter that appears with its first increment has not increased.

    Args:
        name: The exposed name.
        help_text: What it tells, in one line.
        labels: Its labels.
    """

    def __init__(self, name: str, help_text: str, labels: Labels = NO_LABELS) -> None:
        self.name, self.label_names = name, tuple(labels)
        self._help = help_text
        self.keys = SeriesKeys(labels)
        self.series: dict[LabelValues, float] = {}
        self._exemplars: dict[LabelValues, RawExemplar | Exemplar] = {}
        if self.keys.is_closed:
            self._show_known()

    def increase(
        self, labels: LabelValues = (), amount: float = 1, event: HypervisorEvent | None = None
    ) -> None:
        """Add *amount*, not negative, to the series of *labels*.

        Args:
            labels: The values of the labels.
            amount: Not negative.
            event: Becomes the series' example, if it has a causal id.
        """
        series, key = self.series, labels
        if key in series:
            series[key] += amount
        else:
            key = self._new(labels)
            series[key] = series.get(key, 0) + amount
        if event is not None and (causal := event.causal_trace_id) is not None:
            self._exemplars[key] = (causal, amount, event.timestamp_ns)

    def show(self, labels: LabelValues) -> None:
        """Have the series of *labels* there, at zero, if there is a place for it."""
        if labels not in self.series and self.keys.place_for_zero(labels):
            self.series[labels] = 0
            self._show_overflow()

    def restore(self, labels: LabelValues, value: float) -> None:
        """Set the series of *labels* to what was counted before a restart."""
        if labels not in self.series and labels not in self.keys.known:
            self.keys.take(labels)
        self.series[labels] = value

    def withdraw(self, session: str) -> None:
        """Remove the series of a session that ended."""
        for key in self.keys.withdraw(session):
            self.series.pop(key, None)
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

    def _new(self, labels: LabelValues) -> LabelValues:
        key = self.keys.place(labels)
        self._show_overflow()
        return key

    def _show_overflow(self) -> None:
        if self.keys.needs_overflow:
            self._show_known()

    def _show_known(self) -> None:
        for key in self.keys.known:
            self.series.setdefault(key, 0)


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
