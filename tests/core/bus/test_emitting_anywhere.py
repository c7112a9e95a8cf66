"""Threads, signal handlers and finalisers emit, up to the end of the interpreter."""

import gc
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from tests.programs import run_python

RING = EventType.RING_ASSIGNED
VFS = EventType.VFS_WRITE


@pytest.mark.fault("C9")
@pytest.mark.parametrize("threads", [8, 64])
def test_threads_lose_and_double_nothing_and_each_keeps_its_order(threads: int) -> None:
    each = 16_000 // threads
    bus = HypervisorEventBus(max_events=None)
    handled: Counter[str] = Counter()
    bus.subscribe(None, lambda event: handled.update((event.session_id or "",)))
    read: list[HypervisorEvent] = []
    gate, done = threading.Barrier(threads + 1), threading.Event()

    def emit(name: str) -> None:
        gate.wait(60)
        for number in range(each):
            bus.record(RING, session_id=name, payload={"number": number})

    def follow() -> None:
        while True:
            last = done.is_set()
            reading = bus.log.read(len(read), 500)
            assert reading.skipped == 0
            read.extend(reading.events)
            if last and not reading.events:
                return
            bus.query(session_id="3", limit=5)

    workers = [threading.Thread(target=emit, args=(str(n),)) for n in range(threads)]
    reader = threading.Thread(target=follow)
    for thread in [*workers, reader]:
        thread.start()
    gate.wait(60)
    for thread in workers:
        thread.join(60)
    done.set()
    reader.join(60)

    assert read == bus.all_events
    assert bus.emitted == len({event.event_id for event in read}) == threads * each
    for name in range(threads):
        own = [event.payload["number"] for event in bus.query_by_session(str(name))]
        assert own == list(range(each))
    assert handled == {str(name): each for name in range(threads)}


@pytest.mark.fault("C10")
def test_signal_handler_may_emit_ask_and_subscribe_while_it_interrupts_an_emit(
    tmp_path: Path,
) -> None:
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system knows no interval timers")
    program = """
import itertools, signal, time
from hypervisor_observability.bus.event_bus import HypervisorEventBus

bus = HypervisorEventBus(max_events=None)
inner = outer = 0
draw = itertools.count().__next__  # the handler may be interrupted by itself
seen = []
bus.subscribe("vfs.write", seen.append)

def handle(*_):
    global inner
    bus.record("vfs.write", payload={"number": draw()})
    inner += 1
    if inner % 10 == 0:
        bus.event_count, bus.query(limit=3)
        bus.subscribe("vfs.delete", print).cancel()

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
end = time.monotonic() + 20
while (inner < 1_000 or outer < 10_000) and time.monotonic() < end:
    bus.record("ring.assigned", payload={"number": outer})
    outer += 1
    if outer % 100 == 0:
        bus.event_count
signal.setitimer(signal.ITIMER_REAL, 0)
assert inner > 100, inner
assert bus.emitted == bus.event_count == inner + outer, (bus.emitted, inner, outer)
assert len({event.event_id for event in bus.all_events}) == inner + outer
numbers = [event.payload["number"] for event in bus.query_by_type("vfs.write")]
assert sorted(numbers) == list(range(inner))
numbers = [event.payload["number"] for event in bus.query_by_type("ring.assigned")]
assert numbers == list(range(outer))
assert len(seen) == inner and bus.handler_errors == 0
"""
    run_python(program, check=True, cwd=tmp_path)


@pytest.mark.fault("C10")
def test_finaliser_may_emit_during_emits() -> None:
    bus = HypervisorEventBus(max_events=None)
    made = 0

    class Emitting:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            bus.record(VFS)

    threshold = gc.get_threshold()
    gc.set_threshold(10)
    try:
        for _ in range(5_000):
            Emitting()
            made += 1
            bus.record(RING, payload={"in": [{}]})
    finally:
        gc.set_threshold(*threshold)
    gc.collect()

    assert bus.type_counts() == {"ring.assigned": made, "vfs.write": made}
    assert bus.emitted == 2 * made


@pytest.mark.fault("C24")
def test_bus_works_while_the_interpreter_goes_down(tmp_path: Path) -> None:
    program = """
import atexit, sys
from hypervisor_observability.bus.event_bus import HypervisorEventBus

bus = HypervisorEventBus()

class Last:
    def __del__(self):
        bus.record("ring.assigned")
        assert bus.emitted == 2

sys.last = Last()
atexit.register(bus.record, "vfs.write")
"""
    assert run_python(program, check=True, cwd=tmp_path).stderr == ""
