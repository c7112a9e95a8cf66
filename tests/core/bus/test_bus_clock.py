"""A step of the wall clock is followed and told; it holds up no emit."""

import logging
import threading
import time

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events import clock
from hypervisor_observability.events.event_types import EventType
from tests.waiting import wait_until

RING = EventType.RING_ASSIGNED


@pytest.fixture
def real_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.follow_wall_clock()
    monkeypatch.setattr(clock, "utc_offset_ns", clock.utc_offset_ns)  # put back afterwards


@pytest.mark.fault("C16")
@pytest.mark.parametrize("step_seconds", [3_600, -3_600])
def test_step_of_the_wall_clock_is_followed_told_and_counted_and_is_no_event(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    real_offset: None,
    step_seconds: int,
) -> None:
    bus, told = HypervisorEventBus(), list[float]()
    bus.on_clock_step(lambda _: 1 / 0)
    bus.on_clock_step(told.append)
    before = bus.record(RING)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_seconds * 10**9)
    assert bus.event_count == 1
    after = bus.record(RING)

    assert bus.clock_steps == 1
    assert bus.all_events == [before, after]
    moved = (after.timestamp - before.timestamp).total_seconds()
    assert moved == pytest.approx(step_seconds, abs=60)
    wait_until(lambda: told)
    assert told == [pytest.approx(step_seconds, abs=1)]
    assert "the wall clock was stepped by" in caplog.text


@pytest.mark.fault("C16")
def test_handler_of_the_log_that_hangs_holds_up_no_emit_after_a_step(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    go = threading.Event()

    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go.wait(60)

    handler = Stuck()
    logging.getLogger("hypervisor_observability").addHandler(handler)
    bus = HypervisorEventBus()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
    try:
        for _ in range(5_000):
            bus.record(RING)
        assert bus.event_count == 5_000
        assert bus.clock_steps == 1
    finally:
        go.set()
        logging.getLogger("hypervisor_observability").removeHandler(handler)


@pytest.mark.fault("C16")
def test_each_bus_of_a_process_counts_a_step(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    first, second = HypervisorEventBus(), HypervisorEventBus()
    first.record(RING), second.record(RING)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
    assert (first.event_count, second.event_count) == (1, 1)
    assert (first.clock_steps, second.clock_steps) == (1, 1)
    assert HypervisorEventBus().clock_steps == 0


@pytest.mark.fault("C16")
def test_clock_that_steps_at_every_look_does_not_hold_up_the_bus(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    now = time.time_ns()

    def leap() -> int:
        nonlocal now
        now += 3_600 * 10**9
        return now

    monkeypatch.setattr(time, "time_ns", leap)
    bus = HypervisorEventBus()
    for _ in range(3_000):
        bus.record(RING)

    assert bus.event_count == 3_000
    assert bus.clock_steps >= 1
