"""Fixtures for pytest.

Turn them on in a ``conftest.py``, by name::

    pytest_plugins = ["hypervisor_observability.testing.fixtures"]

Nothing is turned on by installing this package, and only this module imports pytest.
"""

from collections.abc import Iterator, Sequence

import pytest

from ..bus.event_bus import HypervisorEventBus
from ..events.event import HypervisorEvent
from ..hookspecs import PluginContext
from ..metrics.families import MetricFamily
from ..metrics.registry import MetricsRegistry
from ..recorder import Recorder
from ..spans.assembly import SpanAssembler
from ..spans.record import FinishedSpan
from .http_receiver import HTTPReceiver
from .otlp_receiver import OTLPReceiver
from .plugin_contexts import KnownMetrics, context_for
from .plugin_samples import sample_saga
from .udp_receiver import UDPReceiver


@pytest.fixture
def recording_bus() -> HypervisorEventBus:
    """A bus of its own. ``recording_bus.all_events`` has what was emitted."""
    return HypervisorEventBus()


@pytest.fixture
def recorder(recording_bus: HypervisorEventBus) -> Recorder:
    """A recorder that writes to ``recording_bus``."""
    return Recorder(recording_bus)


@pytest.fixture
def sample_events() -> Sequence[HypervisorEvent]:
    """The events of an agent in a session, and of a saga whose second step fails."""
    bus = HypervisorEventBus()
    sample_saga(Recorder(bus))
    return bus.all_events


@pytest.fixture
def sample_spans(sample_events: Sequence[HypervisorEvent]) -> Sequence[FinishedSpan]:
    """The spans of ``sample_events``."""
    assembler = SpanAssembler()
    return [span for event in sample_events for span in assembler.feed(event)]


@pytest.fixture
def sample_metrics(sample_events: Sequence[HypervisorEvent]) -> Sequence[MetricFamily]:
    """The metrics after ``sample_events``."""
    registry = MetricsRegistry()
    registry.observe(sample_events)
    return registry.collect()


@pytest.fixture
def plugin_context(sample_metrics: Sequence[MetricFamily]) -> PluginContext:
    """What a plugin's ``start`` gets. Its ``metrics.collect()`` gives ``sample_metrics``."""
    return context_for("plugin", KnownMetrics(sample_metrics))


@pytest.fixture
def http_receiver() -> Iterator[HTTPReceiver]:
    """An HTTP server on loopback, which fails within ``http_receiver.failing(Fault.SILENT)``."""
    with HTTPReceiver() as receiver:
        yield receiver


@pytest.fixture
def otlp_receiver() -> Iterator[OTLPReceiver]:
    """An OTLP/HTTP receiver on loopback. It needs no package of OpenTelemetry."""
    with OTLPReceiver() as receiver:
        yield receiver


@pytest.fixture
def udp_receiver() -> Iterator[UDPReceiver]:
    """A UDP socket on loopback that keeps datagrams."""
    with UDPReceiver() as receiver:
        yield receiver
