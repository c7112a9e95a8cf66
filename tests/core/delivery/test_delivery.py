"""Workers: what they deliver, in which order, and when they run."""

import threading
import time

import pytest

from hypervisor_observability import (
    EventType,
    HypervisorEventBus,
    RetryLater,
)
from tests.core.delivery.workers import Outlet, adds_up, emit, flushed, make_worker, stopped
from tests.waiting import wait_until


def test_every_event_is_delivered_once_in_order_in_bounded_batches() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("events")
    worker = make_worker(bus, outlet, max_batch_events=100)

    emit(bus, 1_050)

    assert flushed(worker, bus)
    assert outlet.events == bus.all_events
    assert max(outlet.batches) <= 100
    assert worker.account.counts().delivered == 1_050
    assert stopped(worker)
    assert outlet.stops == 1


def test_no_thread_runs_before_it_is_needed(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, outlet := Outlet("events"))

    assert not worker.running
    assert flushed(worker, bus)
    assert not worker.running
    assert stopped(worker)
    assert outlet.stops == 1
    worker.ensure_running()
    assert not worker.running


def test_full_batch_wakes_the_worker_before_its_interval() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("events")
    worker = make_worker(bus, outlet, interval_seconds=60, max_batch_events=10)
    bus.log.on_drain(worker.note_end)
    worker.ensure_running()

    emit(bus, 2_048)

    deadline = time.monotonic() + 10
    while len(outlet.events) < 1_024 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(outlet.events) >= 1_024
    assert stopped(worker)


@pytest.mark.fault("C22")
def test_thread_that_is_refused_is_asked_for_again(
    bus: HypervisorEventBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker(bus, Outlet("events"))
    real = threading.Thread.start
    refusals = iter([True, True])

    def start(thread: threading.Thread) -> None:
        if next(refusals, False):
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr("hypervisor_observability.delivery.worker._START_AGAIN_SECONDS", 0.05)
    emit(bus, 1)

    assert not worker.ensure_running()
    assert not worker.ensure_running()
    assert "waits for a thread: can't start new thread" in caplog.text
    wait_until(worker.ensure_running)
    assert flushed(worker, bus)
    assert stopped(worker)


def test_stop_without_a_thread_to_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    worker = make_worker(HypervisorEventBus(), Outlet("events"))

    assert not stopped(worker)
    assert "is not stopped: can't start new thread" in caplog.text


def test_stop_ends_a_wait_for_a_retry_and_counts_what_was_left(bus: HypervisorEventBus) -> None:
    def never(_: object) -> None:
        raise RetryLater("still down", after=3_600)

    worker = make_worker(bus, Outlet("events", answer=never))
    emit(bus, 5)
    worker.ensure_running()
    wait_until(lambda: worker.account.counts().in_flight)

    assert not flushed(worker, bus, timeout=0.05)
    assert stopped(worker)
    counts = worker.account.counts()
    assert counts.dropped == {"stopped": 5}
    assert adds_up(counts)


def test_events_after_the_stop_are_counted_as_dropped(bus: HypervisorEventBus) -> None:
    worker = make_worker(bus, Outlet("events"))
    emit(bus, 1)
    worker.ensure_running()
    assert stopped(worker)

    emit(bus, 2)

    counts = worker.account.counts()
    assert (counts.delivered, counts.dropped, counts.pending) == (1, {"stopped": 2}, 0)


def test_unwanted_types_are_counted_as_filtered() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("events")
    worker = make_worker(bus, outlet, wanted=lambda name: name.startswith("ring."))
    emit(bus, 3)
    emit(bus, 2, EventType.RING_ASSIGNED)

    assert flushed(worker, bus)
    assert [event.event_type for event in outlet.events] == [EventType.RING_ASSIGNED] * 2
    assert worker.account.counts().dropped == {"filtered": 3}
    assert stopped(worker)


def test_spans_of_a_batch_reach_an_outlet_that_takes_them() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("spans")
    worker = make_worker(bus, outlet)
    bus.record(EventType.SAGA_CREATED, payload={"saga_id": "s"})
    assert flushed(worker, bus)
    assert worker.state.spans.counts.open == 1
    bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "s"})

    assert flushed(worker, bus)
    assert [span.name for span in outlet.spans] == ["saga"]
    assert worker.account.counts().delivered == 2
    stopped(worker)
