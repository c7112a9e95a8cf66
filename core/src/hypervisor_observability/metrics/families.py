"""What the registry hands out: metric families as plain, frozen data.

The terms are those of OpenMetrics 1.0: a family has a name, a type, a help text, a unit and
label names; its series are told apart by their label values.
"""

from collections.abc import Mapping
from enum import Enum

from attrs import field, frozen

LabelValues = tuple[str, ...]


class MetricKind(Enum):
    """The type of a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen
class HistogramValue:
    """One series of a histogram.

    Attributes:
        counts: Observations per bucket, not cumulative; the last bucket is the one beyond
            the greatest bound, so there is one more than there are bounds.
        sum: Sum of all observations, in the family's unit.
    """

    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)


@frozen(kw_only=True)
class MetricFamily:
    """All series of one metric at one moment.

    Attributes:
        name: The exposed name; a counter's ends in ``_total``.
        kind: Its type.
        help: What it tells, in one line.
        unit: Base unit such as ``seconds``; empty where the name tells none.
        label_names: Names of the labels, in the order of the values.
        series: Label values to value. A counter's value only grows.
        histograms: The same for a histogram.
        bounds: Upper bounds (inclusive) of a histogram's buckets, without infinity.
    """

    name: str
    kind: MetricKind
    help: str
    unit: str = ""
    label_names: tuple[str, ...] = ()
    series: Mapping[LabelValues, float] = field(factory=dict)
    histograms: Mapping[LabelValues, HistogramValue] = field(factory=dict)
    bounds: tuple[float, ...] = ()
