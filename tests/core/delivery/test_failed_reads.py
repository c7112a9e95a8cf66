"""A stream that cannot be read: a worker waits, and nothing else happens."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.bus.log import EventLog, Reading
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.metrics_feed import MetricsFeed
from hypervisor_observability.delivery.outlet import Terms
from hypervisor_observability.delivery.parts import WHOLE
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.metrics.labels import LabelRules
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.spans.record import FinishedSpan

WaitUntil = Callable[..., None]


class FailingSource:
    """A log that can be kept from being read."""

    def __init__(self, events: int) -> None:
        self.log = EventLog(10_000, 1 << 24)
        self.failing = False
        self.failed = 0
        self.emit(events)

    def emit(self, events: int) -> None:
        for _ in range(events):
            self.log.stage(HypervisorEvent(event_type=EventType.VFS_WRITE))

    @property
    def bounds(self) -> tuple[int, int]:
        self._fail()
        return self.log.bounds

    def read(self, position: int, max_events: int) -> Reading:
        self._fail()
        return self.log.read(position, max_events)

    def _fail(self) -> None:
        if self.failing:
            self.failed += 1
            raise StreamUnavailableError("the store", OSError(24, "Too many open files", "x"))


class Outlet:
    takes_events = True
    takes_metrics = False

    def __init__(self, *, takes_spans: bool = False) -> None:
        self.takes_spans = takes_spans
        self.events: list[HypervisorEvent] = []

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.events += events

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        raise AssertionError("it takes no spans")

    def export_metrics(self, metrics: Sequence[object]) -> None:
        raise AssertionError("it takes no metrics")

    def flush(self) -> None:
        pass

    def stop(self) -> None:
        pass


def make_worker(stream: FailingSource) -> tuple[Worker, Outlet]:
    outlet = Outlet()
    account = Account(stream)
    return Worker("p", outlet, account, Terms(interval_seconds=0.01)), outlet


def test_worker_waits_for_a_source_that_cannot_be_read(
    wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    stream = FailingSource(10)
    worker, outlet = make_worker(stream)
    worker.ensure_running()
    wait_until(lambda: len(outlet.events) == 10)
    assert worker.account.counts().pending == 0
    stream.failing = True
    stream.emit(5)
    wait_until(lambda: stream.failed >= 3)

    counts = worker.account.counts()
    assert (worker.down, counts.emitted, counts.delivered) == (None, 10, 10)
    assert counts.dropped == {}
    assert "plugin p waits" in caplog.text
    assert "the store: Too many open files" in caplog.text
    assert caplog.text.count("plugin p waits") == 1
    stream.failing = False
    wait_until(lambda: len(outlet.events) == 15)
    counts = worker.account.counts()
    assert (counts.emitted, counts.delivered, counts.pending) == (15, 15, 0)
    worker.begin_stop(time.monotonic() + 60)
    assert worker.end_stop()


def test_flush_outlasts_a_source_that_cannot_be_read(wait_until: WaitUntil) -> None:
    stream = FailingSource(10)
    worker, outlet = make_worker(stream)
    stream.failing = True
    request = worker.begin_flush(10)
    wait_until(lambda: stream.failed >= 3)
    assert not worker.end_flush(request, 0.0)
    stream.failing = False

    assert worker.end_flush(request, 60.0)
    assert len(outlet.events) == 10
    worker.begin_stop(time.monotonic() + 60)
    assert worker.end_stop()


def test_stop_does_not_wait_for_a_source_and_counts_what_it_leaves() -> None:
    stream = FailingSource(10)
    worker, outlet = make_worker(stream)
    assert worker.account.counts().pending == 10
    stream.failing = True
    worker.begin_stop(time.monotonic() + 60)

    assert worker.end_stop()
    assert outlet.events == []
    stream.failing = False
    assert worker.account.counts().dropped == {"stopped": 10}


class SavingCursor:
    """A cursor with something saved, which may not be readable."""

    start = skipped = 0
    defers = True

    def __init__(self, saved: Mapping[str, Any] | None = None, *, readable: bool = True) -> None:
        self.saved = saved
        self.readable = readable
        self.commits: list[int] = []

    @property
    def state(self) -> Mapping[str, Any] | None:
        if not self.readable:
            raise StreamUnavailableError("cursor", "nobody answers")
        return self.saved

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        return iter(())

    def commit(self, position: int, _state: object, *, last: bool) -> None:
        assert isinstance(last, bool)
        self.commits.append(position)

    def begin_anew_after_fork(self) -> None:
        pass


def test_what_was_saved_stays_where_it_could_not_be_read_to_the_end() -> None:
    """A worker that never went on from its open spans has none to save in their place."""
    cursor = SavingCursor({"version": 3}, readable=False)
    stream = FailingSource(10)
    worker = Worker(
        "p", Outlet(takes_spans=True), Account(stream, cursor), Terms(interval_seconds=0.01)
    )
    worker.begin()
    worker.ensure_running()
    worker.begin_stop(time.monotonic() + 60)

    assert worker.end_stop()
    assert cursor.commits == []
    assert worker.account.counts().dropped == {"deferred": 10}


def test_child_of_a_fork_goes_on_with_none_of_the_parents_spans() -> None:
    """Whatever the cursor says of what was saved: it is the parent's."""
    account = Account(FailingSource(0), SavingCursor({"version": 3}))
    assert account.parts.state_of(WHOLE) is not None
    account.begin_anew()
    assert account.parts.state_of(WHOLE) is None


def test_metrics_that_cannot_catch_up_are_served_but_cover_nothing() -> None:
    stream = FailingSource(10)

    feed = MetricsFeed(stream, MetricsRegistry(LabelRules()), cursor=SavingCursor())
    stream.failing = True

    assert feed.collect_at(0, 0.1) is None
    assert feed.collect() is not None
    stream.failing = False
    assert feed.collect_at(0, 60.0) is not None
    assert feed.account.counts().delivered == 10
