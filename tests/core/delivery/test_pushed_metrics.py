"""Metrics that are pushed: what is delivered with them, and when."""

import time
from collections.abc import Sequence

from hypervisor_observability import (
    HypervisorEventBus,
    MetricFamily,
)
from hypervisor_observability.delivery.metrics_feed import MetricsFeed
from hypervisor_observability.metrics.activity import EVENTS
from hypervisor_observability.metrics.registry import MetricsRegistry
from tests.core.delivery.workers import Outlet, emit, flushed, make_worker, pushed, raising, stopped


def series_of(name: str, families: Sequence[MetricFamily]) -> dict[tuple[str, ...], float]:
    (found,) = [family for family in families if family.name == name]
    return {labels: value for labels, value in found.series.items() if value}


def test_event_is_delivered_when_a_push_of_metrics_holds_it() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("metrics")
    worker = pushed(bus, outlet, metrics_interval_seconds=3_600)
    emit(bus, 2)
    assert flushed(worker, bus)
    emit(bus, 3)
    while worker.account.counts().in_flight < 3:
        time.sleep(0.001)
    assert worker.account.counts().delivered == 2

    assert flushed(worker, bus)

    assert worker.account.counts().delivered == 5
    assert series_of(EVENTS, outlet.metrics[-1]) == {("vfs.write",): 5}
    stopped(worker)


def test_push_that_fails_is_made_good_by_the_next_one() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("metrics", answer=raising(*[OSError("gone")] * 2))
    worker = pushed(bus, outlet, metrics_interval_seconds=3_600)
    emit(bus, 2)

    assert not flushed(worker, bus)
    assert worker.account.counts().in_flight == 2
    assert flushed(worker, bus)
    assert worker.account.counts().delivered == 2
    stopped(worker)


def test_events_whose_push_never_succeeded_are_counted_at_stop(bus: HypervisorEventBus) -> None:
    def never(_: object) -> None:
        raise OSError("gone")

    worker = pushed(bus, Outlet("metrics", answer=never))
    emit(bus, 2)
    worker.ensure_running()

    assert stopped(worker)
    assert worker.account.counts().dropped == {"stopped": 2}


def test_metrics_are_not_pushed_before_they_caught_up() -> None:
    class Late:
        def collect_at(self, position: int, timeout: float) -> None:
            return None

    bus, outlet = HypervisorEventBus(), Outlet("metrics")
    worker = make_worker(bus, outlet, metrics=Late())
    emit(bus, 1)

    assert not flushed(worker, bus)
    assert outlet.metrics == []
    stopped(worker)


def test_reading_metrics_counts_what_was_just_emitted_without_a_thread() -> None:
    bus = HypervisorEventBus()
    feed = MetricsFeed(bus.log, MetricsRegistry())
    emit(bus, 3)

    assert series_of(EVENTS, feed.collect()) == {("vfs.write",): 3}
    assert not feed.worker.running
    assert series_of(EVENTS, feed.collect_at(3, 1) or ()) == {("vfs.write",): 3}
