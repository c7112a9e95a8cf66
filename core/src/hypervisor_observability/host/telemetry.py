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
from ..spans.assembly import SpanAssembler
from ..spans.sampler import SpanSampler

_PREFIX = "agent_hypervisor_observability_"
_PLUGIN = ("plugin",)
_STATM = Path("/proc/self/statm")
_BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


@define(eq=False)
class DeliveryMetrics:
    """What became of the events, filled reader by reader."""

    _delivered: dict[LabelValues, float] = field(factory=dict, init=False)
    _rejected: dict[LabelValues, float] = field(factory=dict, init=False)
    _dropped: dict[LabelValues, float] = field(factory=dict, init=False)
    _queue: dict[LabelValues, float] = field(factory=dict, init=False)
    _up: dict[LabelValues, float] = field(factory=dict, init=False)
    _exports: dict[LabelValues, float] = field(factory=dict, init=False)
    _seconds: dict[LabelValues, HistogramValue] = field(factory=dict, init=False)
    _circuit: dict[LabelValues, float] = field(factory=dict, init=False)
    _held_spans: dict[LabelValues, float] = field(factory=dict, init=False)
    _left_out: dict[LabelValues, float] = field(factory=dict, init=False)
    _late: dict[LabelValues, float] = field(factory=dict, init=False)
    _early: dict[LabelValues, float] = field(factory=dict, init=False)
    _open_spans: dict[LabelValues, float] = field(factory=dict, init=False)
    _expired: dict[LabelValues, float] = field(factory=dict, init=False)
    _unmatched: dict[LabelValues, float] = field(factory=dict, init=False)

    def add(self, name: str, counts: Counts, worker: Worker | None, *, up: bool) -> None:
        """Tell of a plugin, or of the internal reader."""
        labels = (name,)
        self._delivered[labels] = counts.delivered
        self._rejected[labels] = counts.rejected
        for reason, events in counts.dropped.items():
            self._dropped[name, reason] = events
        self._queue[labels] = counts.in_flight + counts.pending
        self._up[labels] = int(up)
        if worker is not None:
            stats = worker.stats
            self._exports[name, "accepted"] = stats.accepted
            self._exports[name, "retried"] = stats.retried
            self._exports[name, "refused"] = stats.refused
            self._seconds[labels] = stats.seconds
            self._circuit[labels] = _BREAKER_VALUES[worker.breaker_state]
            self._add_assembler(labels, worker.assembler)
            self._add_sampler(labels, worker.sampler)

    def _add_assembler(self, labels: LabelValues, assembler: SpanAssembler | None) -> None:
        # Series of plugins that take no spans were there before, and stay.
        self._open_spans[labels] = 0 if assembler is None else assembler.open_spans
        if assembler is not None:
            self._expired[labels] = assembler.expired
            self._unmatched[labels] = assembler.unmatched

    def _add_sampler(self, labels: LabelValues, sampler: SpanSampler | None) -> None:
        if sampler is not None:
            self._held_spans[labels] = sampler.held_spans
            self._left_out[labels] = sampler.left_out_spans
            self._early[labels] = sampler.early_decisions
            self._late[labels] = sampler.late_incidents

    def families(self) -> list[MetricFamily]:
        """Give all of it."""
        counter, gauge = MetricKind.COUNTER, MetricKind.GAUGE
        seconds = MetricFamily(
            name=f"{_PREFIX}export_seconds",
            kind=MetricKind.HISTOGRAM,
            help="Time that the calls of export hooks took",
            unit="seconds",
            label_names=_PLUGIN,
            histograms=self._seconds,
            bounds=SECONDS_BOUNDS,
        )
        return [
            _family("events_delivered_total", counter, "Events that the backend has", _PLUGIN,
                    self._delivered),
            _family("events_rejected_total", counter, "Events that were offered and refused",
                    _PLUGIN, self._rejected),
            _family("events_dropped_total", counter, "Events that were never offered, by reason",
                    ("plugin", "reason"), self._dropped),
            _family("queue_size", gauge, "Events that wait, or whose answer is awaited", _PLUGIN,
                    self._queue),
            _family("plugin_up", gauge, "Whether the plugin runs", _PLUGIN, self._up),
            _family("export_total", counter, "Calls of export hooks, by how they ended",
                    ("plugin", "result"), self._exports),
            seconds,
            _family("circuit_state", gauge, "Breaker: 0 closed, 1 half-open, 2 open", _PLUGIN,
                    self._circuit),
            _family("open_spans", gauge, "Spans that have begun and not ended", _PLUGIN,
                    self._open_spans),
            _family("expired_spans_total", counter, "Spans given out before their end was seen",
                    _PLUGIN, self._expired),
            _family("unmatched_span_events_total", counter,
                    "Ends without a start, and starts and ends that came when all was over",
                    _PLUGIN, self._unmatched),
            _family("held_spans", gauge, "Spans that wait for the decision on their trace",
                    _PLUGIN, self._held_spans),
            _family("unsampled_spans_total", counter, "Spans of traces that were left out",
                    _PLUGIN, self._left_out),
            _family("early_sampling_decisions_total", counter,
                    "Traces left out before their time, since too many spans were held",
                    _PLUGIN, self._early),
            _family("late_incidents_total", counter,
                    "Incidents in traces that had been left out already", _PLUGIN, self._late),
        ]  # fmt: skip


def process_metrics(
    *,
    capacity: int | None,
    handler_errors: int,
    refused: int,
    redacted: int,
    gate_failures: int,
    internal_events: int,
    payload_cuts: int,
    duplicates: int,
    conflicts: int,
    clock_steps: int,
) -> list[MetricFamily]:
    """Tell of the bus and the gate of a process."""
    totals = (
        ("handler_errors_total", "Calls of subscribers that raised", handler_errors),
        ("refused_total", "Things given to emit that are no events", refused),
        ("redacted_total", "Payload values that the gate took out", redacted),
        ("gate_failures_total", "Payloads that the gate held back whole", gate_failures),
        ("internal_events_total", "Events that plugins' own threads emitted", internal_events),
        ("payload_cuts_total", "Payload values that were tagged or cut", payload_cuts),
        ("duplicate_events_total", "Events that had come before", duplicates),
        ("clock_steps_total", "Steps of the wall clock that were followed", clock_steps),
        ("conflicting_events_total", "Events with the id of another one", conflicts),
    )
    families = [
        _family(name, MetricKind.COUNTER, help_text, (), {(): value})
        for name, help_text, value in totals
    ]
    if capacity is not None:
        help_text = "Events that the log in memory holds"
        families.append(_family("queue_capacity", MetricKind.GAUGE, help_text, (), {(): capacity}))
    return [*families, *_process_size()]


def _process_size() -> list[MetricFamily]:
    """Tell of the process's size, so that a plugin that leaks is seen. Whose it is nobody knows."""
    gauge, threads = MetricKind.GAUGE, threading.active_count()
    families = [_family("threads", gauge, "Threads of Python in the process", (), {(): threads})]
    try:
        # Linux, proc(5): pages that are resident stand second.
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return families
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    help_text = "Memory of the process that is resident"
    return [*families, _family("resident_bytes", gauge, help_text, (), {(): resident})]


def journal_metrics(
    *, degraded: bool, lost: int, size: int, unsynced_seconds: float
) -> list[MetricFamily]:
    """Tell of the journal of a process."""
    gauge, counter = MetricKind.GAUGE, MetricKind.COUNTER
    values = (
        ("journal_degraded", gauge, "Whether events are not journalled at present", int(degraded)),
        ("journal_lost_events_total", counter, "Events that are not in the journal", lost),
        ("journal_bytes", gauge, "Bytes on the disk in the journal's directory", size),
        ("journal_unsynced_seconds", gauge,
         "Time for which the oldest event that the disk may not have has been waiting",
         unsynced_seconds),
    )  # fmt: skip
    return [_family(name, kind, text, (), {(): value}) for name, kind, text, value in values]


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
