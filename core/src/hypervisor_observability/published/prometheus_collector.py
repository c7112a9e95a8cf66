"""Ring metrics, as ``hypervisor.observability.prometheus_collector``."""

from hypervisor_observability.metrics.ring_collector import (
    PrometheusExporterProtocol,
    RingMetricsCollector,
)
from hypervisor_observability.metrics.rings import (
    BREACHES,
    CURRENT,
    ELEVATION_DURATION,
    TRANSITIONS,
)

METRIC_RING_TRANSITIONS_TOTAL = TRANSITIONS
METRIC_RING_BREACHES_TOTAL = BREACHES
METRIC_RING_CURRENT = CURRENT
METRIC_RING_ELEVATION_DURATION = ELEVATION_DURATION

__all__ = [
    "METRIC_RING_BREACHES_TOTAL",
    "METRIC_RING_CURRENT",
    "METRIC_RING_ELEVATION_DURATION",
    "METRIC_RING_TRANSITIONS_TOTAL",
    "PrometheusExporterProtocol",
    "RingMetricsCollector",
]
