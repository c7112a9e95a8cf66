import os
import threading
import time
from pathlib import Path

import pytest

from hypervisor_observability.bus.event_memory import held_bytes
from hypervisor_observability.bus.log import STAGED_EVENTS, EventLog
from hypervisor_observability.bus.segments import SEGMENT_EVENTS
from hypervisor_observability.events.event import HypervisorEvent
from tests.programs import run_python

NO_BYTES_BOUND = 2**60


def run_unmeasured(program: str, folder: Path) -> None:
    """Run *program* without coverage, whose lock is not re-entrant, nor made anew in a fork:
    an exception of a signal handler, or a fork, would leave it taken for ever.
    """
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    run_python(program, flags=("-W", "ignore"), check=True, timeout=90, cwd=folder, env=environment)


def make_log(max_events: int | None = None, max_bytes: int = NO_BYTES_BOUND) -> EventLog:
    return EventLog(max_events, max_bytes)


def append(log: EventLog, *events: HypervisorEvent) -> None:
    for event in events:
        log.stage(event)
        log.drain_if_full()


def make_events(count: int) -> list[HypervisorEvent]:
    return [HypervisorEvent(event_id=str(number)) for number in range(count)]


def numbers(events: "object") -> list[int]:
    return [int(event.event_id) for event in events]  # type: ignore[attr-defined]  # any sequence


@pytest.mark.parametrize(("max_events", "max_bytes"), [(0, 1), (-1, 1), (1, 0)])
def test_bounds_below_one_are_refused(max_events: int, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EventLog(max_events, max_bytes)


def test_empty_log_reads_as_nothing() -> None:
    reading = make_log().read(0, 10)

    assert (list(reading.events), reading.position, reading.skipped) == ([], 0, 0)
    assert reading.next_position == 0


def test_reader_with_a_position_gets_every_event_once_in_order() -> None:
    log, position, got = make_log(), 0, []
    for start in range(0, 5_000, 700):
        append(log, *[HypervisorEvent(event_id=str(start + n)) for n in range(700)])
        while (reading := log.read(position, 300)).events:
            assert reading.position == position
            assert len(reading.events) <= 300
            got += numbers(reading.events)
            position = reading.next_position

    assert got == list(range(log.end))


def test_one_reading_goes_over_the_borders_of_segments() -> None:
    log = make_log()
    append(log, *make_events(5 * SEGMENT_EVENTS))

    assert numbers(log.read(1_000, 3_000).events) == list(range(1_000, 4_000))
    assert numbers(log.read(0, 10**9).events) == list(range(5 * SEGMENT_EVENTS))
    assert list(log.read(5, 0).events) == []


def test_reader_behind_the_bound_is_told_how_much_it_missed() -> None:
    log = make_log(max_events=100)
    append(log, *make_events(5_000))
    reading = log.read(10, 1_000)

    assert (reading.position, reading.skipped) == (4_900, 4_890)
    assert numbers(reading.events) == list(range(4_900, 5_000))


def test_reader_ahead_of_the_end_waits_there() -> None:
    log = make_log()
    append(log, *make_events(3))
    reading = log.read(7, 10)

    assert (list(reading.events), reading.position, reading.skipped) == ([], 7, 0)


@pytest.mark.parametrize("max_events", [1, 2, 1_023, 1_024, 1_025, 3_000])
def test_newest_max_events_are_shown_at_every_moment(max_events: int) -> None:
    log = make_log(max_events)
    for number, event in enumerate(make_events(4_500), 1):
        append(log, event)
        if number % 97 == 0 or number < 5:
            assert log.bounds == (max(0, number - max_events), number)
            assert (log.first, log.end) == log.bounds
    segments = log.kept().segments

    assert sum(len(segment.events) for segment in segments) <= max_events + SEGMENT_EVENTS


def test_clear_drops_all_and_numbers_go_on() -> None:
    log = make_log()
    append(log, *make_events(1_500))
    log.clear()
    append(log, HypervisorEvent(event_id="1500"))

    assert log.bounds == (1_500, 1_501)
    assert numbers(log.read(0, 10).events) == [1_500]
    assert log.read(0, 10).skipped == 1_500
    assert log.dropped_for_memory == 0


@pytest.mark.parametrize("drain_each", [True, False])
def test_memory_is_bounded_and_what_it_drops_is_counted(drain_each: bool) -> None:
    max_bytes = 1_000_000
    log = make_log(max_bytes=max_bytes)
    size = held_bytes(HypervisorEvent(payload={"text": "x" * 10_000}))
    for number in range(1_000):
        event = HypervisorEvent(event_id=str(number), payload={"text": "x" * 10_000})
        append(log, event)
        if drain_each:
            first, end = log.bounds
            assert (end - first) * size <= max_bytes * 17 // 16 + size
            assert log.dropped_for_memory == first
    first, end = log.bounds

    assert end == 1_000
    assert 0.8 * max_bytes < (end - first) * size <= max_bytes * 17 // 16 + size
    assert log.dropped_for_memory == first
    assert numbers(log.read(0, 1_000).events) == list(range(first, 1_000))
    assert log.read(0, 1_000).skipped == first


def test_memory_drops_only_what_the_other_bound_has_kept() -> None:
    log = make_log(max_events=50, max_bytes=400_000)
    append(log, *(HypervisorEvent(payload={"text": "x" * 10_000}) for _ in range(500)))
    first, end = log.bounds

    assert end - first <= 50
    assert 0 < log.dropped_for_memory <= first


@pytest.mark.parametrize("max_events", [None, 30, 200])
def test_each_event_dropped_for_memory_is_counted_once(max_events: int | None) -> None:
    log = make_log(max_events=max_events, max_bytes=100_000)
    dropped = first = 0
    for number in range(600):
        # Long ones come in waves: now memory asks first, now the other bound.
        text = "x" * (5_000 if number // 50 % 2 else 10)
        append(log, HypervisorEvent(payload={"text": text + str(number)}))
        before, (first, end) = first, log.bounds
        by_count = before if max_events is None else max(before, end - max_events)
        dropped += max(0, first - by_count)
        assert log.dropped_for_memory == dropped
    assert 0 < dropped <= first
    log.clear()
    assert log.dropped_for_memory == dropped


def test_event_larger_than_the_bound_is_kept_alone() -> None:
    log = make_log(max_bytes=1)
    append(log, *make_events(10))

    assert log.bounds == (9, 10)
    assert log.dropped_for_memory == 9


def test_cut_values_are_counted() -> None:
    log = make_log()
    append(log, HypervisorEvent(payload={"a": object(), "b": {1, object()}}))
    log.clear()

    assert log.cut_values == 2


def test_listeners_are_told_the_end_after_each_drain() -> None:
    log, ends = make_log(), list[int]()
    log.on_drain(ends.append)
    append(log, *make_events(STAGED_EVENTS))
    assert ends == [STAGED_EVENTS]
    append(log, *make_events(3))
    assert ends == [STAGED_EVENTS]

    assert log.end == STAGED_EVENTS + 3
    assert ends == [STAGED_EVENTS, STAGED_EVENTS + 3]
    assert log.end == STAGED_EVENTS + 3
    assert len(ends) == 2


def test_listener_that_always_appends_does_not_hold_up_the_drain() -> None:
    log = make_log()
    log.on_drain(lambda end: log.stage(HypervisorEvent()))
    log.on_drain(lambda end: log.drain_if_full())
    append(log, *make_events(STAGED_EVENTS))

    assert log.end == STAGED_EVENTS + 1
    assert log.read(0, 10**6).next_position == STAGED_EVENTS + 1


def test_listener_may_ask_the_log() -> None:
    log, seen = make_log(), list[tuple[int, int]]()
    log.on_drain(lambda end: seen.append((end, log.end)))
    append(log, *make_events(5))

    assert log.end == 5
    assert seen == [(5, 5)]


@pytest.mark.fault("C9")
def test_staging_stays_bounded_when_many_threads_emit_faster_than_one_drains() -> None:
    log, stop, most = make_log(max_events=1_000), threading.Event(), 0

    def emit() -> None:
        event = HypervisorEvent()
        while not stop.is_set():
            for _ in range(100):
                append(log, event)

    threads = [threading.Thread(target=emit) for _ in range(16)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        most = max(most, len(log.staged))
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join(30)

    # Each thread may pass the mark a few times while it waits no longer than 10 ms a time.
    assert most < 40 * STAGED_EVENTS
    assert log.bounds[1] - log.bounds[0] == 1_000


@pytest.mark.fault("C10")
def test_exception_of_a_signal_handler_loses_and_doubles_no_event(tmp_path: Path) -> None:
    program = """
import signal
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.bus.log import EventLog

class Interrupt(BaseException):
    pass

armed = False

def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise Interrupt

log, acknowledged, interrupts, number = EventLog(None, 2**60), [], 0, 0
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def burst():
    global armed, number
    armed = True
    while armed:  # else the exception was raised where Python ignores it
        number += 1
        log.stage(HypervisorEvent(event_id=str(number)))
        log.drain_if_full()
        acknowledged.append(number)

while interrupts < 300 and number < 10**6:
    try:
        burst()  # a call: every place where a signal can arrive lies within the try
    except Interrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
got = [int(event.event_id) for event in log.read(0, 10**7).events]
assert interrupts == 300
assert got == sorted(set(got)), "an event stands twice, or out of order"
assert set(acknowledged) <= set(got), f"{len(set(acknowledged) - set(got))} lost"
assert log.end == len(got)
"""
    run_unmeasured(program, tmp_path)


@pytest.mark.fault("C11")
def test_child_of_a_fork_under_load_starts_empty_and_works(tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system knows no fork")
    program = """
import os, sys, threading
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.bus.event_bus import HypervisorEventBus

bus = HypervisorEventBus()
stop = threading.Event()

def load():
    while not stop.is_set():
        bus.emit(HypervisorEvent())
        bus.event_count
        bus.subscribe(None, lambda event: None).cancel()

threads = [threading.Thread(target=load) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            seen = []
            bus.subscribe("vfs.write", seen.append)
            for _ in range(1_500):
                bus.record("vfs.write")
            assert bus.emitted == len(bus.all_events) == len(seen) == 1_500, bus.emitted
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
before = bus.emitted
assert before > 0
"""
    run_unmeasured(program, tmp_path)
