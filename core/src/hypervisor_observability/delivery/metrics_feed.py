"""The internal reader that feeds the metrics, and through which everybody reads them."""

from collections.abc import Callable, Sequence

from ..events import HypervisorEvent
from ..metrics.families import MetricFamily
from ..metrics.registry import MetricsRegistry
from ..sources import Source
from ..spans.record import FinishedSpan
from .accounts import Account
from .outlet import Terms, unchanged
from .worker import Worker

SCRAPE_SECONDS = 0.1
"""Longest time for which somebody who asks for metrics lets them catch up."""


class _RegistryOutlet:
    """The registry, as a worker sees it."""

    takes_events = True
    takes_spans = False
    takes_metrics = False

    def __init__(self, registry: MetricsRegistry) -> None:
        self.export_events = registry.observe

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Never called: see ``takes_spans``."""

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Never called: see ``takes_metrics``."""

    def flush(self) -> None:
        """Nothing is held back."""

    def stop(self) -> None:
        """Nothing to let go of."""


class MetricsFeed:
    """Count events into a registry, in a thread of its own or in that of who asks.

    Args:
        source: Where events come from.
        registry: Where they are counted.
        interval_seconds: Longest time an event waits before it is counted.
        admit: Takes from an event what may not leave the process.
    """

    def __init__(
        self,
        source: Source,
        registry: MetricsRegistry,
        *,
        interval_seconds: float = 0.2,
        admit: Callable[[HypervisorEvent], HypervisorEvent] = unchanged,
    ) -> None:
        self._source = source
        self._registry = registry
        self.account = Account(source)
        self.worker = Worker(
            "metrics",
            _RegistryOutlet(registry),
            self.account,
            Terms(interval_seconds=interval_seconds, admit=admit),
        )

    def begin_anew_after_fork(self) -> None:
        """Count from nothing: what was counted is the parent's."""
        self._registry.begin_anew()
        self.worker.begin_anew_after_fork()

    def collect(self) -> list[MetricFamily]:
        """Count what was emitted until now, for at most 100 ms, and give all families."""
        self.worker.catch_up(self._source.bounds[1], SCRAPE_SECONDS)
        return self._registry.collect()

    def collect_at(self, position: int, timeout: float) -> list[MetricFamily] | None:
        """Give the families with every event before *position* counted; None if that took
        longer than *timeout* seconds.
        """
        return self._registry.collect() if self.worker.catch_up(position, timeout) else None
