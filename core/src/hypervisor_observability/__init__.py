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
    from .errors import ConfigError, ObservabilityError, Reject, RetryLater, StrictWarning
    from .hookspecs import PluginContext, hookimpl
    from .host.observability import Observability
    from .metrics.families import Exemplar, HistogramValue, MetricFamily, MetricKind
    from .metrics.governance import GovernanceMetrics
    from .metrics.ring_collector import PrometheusExporterProtocol, RingMetricsCollector
    from .recorder import CarryingExecutor, Recorder, carry
    from .sources import SourceContext
    from .spans.record import FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus
    from .spans.sagas import SagaSpanExporter, SagaSpanRecord, SpanSink

__version__ = RELEASE

_LATER = {
    "causality.propagation": ("Propagator",),
    "config": ("Config", "DeliveryConfig"),
    "delivery.counts": ("Counts",),
    "errors": ("ConfigError", "ObservabilityError", "Reject", "RetryLater", "StrictWarning"),
    "hookspecs": ("PluginContext", "hookimpl"),
    "host.observability": ("Observability",),
    "metrics.families": ("Exemplar", "HistogramValue", "MetricFamily", "MetricKind"),
    "metrics.governance": ("GovernanceMetrics",),
    "metrics.ring_collector": ("PrometheusExporterProtocol", "RingMetricsCollector"),
    "recorder": ("CarryingExecutor", "Recorder", "carry"),
    "sources": ("SourceContext",),
    "spans.record": ("FinishedSpan", "SpanEvent", "SpanKind", "SpanLink", "SpanStatus"),
    "spans.sagas": ("SagaSpanExporter", "SagaSpanRecord", "SpanSink"),
}
"""Modules, and the names that are loaded from them when they are first used."""

_MODULES = {name: module for module, names in _LATER.items() for name in names}

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
    "SourceContext",
    "SpanEvent",
    "SpanKind",
    "SpanLink",
    "SpanSink",
    "SpanStatus",
    "StrictWarning",
    "Subscription",
    "carry",
    "current_trace",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
