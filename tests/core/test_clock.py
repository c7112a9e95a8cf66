import time

import pytest

from hypervisor_observability import clock

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
def test_small_difference_is_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic_ns = time.monotonic_ns()
    monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic_ns)
    wall_ns = monotonic_ns + clock.utc_offset_ns
    for difference_ns in (clock.STEP_NS, -clock.STEP_NS):
        monkeypatch.setattr(time, "time_ns", lambda ns=difference_ns: wall_ns + ns)

        assert clock.follow_wall_clock() == 0
        assert clock.now_ns() == wall_ns


@pytest.mark.fault("C16")
def test_two_threads_that_find_the_same_step_take_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.follow_wall_clock()
    before = clock.utc_offset_ns
    real = time.time_ns
    inner: list[int] = []

    def interrupted_by_another_thread() -> int:
        stepped = real() + HOUR_NS
        if not inner:
            inner.append(0)
            inner.append(clock.follow_wall_clock())
        return stepped

    monkeypatch.setattr(time, "time_ns", interrupted_by_another_thread)
    clock.follow_wall_clock()

    assert abs(clock.utc_offset_ns - before - HOUR_NS) < clock.STEP_NS
