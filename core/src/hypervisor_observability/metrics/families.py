"""What the registry hands out: metric families as plain, frozen data.

The terms are those of OpenMetrics 1.0: a family has a name, a type, a help text, a unit and
label names; its series are told apart by their label values.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cached_property

from attrs import field, frozen

from ..causality.causal_trace import CausalTraceId

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


@frozen
class Exemplar:
    """An observation as an example of its series: it leads from a number to a trace.

    Attributes:
        causal_trace_id: Of the event that was counted, as it was recorded.
        value: What it added to the series.
        timestamp_ns: When it happened, in nanoseconds since the epoch.
    """

    causal_trace_id: str
    value: float
    timestamp_ns: int

    @cached_property
    def w3c(self) -> tuple[str, str] | None:
        """The trace id of 32 and the span id of 16 digits under which the work is exported;
        None if what was recorded is no id.
        """
        # Widened when somebody reads it: most exemplars are replaced before that.
        causal = CausalTraceId.or_none(self.causal_trace_id)
        return None if causal is None else causal.to_w3c()


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
        exemplars: Label values to the latest examples: of a counter's series one, of a
            histogram's one per bucket, None where there is none. Not every series has an entry.
        since_ns: Since when a counter or a histogram counts, in nanoseconds since the epoch; an
            agent that goes on with totals of earlier processes keeps it. None: not known.
        since_ns_of: Label values to since when a series counts, where it differs from *since_ns*.
        taken_over: Label values to what a counter or a histogram held when this process took it
            over from another agent, which has exposed that much: a plugin that sends differences
            starts there. Not every series has an entry.
    """

    name: str
    kind: MetricKind
    help: str
    unit: str = ""
    label_names: tuple[str, ...] = ()
    series: Mapping[LabelValues, float] = field(factory=dict)
    histograms: Mapping[LabelValues, HistogramValue] = field(factory=dict)
    bounds: tuple[float, ...] = ()
    exemplars: Mapping[LabelValues, tuple[Exemplar | None, ...]] = field(factory=dict)
    since_ns: int | None = None
    since_ns_of: Mapping[LabelValues, int] = field(factory=dict)
    taken_over: Mapping[LabelValues, "float | HistogramValue"] = field(factory=dict)
