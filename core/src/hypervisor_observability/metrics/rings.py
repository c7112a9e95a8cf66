"""Rings: transitions, breaches, current levels and elevations, counted from events."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from .. import clock
from ..event_bus import HypervisorEventBus
from ..event_types import EventType
from ..events import HypervisorEvent
from .families import LabelValues, MetricFamily, MetricKind
from .instruments import Counter, Gauge

TRANSITIONS = "agent_hypervisor_ring_transitions_total"
BREACHES = "agent_hypervisor_ring_breaches_total"
CURRENT = "agent_hypervisor_ring_current"
ELEVATION_DURATION = "agent_hypervisor_ring_elevation_duration_seconds"
ELEVATION_ACTIVE = "agent_hypervisor_ring_elevation_active_seconds"
INVALID = "agent_hypervisor_ring_invalid_total"

TRANSITION_TYPES = (
    EventType.RING_ASSIGNED,
    EventType.RING_ELEVATED,
    EventType.RING_DEMOTED,
    EventType.RING_ELEVATION_EXPIRED,
)
RING_TYPES = (*TRANSITION_TYPES, EventType.RING_BREACH_DETECTED)

MAX_RUNNING = 10_000
"""Most elevations that are followed at once."""

UNKNOWN = "unknown"
"""Label of an agent or a session that the event does not name."""


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


class RingMetrics:
    """The state of all rings, as far as the events observed so far tell.

    Args:
        now_ns: Gives the present time in nanoseconds since the epoch, for elevations that
            are still running.
    """

    event_types = RING_TYPES

    def __init__(self, now_ns: Callable[[], int] = clock.now_ns) -> None:
        self._now_ns = now_ns
        self.transitions = Counter(
            TRANSITIONS,
            "Ring assignments, elevations, demotions and expirations",
            ("event_type", "agent_did", "session_id"),
        )
        self.breaches = Counter(
            BREACHES, "Capability boundary violations", ("agent_did", "session_id")
        )
        self.current = Gauge(
            CURRENT, "Current ring of the agent (0=root, 3=sandbox)", ("agent_did",)
        )
        self.invalid = Counter(INVALID, "Ring events whose ring is no integer")
        # (agent, session) to the start of its running elevation, in nanoseconds.
        self._running: dict[tuple[str, str], int] = {}
        self._last_seconds = Gauge(ELEVATION_DURATION, "", ("agent_did",))

    def observe(self, event: HypervisorEvent) -> None:
        """Count one ring event."""
        agent, session = event.agent_did or UNKNOWN, event.session_id or UNKNOWN
        if event.event_type == EventType.RING_BREACH_DETECTED:
            self.breaches.increase((agent, session))
            return
        self.transitions.increase((event.event_type.value, agent, session))
        payload = event.payload
        ring = payload.get("to_ring")
        if ring is None:
            ring = payload.get("ring")
        if isinstance(ring, int) and not isinstance(ring, bool):
            self.current.set((agent,), ring)
        elif ring is not None:
            self.invalid.increase()
        if event.event_type == EventType.RING_ELEVATED:
            self._running.setdefault((agent, session), event.timestamp_ns)
            if len(self._running) > MAX_RUNNING:
                # Its end was never seen, or is long in coming: the oldest is given up.
                del self._running[next(iter(self._running))]
        elif event.event_type != EventType.RING_ASSIGNED:
            start_ns = self._running.pop((agent, session), None)
            if start_ns is not None:
                seconds = max(0, event.timestamp_ns - start_ns) / 1e9
                self._last_seconds.set((agent,), seconds)

    def active_seconds(self) -> dict[str, float]:
        """Give how long each agent that is elevated now has been; its longest elevation."""
        now_ns = self._now_ns()
        active: dict[str, float] = {}
        for (agent, _), start_ns in list(self._running.items()):
            seconds = max(0, now_ns - start_ns) / 1e9
            active[agent] = max(seconds, active.get(agent, 0.0))
        return active

    def elevation_seconds(self) -> dict[str, float]:
        """Give each agent's running elevation, else its last finished one, in seconds."""
        finished = {agent: value for (agent,), value in self._last_seconds.series.items()}
        return finished | self.active_seconds()

    def families(self) -> list[MetricFamily]:
        """Give the present state of all ring metrics."""
        return [
            self.transitions.family(),
            self.breaches.family(),
            self.current.family(),
            _gauge(
                ELEVATION_DURATION,
                "Time spent at elevated privilege: running, else the last finished one",
                self.elevation_seconds(),
            ),
            _gauge(
                ELEVATION_ACTIVE,
                "Time spent at elevated privilege so far; absent when not elevated",
                self.active_seconds(),
            ),
            self.invalid.family(),
        ]


def _gauge(name: str, help_text: str, by_agent: dict[str, float]) -> MetricFamily:
    return MetricFamily(
        name=name,
        kind=MetricKind.GAUGE,
        help=help_text,
        unit="seconds",
        label_names=("agent_did",),
        series={(agent,): value for agent, value in by_agent.items()},
    )


class RingMetricsCollector:
    """Ring metrics of one bus, kept by a synchronous subscriber.

    Args:
        bus: Its ring events are counted from now on.
    """

    def __init__(self, bus: HypervisorEventBus) -> None:
        self._metrics = RingMetrics()
        self._events_processed = 0
        self._exported: dict[int, tuple[object, dict[tuple[str, LabelValues], float]]] = {}
        for event_type in RING_TYPES:
            bus.subscribe(event_type, self._handle)

    def collect(self) -> dict[str, Any]:
        """Give a snapshot: metric name to its values.

        Returns:
            Transitions keyed by (event_type, agent_did, session_id), breaches by
            (agent_did, session_id), the current ring and the seconds of elevation by
            agent_did; ``events_processed`` is a plain count.
        """
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
        exported = self._exported_to(exporter)
        for family in self._metrics.families():
            for values, value in list(family.series.items()):
                labels = dict(zip(family.label_names, values, strict=True))
                if family.kind is MetricKind.GAUGE:
                    exporter.set_gauge(family.name, float(value), labels, family.help)
                    continue
                key = (family.name, values)
                added = value - exported.get(key, 0)
                if added:
                    exporter.inc_counter(family.name, float(added), labels, family.help)
                    exported[key] = value

    def reset(self) -> None:
        """Forget everything counted so far."""
        self._metrics = RingMetrics()
        self._events_processed = 0
        self._exported.clear()

    def _handle(self, event: HypervisorEvent) -> None:
        self._events_processed += 1
        self._metrics.observe(event)

    def _exported_to(self, exporter: object) -> dict[tuple[str, LabelValues], float]:
        """Give the totals that *exporter* has seen; forgotten when the exporter goes."""
        key = id(exporter)
        known = self._exported.get(key)
        if known is None:
            exported = self._exported
            try:
                holder: object = weakref.ref(exporter, lambda _: exported.pop(key, None))
            except TypeError:  # cannot be referenced weakly: keep it, so that its id stays its own
                holder = exporter
            known = exported[key] = (holder, {})
        return known[1]
