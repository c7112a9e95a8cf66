"""A worker over a bus, and what it hands events to."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from hypervisor_observability import (
    Counts,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    MetricFamily,
)
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.metrics_feed import MetricsFeed
from hypervisor_observability.delivery.outlet import Terms
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.metrics.registry import MetricsRegistry

Answer = Callable[[Sequence[Any]], object]


class Outlet:
    """Remembers what it was given; *answer* gets it first, and may raise."""

    def __init__(self, *takes: str, answer: Answer = lambda _: None) -> None:
        self.takes_events = "events" in takes
        self.takes_spans = "spans" in takes
        self.takes_metrics = "metrics" in takes
        self.answer = answer
        self.events: list[HypervisorEvent] = []
        self.batches: list[int] = []
        self.spans: list[FinishedSpan] = []
        self.metrics: list[Sequence[MetricFamily]] = []
        self.flushes = 0
        self.stops = 0
        self._inside = threading.Lock()

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        assert self._inside.acquire(blocking=False), "two hooks at once"
        try:
            self.answer(events)
            self.events += events
            self.batches.append(len(events))
        finally:
            self._inside.release()

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        if not self.takes_events:
            self.answer(spans)
        self.spans += spans

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        self.answer(metrics)
        self.metrics.append(metrics)

    def flush(self) -> None:
        self.flushes += 1

    def stop(self) -> None:
        self.stops += 1


class Stuck(Outlet):
    """Hangs in *hook* until it is released, if it is to."""

    def __init__(self, hook: str = "export_events", *, hangs: bool = True) -> None:
        super().__init__("events")
        self.hangs = hangs
        self.release = threading.Event()
        self.entered = threading.Event()
        self.started = 0
        go_on = getattr(self, hook)

        def hang(*given: Any) -> None:
            self.entered.set()
            if self.hangs:
                self.release.wait(60)
            go_on(*given)

        setattr(self, hook, hang)

    def start(self) -> None:
        self.started += 1


def raising(*errors: BaseException | None) -> Callable[..., None]:
    """Raise one error a call, then no more."""
    left = list(errors)

    def answer(*_: object) -> None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error

    return answer


def make_worker(
    bus: HypervisorEventBus, outlet: Any, *, cursor: Any = None, **options: Any
) -> Worker:
    """Make a worker on the *options* of ``Terms``."""
    terms = Terms(**{"interval_seconds": 0.01, **options})
    return Worker("test", outlet, Account(bus.log, cursor), terms)


def pushed(bus: HypervisorEventBus, outlet: Outlet, **options: Any) -> Worker:
    """Make a worker that pushes metrics of what *bus* holds."""
    feed = MetricsFeed(bus.log, MetricsRegistry())
    return make_worker(bus, outlet, metrics=feed, **options)


def emit(bus: HypervisorEventBus, count: int, event_type: EventType = EventType.VFS_WRITE) -> None:
    for _ in range(count):
        bus.record(event_type)


def flushed(worker: Worker, bus: HypervisorEventBus, timeout: float = 30) -> bool:
    """Whether everything that was emitted has been delivered."""
    return worker.end_flush(worker.begin_flush(bus.emitted), timeout)


def stopped(worker: Worker, timeout: float = 30) -> bool:
    """Stop the worker; whether that was done in time."""
    worker.begin_stop(time.monotonic() + timeout)
    return worker.end_stop()


def adds_up(counts: Counts) -> bool:
    """Whether every event that was emitted is counted once."""
    known = counts.delivered + counts.rejected + counts.dropped_total
    return counts.emitted == known + counts.in_flight + counts.pending
