"""Ring metrics of one bus, in the process, for code that wants them as they are."""

import threading
import weakref
from typing import Any, Protocol, runtime_checkable

from attrs import define, field

from ..bus.event_bus import HypervisorEventBus
from ..events.event import HypervisorEvent
from ..facts import lives
from .families import LabelValues, MetricKind
from .labels import MAX_RING, LabelRules
from .rings import (
    BREACHES,
    CURRENT,
    ELEVATION_ACTIVE,
    ELEVATION_DURATION,
    RING_TYPES,
    TRANSITIONS,
    RingMetrics,
)


@runtime_checkable
class PrometheusExporterProtocol(Protocol):
    """Whatever takes gauges and counters by name: a bridge to a metrics library."""

    def set_gauge(
        self,
        name: str,
        value: float,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        """Set a gauge."""

    def inc_counter(
        self,
        name: str,
        value: float = 1.0,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        """Add to a counter."""


class RingMetricsCollector:
    """Ring metrics of one bus, kept by a synchronous subscriber.

    Args:
        bus: Its ring events are counted from now on.
        max_ring: The outermost ring that there is; what is beyond counts as invalid.
    """

    def __init__(self, bus: HypervisorEventBus, *, max_ring: int = MAX_RING) -> None:
        self._rules = LabelRules(max_ring=max_ring)
        self._begin_anew()
        # Re-entrant, like the exports': a signal handler may emit while one is held.
        self._lock = threading.RLock()
        self._exports: dict[int, _Export] = {}
        for event_type in RING_TYPES:
            bus.subscribe(event_type, self._handle)
        for one in lives.LIFE_TYPES:
            bus.subscribe(one, self._follow)

    def collect(self) -> dict[str, Any]:
        """Give a snapshot: metric name to its values.

        Returns:
            Transitions keyed by (event_type, agent_did, session_id), breaches by
            (agent_did, session_id), the current ring and the seconds of elevation by
            agent_did; ``events_processed`` is a plain count.
        """
        with self._lock:
            metrics = self._metrics
            return {
                TRANSITIONS: dict(metrics.transitions.series),
                BREACHES: dict(metrics.breaches.series),
                CURRENT: {agent: ring for (agent,), ring in metrics.current.series.items()},
                ELEVATION_DURATION: metrics.elevation_seconds(),
                ELEVATION_ACTIVE: metrics.active_seconds(),
                "events_processed": self._events_processed,
            }

    def export_to_prometheus(self, exporter: PrometheusExporterProtocol) -> None:
        """Write the metrics to *exporter*: gauges as they are, counters as differences.

        May be called again, and for several exporters: each gets what was added since its
        own last call.
        """
        with self._lock:
            families = self._metrics.published.families()
            export = self._export_to(exporter)
        # Two threads that export to one exporter take turns.
        with export.lock:
            for family in families:
                for values, value in family.series.items():
                    labels = dict(zip(family.label_names, values, strict=True))
                    if family.kind is MetricKind.GAUGE:
                        exporter.set_gauge(
                            family.name, float(value), labels=labels, help_text=family.help
                        )
                        continue
                    key = (family.name, values)
                    added = value - export.totals.get(key, 0)
                    # Less than nothing: another thread has exported what came since.
                    if added > 0:
                        exporter.inc_counter(
                            family.name, float(added), labels=labels, help_text=family.help
                        )
                        export.totals[key] = value

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self._begin_anew()
            self._exports.clear()

    def _handle(self, event: HypervisorEvent) -> None:
        with self._lock:
            self._events_processed += 1
            self._metrics.observe(event)

    def _follow(self, event: HypervisorEvent) -> None:
        """Learn who works where: who works no more is elevated no more."""
        with self._lock:
            self._metrics.observe(event)

    def _begin_anew(self) -> None:
        self._events_processed = 0
        self._metrics = RingMetrics(self._rules, expecting=False)

    def _export_to(self, exporter: object) -> "_Export":
        """Give what *exporter* has seen; forgotten when the exporter goes."""
        key = id(exporter)
        known = self._exports.get(key)
        if known is None:
            exports = self._exports
            try:
                holder: object = weakref.ref(exporter, lambda _: exports.pop(key, None))
            except TypeError:  # cannot be referenced weakly: keep it, so that its id stays its own
                holder = exporter
            known = exports[key] = _Export(holder)
        return known


@define(eq=False)
class _Export:
    """What one exporter has seen.

    Attributes:
        holder: The exporter, or a weak reference to it.
        totals: Of the counters, by metric and labels.
    """

    holder: object
    totals: dict[tuple[str, LabelValues], float] = field(factory=dict)
    lock: threading.RLock = field(factory=threading.RLock)
