"""All metrics of a process: fed with events by one reader, read by whoever asks."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..events import HypervisorEvent
from .activity import EventCounts, SagaCounts
from .families import MetricFamily
from .governance import GovernanceCounts
from .rings import RingMetrics


class Meter(Protocol):
    """Something that counts events of certain types and gives metric families."""

    @property
    def event_types(self) -> Iterable[str] | None:
        """The types that it observes; None: all."""

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of these types."""

    def families(self) -> list[MetricFamily]:
        """Give the present state."""


def _shipped_meters() -> Sequence[Meter]:
    return (EventCounts(), RingMetrics(), SagaCounts(), GovernanceCounts())


class MetricsRegistry:
    """The meters, behind one lock.

    Args:
        meters: What counts; the shipped ones where nothing is given.
    """

    def __init__(self, meters: Sequence[Meter] | None = None) -> None:
        self._callbacks: list[Callable[[], list[MetricFamily]]] = []
        self._begin(_shipped_meters() if meters is None else meters)

    def _begin(self, meters: Sequence[Meter]) -> None:
        self._meters = tuple(meters)
        self._lock = threading.Lock()
        self._all = tuple(meter.observe for meter in self._meters if meter.event_types is None)
        self._observers: dict[str, tuple[Callable[[HypervisorEvent], None], ...]] = {}
        for meter in self._meters:
            for event_type in meter.event_types or ():
                known = self._observers.get(event_type, self._all)
                self._observers[event_type] = (*known, meter.observe)

    def begin_anew(self) -> None:
        """Count from nothing with the shipped meters, in a fork's child."""
        self._begin(_shipped_meters())

    def observe(self, events: Sequence[HypervisorEvent]) -> None:
        """Count *events*."""
        with self._lock:
            for event in events:
                for observer in self._observers.get(event.event_type, self._all):
                    observer(event)

    def add_callback(self, callback: Callable[[], list[MetricFamily]]) -> None:
        """Ask *callback* for further families whenever metrics are read."""
        self._callbacks.append(callback)

    def collect(self) -> list[MetricFamily]:
        """Give all families that have series."""
        with self._lock:
            families = [family for meter in self._meters for family in meter.families()]
        for callback in self._callbacks:
            families.extend(callback())
        return [family for family in families if family.series or family.histograms]
