"""Metrics into a ``MeterProvider`` that the application has already."""

import math
import threading
from collections.abc import Mapping
from typing import Protocol

from attrs import define, field
from opentelemetry import metrics

from hypervisor_observability import __version__
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_otel.resource import SCOPE_NAME


class _Gauge(Protocol):
    """What ``create_gauge`` gives; OpenTelemetry has no public name for it."""

    def set(self, amount: float, attributes: Mapping[str, str] | None = None) -> None:
        """Set it."""


@define(eq=False)
class OTelMetricsExporter:
    """What ``RingMetricsCollector.export_to_prometheus`` writes to, over OpenTelemetry.

    Each name becomes an instrument: counters and gauges, with labels as attributes. A value that
    no finite float holds is left out, and told in the log: the provider's exporter would fail
    over it, and push nothing at all. May be used from any thread.

    Attributes:
        provider: Whose instruments they are. None: OpenTelemetry's global one, as it is when
            the first value comes.
    """

    provider: metrics.MeterProvider | None = None
    _counters: dict[str, metrics.Counter] = field(factory=dict, init=False)
    _gauges: dict[str, _Gauge] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _log: LimitedLog = field(factory=lambda: LimitedLog("hypervisor_otel"), init=False)

    def set_gauge(
        self,
        name: str,
        value: float,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        """Set a gauge."""
        if not self._is_writable(name, value):
            return
        with self._lock:
            gauge = self._gauges.get(name)
            if gauge is None:
                gauge = self._meter().create_gauge(name, description=help_text)
                self._gauges[name] = gauge
        gauge.set(value, labels)

    def inc_counter(
        self,
        name: str,
        value: float = 1.0,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        """Add to a counter."""
        if not self._is_writable(name, value):
            return
        with self._lock:
            counter = self._counters.get(name)
            if counter is None:
                counter = self._meter().create_counter(name, description=help_text)
                self._counters[name] = counter
        counter.add(value, labels)

    def _is_writable(self, name: str, value: float) -> bool:
        try:
            finite = math.isfinite(value)
        except OverflowError:  # an integer beyond any float
            finite = False
        if not finite:
            self._log.warning("not finite", "left out a value that is not finite: %s", name)
        return finite

    def _meter(self) -> metrics.Meter:
        return metrics.get_meter(SCOPE_NAME, __version__, self.provider)
