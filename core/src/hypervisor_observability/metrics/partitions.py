"""The metrics of several partitions of a shared store together: each series names its partition."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from attrs import define, evolve, field

from .families import HistogramValue, LabelValues, MetricFamily, MetricKind

Value = TypeVar("Value")

PARTITION = "partition"
"""The label with the name of the partition."""


@define(eq=False)
class PartitionMetrics:
    """The families of one partition, and what they held when this process took it over.

    Attributes:
        name: Of the partition.
        taken_over: What counters and histograms held then, by the name of the family.
    """

    name: str
    taken_over: Mapping[str, Mapping[LabelValues, float | HistogramValue]] = field(factory=dict)

    def take_over(self, families: Sequence[MetricFamily]) -> None:
        """Note what *families* hold now: the owner before has exposed that much."""
        self.taken_over = {
            family.name: self._labelled(family.series or family.histograms)
            for family in families
            if family.kind is not MetricKind.GAUGE
        }

    def labelled(self, families: Sequence[MetricFamily]) -> list[MetricFamily]:
        """Give *families* with the partition in the label ``partition``, the last one."""
        return [
            evolve(
                family,
                label_names=(*family.label_names, PARTITION),
                series=self._labelled(family.series),
                histograms=self._labelled(family.histograms),
                exemplars=self._labelled(family.exemplars),
                taken_over=self.taken_over.get(family.name, {}),
            )
            for family in families
        ]

    def _labelled(self, series: Mapping[LabelValues, Value]) -> dict[LabelValues, Value]:
        return {(*labels, self.name): value for labels, value in series.items()}


def together(parts: Sequence[Sequence[MetricFamily]]) -> list[MetricFamily]:
    """Merge the families of all *parts*, which have no series in common, by name."""
    found: dict[str, list[MetricFamily]] = {}
    for families in parts:
        for family in families:
            found.setdefault(family.name, []).append(family)
    return [_one_of(families) for families in found.values()]


def _one_of(families: Sequence[MetricFamily]) -> MetricFamily:
    first, *others = families
    if not others:
        return first
    moments = [family.since_ns for family in families if family.since_ns is not None]
    since_ns = min(moments, default=None)
    return evolve(
        first,
        series=_joined([family.series for family in families]),
        histograms=_joined([family.histograms for family in families]),
        exemplars=_joined([family.exemplars for family in families]),
        taken_over=_joined([family.taken_over for family in families]),
        since_ns=since_ns,
        since_ns_of={
            labels: family.since_ns
            for family in families
            if family.since_ns is not None and family.since_ns != since_ns
            for labels in (*family.series, *family.histograms)
        },
    )


def _joined(parts: Sequence[Mapping[LabelValues, Value]]) -> dict[LabelValues, Value]:
    return {labels: value for part in parts for labels, value in part.items()}
