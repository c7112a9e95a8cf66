"""What the delivery tells of itself, as metrics: so that the backends themselves show a loss."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from ..delivery.breaker import BreakerState
from ..delivery.counts import Counts
from ..delivery.state import SECONDS_BOUNDS
from ..delivery.worker import Worker
from ..metrics.families import HistogramValue, LabelValues, MetricFamily, MetricKind

_PREFIX = "agent_hypervisor_observability_"
_PLUGIN = ("plugin",)
_STATM = Path("/proc/self/statm")
_BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


_COUNTER, _GAUGE, _HISTOGRAM = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

_OF_READERS: tuple[tuple[str, MetricKind, str, LabelValues], ...] = (
    ("events_delivered_total", _COUNTER, "Events that the backend has", _PLUGIN),
    ("events_rejected_total", _COUNTER, "Events that were offered and refused", _PLUGIN),
    ("events_dropped_total", _COUNTER, "Events that were never offered, by reason",
     ("plugin", "reason")),
    ("queue_size", _GAUGE, "Events that wait, or whose answer is awaited", _PLUGIN),
    ("plugin_up", _GAUGE, "Whether the plugin runs, or ran to the end", _PLUGIN),
    ("export_total", _COUNTER, "Calls of export hooks, by how they ended", ("plugin", "result")),
    ("export_seconds", _HISTOGRAM, "Time that the calls of export hooks took", _PLUGIN),
    ("circuit_state", _GAUGE, "Breaker: 0 closed, 1 half-open, 2 open", _PLUGIN),
    ("open_spans", _GAUGE, "Spans that have begun and not ended", _PLUGIN),
    ("expired_spans_total", _COUNTER, "Spans given out before their end was seen", _PLUGIN),
    ("unmatched_span_events_total", _COUNTER,
     "Ends without a start, and starts and ends that came when all was over", _PLUGIN),
    ("held_spans", _GAUGE, "Spans that wait for the decision on their trace", _PLUGIN),
    ("unsampled_spans_total", _COUNTER, "Spans of traces that were left out", _PLUGIN),
    ("early_sampling_decisions_total", _COUNTER,
     "Traces left out before their time, since too many spans were held", _PLUGIN),
    ("late_incidents_total", _COUNTER, "Incidents in traces that had been left out already",
     _PLUGIN),
)  # fmt: skip
"""Name, kind, help and label names of what is told of readers."""


@define(eq=False)
class DeliveryMetrics:
    """What became of the events, filled reader by reader."""

    _series: dict[str, dict[LabelValues, float]] = field(
        factory=lambda: {name: {} for name, *_ in _OF_READERS}, init=False
    )
    _seconds: dict[LabelValues, HistogramValue] = field(factory=dict, init=False)

    def add(self, name: str, counts: Counts, worker: Worker | None, *, up: bool) -> None:
        """Tell of a plugin, or of the internal reader."""
        self._set("events_delivered_total", counts.delivered, name)
        self._set("events_rejected_total", counts.rejected, name)
        for reason, events in counts.dropped.items():
            self._set("events_dropped_total", events, name, reason)
        self._set("queue_size", counts.in_flight + counts.pending, name)
        self._set("plugin_up", int(up), name)
        if worker is None:
            return
        stats, spans = worker.state.stats, worker.state.spans
        self._set("export_total", stats.accepted, name, "accepted")
        self._set("export_total", stats.retried, name, "retried")
        self._set("export_total", stats.refused, name, "refused")
        self._seconds[(name,)] = stats.seconds
        self._set("circuit_state", _BREAKER_VALUES[worker.state.breaker.state], name)
        told = spans.counts
        # Series of plugins that take no spans were there before, and stay.
        self._set("open_spans", told.open, name)
        if spans.makes_spans:
            self._set("expired_spans_total", told.expired, name)
            self._set("unmatched_span_events_total", told.unmatched, name)
        if spans.samples:
            self._set("held_spans", told.held, name)
            self._set("unsampled_spans_total", told.left_out, name)
            self._set("early_sampling_decisions_total", told.early_decisions, name)
            self._set("late_incidents_total", told.late_incidents, name)

    def _set(self, metric: str, value: float, *labels: str) -> None:
        self._series[metric][labels] = value

    def families(self) -> list[MetricFamily]:
        """Give all of it."""
        return [
            self._histogram(name, help_text, labels)
            if kind is _HISTOGRAM
            else _family(name, kind, help_text, labels, self._series[name])
            for name, kind, help_text, labels in _OF_READERS
        ]

    def _histogram(self, name: str, help_text: str, labels: LabelValues) -> MetricFamily:
        return MetricFamily(
            name=_PREFIX + name, kind=_HISTOGRAM, help=help_text, unit="seconds",
            label_names=labels, histograms=self._seconds, bounds=SECONDS_BOUNDS,
        )  # fmt: skip


TOTALS = {
    "handler_errors": "Calls of subscribers that raised",
    "refused": "Things given to emit that are no events",
    "redacted": "Payload values that the gate took out",
    "gate_failures": "Payloads that the gate held back whole",
    "internal_events": "Events that plugins' own threads emitted",
    "payload_cuts": "Payload values that were tagged or cut",
    "duplicate_events": "Events that had come before",
    "record_errors": "Events for which the store raised",
    "clock_steps": "Steps of the wall clock that were followed",
    "conflicting_events": "Events with the id of another one",
}
"""What is told of the bus and the gate of a process: names, without ``_total``, and helps."""


def process_metrics(*, capacity: int | None, **totals: int) -> list[MetricFamily]:
    """Tell of the bus and the gate of a process: all of ``TOTALS``, and the log's *capacity*."""
    families = [
        _family(f"{name}_total", _COUNTER, help_text, (), {(): totals[name]})
        for name, help_text in TOTALS.items()
    ]
    if capacity is not None:
        help_text = "Events that the log in memory holds"
        families.append(_family("queue_capacity", _GAUGE, help_text, (), {(): capacity}))
    return [*families, *_process_size()]


def _process_size() -> list[MetricFamily]:
    """Tell of the process's size, so that a plugin that leaks is seen. Whose it is nobody knows."""
    threads = threading.active_count()
    families = [_family("threads", _GAUGE, "Threads of Python in the process", (), {(): threads})]
    try:
        # Linux, proc(5): pages that are resident stand second.
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return families
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    help_text = "Memory of the process that is resident"
    return [*families, _family("resident_bytes", _GAUGE, help_text, (), {(): resident})]


def _family(
    name: str,
    kind: MetricKind,
    help_text: str,
    labels: LabelValues,
    series: Mapping[LabelValues, float],
) -> MetricFamily:
    return MetricFamily(
        name=_PREFIX + name, kind=kind, help=help_text, label_names=labels, series=series
    )
