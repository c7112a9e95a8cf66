"""Observability for governed multi-agent systems: events, causal ids, and plugins.

Importing this package imports the event bus, the causal ids and what builds on them. The
names that need the configuration or plugins are loaded when they are first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .bus.event_bus import HypervisorEventBus
from .bus.subscribers import EventHandler, Subscription
from .causality.causal_trace import CausalTraceId
from .causality.current_trace import current_trace
from .events.event import HypervisorEvent
from .events.event_types import EventType
from .release import RELEASE

if TYPE_CHECKING:
    from .causality.propagation import Propagator
    from .config import Config, DeliveryConfig
    from .delivery.counts import Counts
    from .errors import ConfigError, ObservabilityError, Reject, RetryLater
    from .hookspecs import PluginContext, hookimpl
    from .host.observability import Observability
    from .metrics.families import Exemplar, HistogramValue, MetricFamily, MetricKind
    from .metrics.governance import GovernanceMetrics
    from .metrics.ring_collector import PrometheusExporterProtocol, RingMetricsCollector
    from .recorder import CarryingExecutor, Recorder, carry
    from .spans.record import FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus
    from .spans.sagas import SagaSpanExporter, SagaSpanRecord, SpanSink

__version__ = RELEASE

_LATER = {
    "CarryingExecutor": "recorder",
    "Config": "config",
    "ConfigError": "errors",
    "Counts": "delivery.counts",
    "DeliveryConfig": "config",
    "Exemplar": "metrics.families",
    "FinishedSpan": "spans.record",
    "GovernanceMetrics": "metrics.governance",
    "HistogramValue": "metrics.families",
    "MetricFamily": "metrics.families",
    "MetricKind": "metrics.families",
    "Observability": "host.observability",
    "ObservabilityError": "errors",
    "PluginContext": "hookspecs",
    "PrometheusExporterProtocol": "metrics.ring_collector",
    "Propagator": "causality.propagation",
    "Recorder": "recorder",
    "Reject": "errors",
    "RetryLater": "errors",
    "RingMetricsCollector": "metrics.ring_collector",
    "SagaSpanExporter": "spans.sagas",
    "SagaSpanRecord": "spans.sagas",
    "SpanEvent": "spans.record",
    "SpanKind": "spans.record",
    "SpanLink": "spans.record",
    "SpanSink": "spans.sagas",
    "SpanStatus": "spans.record",
    "carry": "recorder",
    "hookimpl": "hookspecs",
}

__all__ = [
    "CarryingExecutor",
    "CausalTraceId",
    "Config",
    "ConfigError",
    "Counts",
    "DeliveryConfig",
    "EventHandler",
    "EventType",
    "Exemplar",
    "FinishedSpan",
    "GovernanceMetrics",
    "HistogramValue",
    "HypervisorEvent",
    "HypervisorEventBus",
    "MetricFamily",
    "MetricKind",
    "Observability",
    "ObservabilityError",
    "PluginContext",
    "PrometheusExporterProtocol",
    "Propagator",
    "Recorder",
    "Reject",
    "RetryLater",
    "RingMetricsCollector",
    "SagaSpanExporter",
    "SagaSpanRecord",
    "SpanEvent",
    "SpanKind",
    "SpanLink",
    "SpanSink",
    "SpanStatus",
    "Subscription",
    "carry",
    "current_trace",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
