import os
import signal
import subprocess
import sys
import time

import freezegun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus
from hypervisor_observability.events import clock
from tests.programs import run_python
from tests.threads import run_in_threads

HOUR_NS = 3_600 * 10**9


@pytest.fixture(autouse=True)
def own_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_offset_ns", clock.utc_offset_ns)  # put back afterwards


def step_wall_clock(monkeypatch: pytest.MonkeyPatch, step_ns: int) -> None:
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_ns)


def test_now_is_the_wall_clocks_time() -> None:
    clock.follow_wall_clock()

    assert abs(clock.now_ns() - time.time_ns()) < 2 * clock.STEP_NS


def test_now_never_runs_backwards() -> None:
    times = [clock.now_ns() for _ in range(10_000)]

    assert times == sorted(times)


def test_without_a_step_the_offset_stays() -> None:
    clock.follow_wall_clock()
    before = clock.utc_offset_ns

    assert clock.follow_wall_clock() == 0
    assert clock.utc_offset_ns == before


@pytest.mark.fault("C16")
@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_step_of_the_wall_clock_is_followed_once(
    monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    clock.follow_wall_clock()
    before = clock.utc_offset_ns
    step_wall_clock(monkeypatch, step_ns)

    assert abs(clock.follow_wall_clock() - step_ns) < clock.STEP_NS
    assert abs(clock.utc_offset_ns - before - step_ns) < clock.STEP_NS
    assert clock.follow_wall_clock() == 0


@pytest.mark.fault("C16")
@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing tells the kernel's time")
@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_travel_in_time_that_the_kernel_knows_nothing_of_is_no_step(
    monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    clock.follow_wall_clock()
    before = clock.utc_offset_ns
    real = time.time_ns
    # As time-machine does: all that reads the wall clock, whichever copy of the module.
    monkeypatch.setattr(clock._real, "time_ns", lambda: real() + step_ns)
    step_wall_clock(monkeypatch, step_ns)

    assert clock.follow_wall_clock() == 0
    assert clock.utc_offset_ns == before


@pytest.mark.fault("C16")
def test_small_difference_is_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = clock.monotonic_ns()
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns)
    wall_ns = now_ns + clock.utc_offset_ns
    for difference_ns in (clock.STEP_NS, -clock.STEP_NS):
        monkeypatch.setattr(time, "time_ns", lambda ns=difference_ns: wall_ns + ns)

        assert clock.follow_wall_clock() == 0
        assert clock.now_ns() == wall_ns


@pytest.mark.fault("C16")
def test_two_threads_that_find_the_same_step_take_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.follow_wall_clock()
    before, steps = clock.utc_offset_ns, clock.steps
    real = time.time_ns
    inner: list[int] = []

    def interrupted_by_another_thread() -> int:
        stepped = real() + HOUR_NS
        if not inner:
            inner.append(clock.follow_wall_clock())
        return stepped

    monkeypatch.setattr(time, "time_ns", interrupted_by_another_thread)
    clock.follow_wall_clock()

    assert inner == [0]
    assert clock.steps == steps + 1
    assert abs(clock.utc_offset_ns - before - HOUR_NS) < clock.STEP_NS


class Clocks:
    """A wall clock and a monotonic one; a pause comes before any of their readings."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall_ns, self.monotonic_ns = 1_700_000_000 * 10**9, 1_000 * 10**9
        self.pauses: list[int] = []
        patch.setattr(time, "time_ns", self.read_wall)
        patch.setattr(time, "monotonic_ns", lambda: self.monotonic_ns)
        patch.setattr(clock, "monotonic_ns", self.read_monotonic)
        patch.setattr(clock, "utc_offset_ns", self.wall_ns - self.monotonic_ns)
        patch.setattr(clock, "steps", 0)

    def _pause(self) -> None:
        pause_ns = self.pauses.pop() if self.pauses else 1_000
        self.wall_ns += pause_ns
        self.monotonic_ns += pause_ns

    def read_wall(self) -> int:
        self._pause()
        return self.wall_ns

    def read_monotonic(self) -> int:
        self._pause()
        return self.monotonic_ns


pauses_ns = st.lists(
    st.sampled_from([0, 500, 10**6, 30 * 10**6, 10**8, 10**9, HOUR_NS]), max_size=40
)


@pytest.mark.fault("C16")
@given(pauses_ns)
def test_pause_between_two_readings_is_no_step(pauses: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clocks = Clocks(patch)
        clocks.pauses = pauses
        while clocks.pauses:
            assert clock.follow_wall_clock() == 0
        assert clock.follow_wall_clock() == 0
        assert clock.steps == 0


@pytest.mark.fault("C16")
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8), pauses_ns)
def test_every_step_is_followed_whatever_pauses_there_are(
    steps_ms: list[int], pauses: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clocks = Clocks(patch)
        for followed, step_ms in enumerate(steps_ms, 1):
            clocks.wall_ns += step_ms * 10**6
            clocks.pauses = list(pauses)
            while clocks.pauses:
                clock.follow_wall_clock()
            clock.follow_wall_clock()
            assert abs(clock.now_ns() - clocks.wall_ns) <= clock.STEP_NS + clock.STEP_NS // 4
            assert clock.steps <= followed


@pytest.mark.fault("C16")
@pytest.mark.slow
def test_busy_threads_see_no_step() -> None:
    clock.follow_wall_clock()
    before, end = clock.steps, time.monotonic() + 5
    looks: list[int] = []

    def look() -> None:
        while time.monotonic() < end:
            looks.append(clock.follow_wall_clock())

    run_in_threads(*[look] * 64)
    assert len(looks) > 64
    assert clock.steps == before


@pytest.mark.fault("C16")
def test_process_that_was_stopped_sees_no_step() -> None:
    program = """
import time
from hypervisor_observability import EventType, HypervisorEventBus
bus = HypervisorEventBus(max_events=None)
print("ready", flush=True)
end = time.monotonic() + 2
while time.monotonic() < end:
    bus.record(EventType.VFS_WRITE)
    bus.event_count
print(bus.clock_steps, bus.emitted == bus.event_count)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as output:
        output.readline()
        for _ in range(4):
            child.send_signal(signal.SIGSTOP)
            time.sleep(0.25)
            child.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        assert output.read().split() == ["0", "True"]
    assert child.wait(60) == 0


@pytest.mark.fault("C16")
@pytest.mark.parametrize("date", ["2026-01-01", "1999-12-31", "2090-06-01"])
def test_frozen_time_moves_no_event(date: str) -> None:
    def near_now(event: HypervisorEvent) -> bool:
        return abs(event.timestamp_ns - clock.now_ns()) < HOUR_NS

    bus = HypervisorEventBus()
    before = bus.record(EventType.VFS_WRITE)
    with freezegun.freeze_time(date) as frozen:
        inside = bus.record(EventType.VFS_WRITE)
        assert bus.event_count == 2
        frozen.tick(86_400)
        later = bus.record(EventType.VFS_WRITE)
        assert bus.event_count == 3
    after = HypervisorEvent()
    assert all(map(near_now, (before, inside, later, after)))
    assert bus.clock_steps == 0
    assert abs(clock.now_ns() - time.time_ns()) < HOUR_NS


def test_package_that_is_imported_while_time_is_frozen_has_the_real_clock() -> None:
    program = """
import freezegun, time
with freezegun.freeze_time("1999-12-31"):
    from hypervisor_observability import HypervisorEvent
    inside = HypervisorEvent().timestamp.timestamp()
after = HypervisorEvent().timestamp.timestamp()
print(abs(inside - time.time()) < 60, abs(after - time.time()) < 60)
"""
    assert run_python(program, check=True).stdout.split() == ["True", "True"]
