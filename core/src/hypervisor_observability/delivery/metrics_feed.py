"""The internal reader that feeds the metrics, and through which everybody reads them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..bus.stream import Cursor, EventStream
from ..errors import StreamUnavailableError
from ..events.event import HypervisorEvent
from ..metrics.families import MetricFamily
from ..spans.record import FinishedSpan
from .accounts import Account
from .outlet import Terms, unchanged
from .parts import Parts
from .worker import Worker

SCRAPE_SECONDS = 0.1
"""Longest time for which somebody who asks for metrics lets them catch up."""


class Registry(Protocol):
    """Where events are counted. The registry of a process is one; a fleet's another."""

    def observe(self, events: Sequence[HypervisorEvent]) -> None:
        """Count *events*."""

    def collect(self) -> list[MetricFamily]:
        """Give all families that have series."""

    def begin_anew(self) -> None:
        """Count from nothing, in a fork's child."""


class _RegistryOutlet:
    """The registry, as a worker sees it."""

    takes_events = True
    takes_spans = False
    takes_metrics = False

    def __init__(self, registry: Registry) -> None:
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
        stream: Where events come from.
        registry: Where they are counted.
        cursor: Where to begin; None: at 0, and nothing is saved.
        parts: The parts of a stream that is read by parts; None: it is one part.
        state: Gives what is saved along with the cursor.
        take_parts: Restores in the registry what was saved of new parts.
        interval_seconds: Longest time an event waits before it is counted.
        admit: Takes from an event what may not leave the process.
    """

    def __init__(
        self,
        stream: EventStream,
        registry: Registry,
        *,
        cursor: Cursor | None = None,
        parts: Parts | None = None,
        state: Callable[[], Mapping[str, Any] | None] | None = None,
        take_parts: Callable[[], object] | None = None,
        interval_seconds: float = 0.2,
        admit: Callable[[HypervisorEvent], HypervisorEvent] = unchanged,
    ) -> None:
        self._stream = stream
        self._registry = registry
        # Positions of others are positions here, unless each reader has a stream of its own.
        self._shared = cursor is None
        self.account = Account(stream, cursor, parts)
        self.worker = Worker(
            "metrics",
            _RegistryOutlet(registry),
            self.account,
            Terms(
                interval_seconds=interval_seconds,
                admit=admit,
                state=state,
                take_parts=take_parts,
                ends=False,
            ),
        )

    def begin_anew_after_fork(self) -> None:
        """Count from nothing: what was counted is the parent's."""
        self._registry.begin_anew()
        self.worker.begin_anew_after_fork()

    def collect(self) -> list[MetricFamily]:
        """Count what was emitted until now, for at most 100 ms, and give all families."""
        self.worker.catch_up(self.account.end, SCRAPE_SECONDS)
        return self._registry.collect()

    def collect_at(self, position: int, timeout: float) -> list[MetricFamily] | None:
        """Give the families with every event before *position* counted; None if that took
        longer than *timeout* seconds.
        """
        if not self._shared:
            try:
                position = self._stream.bounds[1]
            except StreamUnavailableError:
                return None  # nobody can say what would be covered
        return self._registry.collect() if self.worker.catch_up(position, timeout) else None
