"""Slow is not hung; what hangs is given up, and tried again later."""

import logging
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import (
    Config,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Observability,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.delivery.recovery import (
    FIRST_PAUSE_SECONDS,
    MAX_ABANDONED,
    MAX_PAUSE_SECONDS,
    QUIET_SECONDS,
    Recovery,
)
from hypervisor_observability.host.plugin_checks import checked
from hypervisor_observability.host.supervisor import PatientClock
from tests.core.delivery.workers import Stuck, emit, make_worker, stopped
from tests.waiting import wait_until

LIMIT = 10.0


class Watched:
    """A worker that is looked at on a clock of the test's own."""

    def __init__(self, outlets: list[Stuck], *, renews: bool = True, defers: bool = False) -> None:
        self.bus, self.outlets, self.now = HypervisorEventBus(), outlets, 1_000.0
        left = iter(outlets[1:])
        self.worker = make_worker(
            self.bus,
            outlets[0],
            cursor=_Deferring() if defers else None,
            hook_timeout_seconds=LIMIT,
            renewed=(lambda: next(left)) if renews else None,
        )

    def emit(self, count: int = 1) -> None:
        emit(self.bus, count)

    def look(self, seconds: float = 0.0) -> bool:
        self.now += seconds
        return self.worker.replace_if_stuck(self.now)

    def hang(self, outlet: Stuck) -> None:
        """Have an event enter a hook, and be there for too long."""
        outlet.entered.clear()
        self.emit()
        self.worker.ensure_running()
        assert outlet.entered.wait(30)
        self.look()
        self.look(LIMIT + 1)

    def down(self) -> str | None:
        return self.worker.down

    def stop(self) -> None:
        for outlet in self.outlets:
            outlet.release.set()
        stopped(self.worker)


class _Deferring:
    """A cursor of a stream that outlives the process."""

    start = skipped = 0
    defers = True
    state: Mapping[str, Any] | None = None

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        return iter(())

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        pass

    def begin_anew_after_fork(self) -> None:
        pass


def test_call_is_hung_only_after_it_was_seen_to_run_for_too_long() -> None:
    watched = Watched([Stuck(), Stuck(hangs=False)])
    watched.emit()
    watched.worker.ensure_running()
    assert watched.outlets[0].entered.wait(30)

    assert not watched.look(3_600)  # nobody saw it begin
    assert not watched.look(LIMIT)
    assert watched.look(0.1)
    watched.stop()


@pytest.mark.fault("C4")
def test_plugin_that_hangs_again_is_tried_again_after_pauses_that_double() -> None:
    outlets = [Stuck() for _ in range(4)] + [Stuck(hangs=False)]
    watched = Watched(outlets)
    watched.hang(outlets[0])
    assert watched.down() is None  # the first time another takes over at once
    pause = FIRST_PAUSE_SECONDS
    for outlet in outlets[1:4]:
        watched.hang(outlet)
        assert watched.down() is not None
        assert not watched.look(pause - 0.1)
        assert watched.look(0.2)
        outlet.release.set()  # else too many threads hang
        wait_until(lambda: watched.down() is None)
        pause *= 2

    watched.emit(3)
    wait_until(lambda: len(outlets[-1].events) == 3)
    counts = watched.worker.account.counts()
    assert (counts.delivered, counts.dropped) == (3, {"in_doubt": 4})
    watched.stop()


def test_events_that_come_while_it_is_down_are_dropped_in_memory() -> None:
    outlets = [Stuck(), Stuck(), Stuck(hangs=False)]
    watched = Watched(outlets)
    watched.hang(outlets[0])
    watched.hang(outlets[1])
    watched.emit(7)

    assert watched.worker.account.counts().dropped == {"in_doubt": 2, "down": 7}
    assert not watched.worker.end_flush(watched.worker.begin_flush(9), 30)
    assert watched.look(FIRST_PAUSE_SECONDS)
    watched.emit(2)
    wait_until(lambda: len(outlets[2].events) == 2)
    counts = watched.worker.account.counts()
    assert (counts.delivered, counts.dropped) == (2, {"in_doubt": 2, "down": 7})
    assert counts.emitted == 11
    watched.stop()


def test_events_that_come_while_it_is_down_wait_where_the_source_outlives_the_process() -> None:
    outlets = [Stuck(), Stuck(), Stuck(hangs=False)]
    watched = Watched(outlets, defers=True)
    watched.hang(outlets[0])
    watched.hang(outlets[1])
    watched.emit(7)

    assert watched.worker.account.counts().pending == 7
    assert watched.look(FIRST_PAUSE_SECONDS)
    wait_until(lambda: len(outlets[2].events) == 7)
    watched.stop()


def test_stop_while_it_is_down_settles_everything() -> None:
    outlets = [Stuck(), Stuck()]
    watched = Watched(outlets)
    watched.hang(outlets[0])
    watched.hang(outlets[1])
    watched.emit(7)

    assert not stopped(watched.worker)
    counts = watched.worker.account.counts()
    assert (counts.dropped, counts.in_flight, counts.pending) == ({"in_doubt": 2, "down": 7}, 0, 0)
    assert not watched.look(3_600)
    watched.stop()


def test_plugin_that_cannot_be_made_again_is_called_again_when_its_call_returns() -> None:
    outlet = Stuck()
    watched = Watched([outlet], renews=False)
    watched.hang(outlet)
    assert not watched.look(3_600)
    assert watched.down() == "export_events has not returned within 10 s"

    outlet.hangs = False
    outlet.release.set()
    wait_until(watched.look)
    watched.emit(2)
    wait_until(lambda: len(outlet.events) == 3)  # the one in doubt has come after all
    assert watched.down() is None
    counts = watched.worker.account.counts()
    assert (counts.delivered, counts.dropped) == (2, {"in_doubt": 1})
    watched.stop()


def test_threads_that_hang_are_few() -> None:
    outlets = [Stuck() for _ in range(MAX_ABANDONED + 2)]
    watched = Watched(outlets)
    for outlet in outlets[:MAX_ABANDONED]:
        watched.hang(outlet)
        watched.look(MAX_PAUSE_SECONDS)
    assert not outlets[MAX_ABANDONED].entered.is_set()
    assert not watched.look(3_600)

    outlets[0].release.set()
    wait_until(watched.look)
    watched.stop()


def test_hang_after_a_quiet_time_counts_as_the_first() -> None:
    recovery, now = Recovery(), 0.0
    pauses = []
    for _ in range(9):
        pauses.append(recovery.note(now, None))
        now += pauses[-1]
        assert recovery.is_due(now)
    assert pauses == [0, 5, 10, 20, 40, 80, 160, 300, 300]

    assert recovery.note(now + QUIET_SECONDS + 1, None) == 0


def test_fresh_instance_that_cannot_be_made_or_started_is_tried_again() -> None:
    bus, stuck, good = HypervisorEventBus(), Stuck(), Stuck(hangs=False)
    answers: list[Any] = [ZeroDivisionError("no"), Stuck(), good]

    def renewed() -> Stuck:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # it is one

    def start(outlet: Any) -> None:
        if outlet is not good:
            raise OSError("port taken")

    worker = make_worker(bus, stuck, hook_timeout_seconds=LIMIT, renewed=renewed, start=start)
    bus.record(EventType.VFS_WRITE)
    worker.ensure_running()
    assert stuck.entered.wait(30)
    assert not worker.replace_if_stuck(0.0)
    assert not worker.replace_if_stuck(LIMIT + 1)
    assert worker.down is not None
    assert "no fresh one can be had: no" in worker.down
    assert worker.replace_if_stuck(200)
    wait_until(lambda: worker.down == "OSError: port taken")
    wait_until(lambda: not worker.running)
    assert not worker.replace_if_stuck(300)
    assert worker.replace_if_stuck(900)
    wait_until(lambda: worker.down is None)

    stuck.release.set()
    assert stopped(worker)


# What is slow


@pytest.mark.fault("C25")
def test_time_in_which_nobody_looked_counts_little() -> None:
    moments = iter([0.0, 1.0, 2.2, 3_602.2, 3_603.2, 3_603.2])
    clock = PatientClock(1.0, lambda: next(moments))

    assert [round(clock.look(), 9) for _ in range(5)] == [1.0, 2.2, 2.45, 3.45, 3.45]


@pytest.mark.parametrize(
    ("says", "limit", "least"),
    [(None, 10, 10), (0, 10, 10), (4, 10, 10), (20, 10, 30), (1, 0.4, 1.5)],
)
def test_hang_limit_lies_above_what_the_plugin_says(
    says: float | None, limit: float, least: float
) -> None:
    class Saying:
        @hookimpl
        def flush(self) -> None:
            pass

    if says is not None:
        Saying.longest_call_seconds = says  # type: ignore[attr-defined]  # it need not be there
    plugin = checked("saying", Saying(), DeliveryConfig(hook_timeout_seconds=limit))

    assert plugin.hook_timeout_seconds == least


@pytest.mark.parametrize("says", ["10", -1, float("nan"), float("inf"), True, [3]])
def test_plugin_that_says_of_a_call_what_cannot_be_is_refused(says: object) -> None:
    class Saying:
        longest_call_seconds = says

        @hookimpl
        def flush(self) -> None:
            pass

    with pytest.raises(ValueError, match="longest_call_seconds: expected a number of seconds"):
        Observability(plugins=[Saying()])


@pytest.mark.fault("C25")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system stops no processes")
def test_process_that_was_stopped_gives_no_plugin_up(tmp_path: Path) -> None:
    program = """
    import sys, time
    from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl

    class Slow:
        name = "slow"
        @hookimpl
        def export_events(self, events):
            print("in", flush=True)
            time.sleep(0.5)

    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=2))
    with Observability(config, plugins=[Slow()]) as o:
        for _ in range(3):
            o.bus.record(EventType.VFS_WRITE)
            assert o.flush(60)
    print(o.states(), dict(o.counts()["slow"].dropped))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for _ in range(3):
                assert process.stdout.readline() == "in\n"
                process.send_signal(signal.SIGSTOP)
                time.sleep(3)  # longer than a call may take
                process.send_signal(signal.SIGCONT)
            told, _ = process.communicate(timeout=90)
        except BaseException:
            process.kill()
            raise
    assert told == "{'slow': 'stopped'} {}\n"


# A start that asks to try again


def test_start_that_asks_to_retry_is_made_again_by_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @define(eq=False)
    class Late:
        name: str = "late"
        starts: list[float] = field(factory=list)
        events: list[HypervisorEvent] = field(factory=list)

        @hookimpl
        def start(self) -> None:
            self.starts.append(time.monotonic())
            if len(self.starts) < 4:
                raise RetryLater("not yet there", after=-1)

        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            assert len(self.starts) == 4
            self.events += events

    plugin = Late()
    with Observability(plugins=[plugin]) as observability:
        assert observability.states() == {"late": "down: start asks to retry: not yet there"}
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(60)
        assert observability.states() == {"late": "running"}
        assert observability.counts()["late"].delivered == 1
    assert [record for record in caplog.records if record.exc_info] == []


def test_plugin_whose_start_never_succeeds_ends_with_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Never:
        name = "never"
        stops = 0

        @hookimpl
        def start(self) -> None:
            raise RetryLater("never there")

        @hookimpl
        def export_events(self) -> None:
            raise AssertionError("it was not started")

        @hookimpl
        def stop(self) -> None:
            self.stops += 1

    never, idle = Never(), Never()
    caplog.set_level(logging.DEBUG)
    with Observability(plugins=[never]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
    assert observability.counts()["never"].dropped == {"down": 1}
    with Observability(plugins=[idle]) as observability:
        pass
    assert idle.stops == 1
    assert [record for record in caplog.records if record.exc_info] == []


def test_start_that_fails_tells_its_traceback_to_who_debugs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing:
        name = "failing"

        @hookimpl
        def start(self) -> None:
            raise OSError("no host")

        @hookimpl
        def stop(self) -> None:
            raise RetryLater("not now")

    caplog.set_level(logging.DEBUG)
    with Observability(plugins=[Failing()]) as observability:
        assert observability.states() == {"failing": "down: OSError: no host"}
    with_traceback = [record for record in caplog.records if record.exc_info]
    assert [record.levelname for record in with_traceback] == ["DEBUG"]
    assert "plugin failing is down: OSError: no host" in caplog.text


# The end


def test_end_says_in_one_line_how_many_events_each_plugin_did_not_get(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    class Hanging:
        name = "hanging"

        @hookimpl
        def export_events(self) -> None:
            release.wait(60)

    class Taking:
        name = "taking"

        @hookimpl
        def export_events(self) -> None:
            pass

    config = Config(stop_timeout_seconds=0.3)
    with Observability(config, plugins=[Hanging(), Taking()]) as observability:
        for _ in range(30):
            observability.bus.record(EventType.VFS_WRITE)
    counts = observability.counts()["hanging"]
    release.set()

    assert (counts.in_flight, counts.pending, sum(counts.dropped.values())) == (0, 0, 30)
    told = [one for one in caplog.messages if one.startswith("events not delivered")]
    assert len(told) == 1
    assert "hanging 30 of 30 (" in told[0]
    assert "taking" not in told[0]


def test_end_says_nothing_where_all_was_delivered(caplog: pytest.LogCaptureFixture) -> None:
    class Choosy:
        name = "choosy"

        @hookimpl
        def export_events(self) -> None:
            pass

    delivery = DeliveryConfig(events=("ring.*",))
    with Observability(Config(delivery=delivery), plugins=[Choosy()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        observability.bus.record(EventType.RING_ASSIGNED)
    assert caplog.messages == []
