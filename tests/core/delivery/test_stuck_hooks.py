"""A hook that hangs: a fresh instance takes over, flush and stop answer in time."""

import threading
import time

import pytest

from hypervisor_observability import (
    HypervisorEventBus,
)
from tests.core.delivery.workers import Outlet, Stuck, adds_up, emit, flushed, make_worker, stopped
from tests.waiting import wait_until


@pytest.mark.fault("C4")
def test_fresh_instance_takes_over_from_one_that_hangs(bus: HypervisorEventBus) -> None:
    stuck, fresh = Stuck(), Stuck(hangs=False)
    worker = make_worker(
        bus,
        stuck,
        hook_timeout_seconds=0.05,
        renewed=lambda: fresh,
        start=lambda outlet: outlet.start(),
    )
    emit(bus, 3)
    worker.ensure_running()
    assert stuck.entered.wait(30)
    assert not worker.replace_if_stuck()
    wait_until(worker.replace_if_stuck)
    emit(bus, 4)

    assert not flushed(worker, bus)  # three are in doubt
    emit(bus, 1)
    assert flushed(worker, bus)
    counts = worker.account.counts()
    assert (counts.delivered, counts.dropped) == (5, {"in_doubt": 3})
    assert worker.outlet is fresh
    assert fresh.started == 1
    stuck.release.set()
    assert stopped(worker)
    assert (stuck.flushes, stuck.stops, fresh.stops) == (0, 0, 1)
    assert worker.account.counts() == counts


@pytest.mark.fault("C4")
def test_plugin_that_hangs_again_is_turned_off(bus: HypervisorEventBus) -> None:
    outlets = [Stuck(), Stuck()]
    worker = make_worker(
        bus, outlets[0], hook_timeout_seconds=0.05, renewed=lambda: outlets[1], max_batch_events=2
    )
    emit(bus, 5)
    worker.ensure_running()
    wait_until(worker.replace_if_stuck)
    assert outlets[1].entered.wait(30)
    wait_until(lambda: worker.replace_if_stuck() or worker.down)

    assert worker.down == "export_events has not returned within 0.05 s (time 2)"
    counts = worker.account.counts()
    assert counts.dropped == {"in_doubt": 4, "down": 1}
    assert adds_up(counts)
    for outlet in outlets:
        outlet.release.set()


@pytest.mark.parametrize("answer", [None, ZeroDivisionError("bad")])
def test_plugin_that_hangs_and_cannot_be_made_anew_is_turned_off(
    bus: HypervisorEventBus, answer: Exception | None
) -> None:
    stuck = Stuck("flush")

    def renewed() -> Outlet:
        assert answer is not None
        raise answer

    options = {} if answer is None else {"renewed": renewed}
    worker = make_worker(bus, stuck, hook_timeout_seconds=0.02, **options)
    emit(bus, 5)
    request = worker.begin_flush(5)
    wait_until(lambda: worker.replace_if_stuck() or worker.down)

    assert worker.down is not None
    assert worker.down.startswith("flush has not returned within 0.02 s")
    assert not worker.end_flush(request, 0.05)
    assert worker.account.counts().delivered == 5
    stuck.release.set()


def test_fresh_instance_that_cannot_start_turns_the_plugin_off(bus: HypervisorEventBus) -> None:
    stuck = Stuck()

    def start(_: object) -> None:
        raise OSError("port taken")

    worker = make_worker(
        bus, stuck, hook_timeout_seconds=0.02, renewed=lambda: Outlet("events"), start=start
    )
    emit(bus, 1)
    worker.ensure_running()
    wait_until(worker.replace_if_stuck)
    wait_until(lambda: worker.down)

    assert worker.down == "OSError: port taken"
    stuck.release.set()


def test_nothing_is_given_up_while_stopping(bus: HypervisorEventBus) -> None:
    stuck = Stuck("stop")
    worker = make_worker(bus, stuck, hook_timeout_seconds=0.01, renewed=lambda: Outlet("events"))
    emit(bus, 1)
    assert not stopped(worker, 0.2)

    assert not worker.replace_if_stuck()
    stuck.release.set()


def test_flush_and_stop_answer_in_time_when_a_hook_hangs() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    outlet = Outlet("events", answer=lambda _: release.wait(30))
    worker = make_worker(bus, outlet)
    emit(bus, 4)
    worker.ensure_running()

    begun = time.monotonic()
    assert not flushed(worker, bus, timeout=0.1)
    assert not stopped(worker, timeout=0.1)
    assert time.monotonic() - begun < 20
    counts = worker.account.counts()
    assert (counts.dropped, counts.in_flight, counts.delivered) == ({"in_doubt": 4}, 0, 0)
    assert adds_up(counts)
    release.set()
    wait_until(lambda: not worker.running)
    assert worker.account.counts() == counts  # an answer that late changes nothing


def test_catching_up_waits_for_what_another_thread_has_in_its_hands() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    worker = make_worker(bus, Outlet("events", answer=lambda _: release.wait(30)))
    emit(bus, 1)
    worker.ensure_running()
    wait_until(lambda: worker.account.counts().in_flight)

    assert not worker.catch_up(1, 0.05)
    release.set()
    assert worker.catch_up(1, 30)
    assert worker.account.counts().delivered == 1
    assert stopped(worker)


def test_catching_up_gives_up_in_time_when_a_hook_hangs() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    worker = make_worker(bus, Outlet("events", answer=lambda _: release.wait(30)))
    emit(bus, 1)
    worker.ensure_running()
    wait_until(lambda: worker.account.counts().in_flight)
    emit(bus, 1)

    assert not worker.catch_up(2, 0.05)
    release.set()
    assert stopped(worker)
