"""Workers and accounts: what becomes of events, and that the counts add up."""

import json
import logging
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import (
    Counts,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    MetricFamily,
    Reject,
    RetryLater,
)
from hypervisor_observability.delivery import breaker as breaker_module
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.breaker import BreakerState
from hypervisor_observability.delivery.dead_letters import DeadLetters
from hypervisor_observability.delivery.metrics_feed import MetricsFeed
from hypervisor_observability.delivery.outlet import Terms
from hypervisor_observability.delivery.portion import Place
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.metrics.activity import EVENTS
from hypervisor_observability.metrics.registry import MetricsRegistry


class Outlet:
    """Remembers what it was given; *answers* may raise, one for each call."""

    def __init__(self, *takes: str, answer: Callable[[], None] = lambda: None) -> None:
        self.takes_events = "events" in takes
        self.takes_spans = "spans" in takes
        self.takes_metrics = "metrics" in takes
        self.answer = answer
        self.events: list[HypervisorEvent] = []
        self.batches: list[int] = []
        self.spans: list[FinishedSpan] = []
        self.metrics: list[Sequence[MetricFamily]] = []
        self.flushes = 0
        self.stops = 0
        self.inside = threading.Lock()

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        assert self.inside.acquire(blocking=False), "two hooks at once"
        try:
            self.answer()
            self.events += events
            self.batches.append(len(events))
        finally:
            self.inside.release()

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        if not self.takes_events:
            self.answer()
        self.spans += spans

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        self.answer()
        self.metrics.append(metrics)

    def flush(self) -> None:
        self.flushes += 1

    def stop(self) -> None:
        self.stops += 1


def raising(*errors: BaseException | None) -> Callable[[], None]:
    """Raise one error a call, then no more."""
    left = list(errors)

    def answer() -> None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error

    return answer


def adds_up(counts: Counts) -> bool:
    return counts.emitted == (
        counts.delivered
        + counts.rejected
        + counts.dropped_total
        + counts.in_flight
        + counts.pending
    )


def make_worker(bus: HypervisorEventBus, outlet: Outlet, **options: Any) -> Worker:
    options.setdefault("interval_seconds", 0.01)
    return Worker("test", outlet, Account(bus.log), Terms(**options))


def stopped(worker: Worker, timeout: float = 5) -> bool:
    worker.begin_stop(time.monotonic() + timeout)
    return worker.end_stop()


def flushed(worker: Worker, bus: HypervisorEventBus, timeout: float = 5) -> bool:
    return worker.end_flush(worker.begin_flush(bus.emitted), timeout)


def emit(bus: HypervisorEventBus, count: int, event_type: EventType = EventType.VFS_WRITE) -> None:
    for _ in range(count):
        bus.record(event_type)


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


def test_batch_is_offered_again_after_retry_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "_BACKOFF_SECONDS", 0.001)
    bus = HypervisorEventBus()
    outlet = Outlet("events", answer=raising(RetryLater("busy", after=0), RetryLater("busy")))
    worker = make_worker(bus, outlet)

    emit(bus, 3)

    assert flushed(worker, bus)
    assert outlet.events == bus.all_events
    assert worker.account.counts() == Counts(
        emitted=3, delivered=3, rejected=0, dropped={}, in_flight=0, pending=0
    )
    stopped(worker)


def refusing(outlet: Outlet, poison: set[int], error: type[Exception] = Reject) -> None:
    """Have *outlet* refuse what holds an event with a number of *poison*."""
    take = outlet.export_events

    def export_events(events: Sequence[HypervisorEvent]) -> None:
        if any(event.payload["number"] in poison for event in events):
            raise error("no")
        take(events)

    outlet.export_events = export_events  # type: ignore[method-assign]  # this one alone


def emit_numbered(bus: HypervisorEventBus, count: int) -> None:
    for number in range(count):
        bus.record(EventType.VFS_WRITE, payload={"number": number})


@pytest.mark.fault("C1")
@pytest.mark.parametrize("error", [Reject, ValueError, MemoryError, RecursionError])
def test_poisonous_event_costs_itself_alone(
    bus: HypervisorEventBus, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    outlet = Outlet("events")
    refusing(outlet, {5, 300}, error)
    worker = make_worker(bus, outlet)

    with caplog.at_level(logging.WARNING):
        emit_numbered(bus, 512)
        assert not flushed(worker, bus)
        emit_numbered(bus, 3)
        assert flushed(worker, bus)

    counts = worker.account.counts()
    assert (counts.rejected, counts.delivered) == (2, 513)
    numbers = [event.payload["number"] for event in outlet.events]
    assert numbers == [n for n in range(512) if n not in {5, 300}] + [0, 1, 2]
    assert "refused 2 events: no" in caplog.text
    assert worker.running
    stopped(worker)


def test_backend_that_takes_few_events_at_once_gets_them_all() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("events", "spans")
    take, take_spans = outlet.export_events, outlet.export_spans

    def export_events(events: Sequence[HypervisorEvent]) -> None:
        if len(events) > 10:
            raise Reject("413: too large")
        take(events)

    def export_spans(spans: Sequence[FinishedSpan]) -> None:
        if len(spans) > 7:
            raise Reject("413: too large")
        take_spans(spans)

    outlet.export_events = export_events  # type: ignore[method-assign]  # this one alone
    outlet.export_spans = export_spans  # type: ignore[method-assign]  # this one alone
    worker = make_worker(bus, outlet)
    for number in range(1_000):
        bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": f"{number}"})

    assert flushed(worker, bus)
    assert outlet.events == bus.all_events
    assert len(outlet.spans) == 1_000
    assert worker.account.counts().rejected == 0
    stopped(worker)


@pytest.mark.parametrize("error", [ValueError("500"), Reject("500")])
def test_one_odd_answer_costs_no_event(bus: HypervisorEventBus, error: Exception) -> None:
    worker = make_worker(bus, outlet := Outlet("events", answer=raising(error)))
    emit(bus, 1)

    assert flushed(worker, bus)
    assert outlet.events == bus.all_events
    stopped(worker)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RetryLater("busy"), "asks to retry: busy"),
        (Reject("too old"), "was refused: too old"),
    ],
)
def test_what_is_expected_of_a_hook_is_one_line_in_the_log(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus, outlet = HypervisorEventBus(), Outlet("metrics", answer=raising(error))
    outlet.flush = outlet.stop = raising(error, error)  # type: ignore[method-assign]  # these too
    worker = pushed(bus, outlet)
    emit(bus, 1)

    assert not flushed(worker, bus)
    stopped(worker)

    assert [record for record in caplog.records if record.exc_info] == []
    for hook in ("export_metrics", "flush", "stop"):
        assert f"{hook} {told}" in caplog.text


def test_refusal_is_never_called_a_retry(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker_module, "_BACKOFF_SECONDS", 0.001)
    bus = HypervisorEventBus()
    refusals = raising(*[Reject("401")] * 40)
    worker = make_worker(bus, Outlet("events", answer=refusals))
    emit(bus, 100)

    assert not flushed(worker, bus)
    assert "refused events alone 3 times in a row, so the others wait: 401" in caplog.text
    assert "retry" not in caplog.text
    stopped(worker)


def test_refused_events_are_kept_as_dead_letters(bus: HypervisorEventBus, tmp_path: Path) -> None:
    outlet = Outlet("events")
    refusing(outlet, {1}, ValueError)
    worker = make_worker(bus, outlet, dead_letters=DeadLetters.of(tmp_path, "../te st"))
    emit_numbered(bus, 3)

    assert not flushed(worker, bus)
    stopped(worker)
    path = tmp_path / "dead" / "___te_st.jsonl"
    (letter,) = map(json.loads, path.read_text("ascii").splitlines())
    assert letter["reason"] == "ValueError: no"
    assert HypervisorEvent.from_dict(letter["event"]) == bus.all_events[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_dead_letter_that_cannot_be_written_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dead").touch()
    letters = DeadLetters.of(tmp_path, "test")
    letters.write(HypervisorEvent(), "no")
    assert letters.lost == 1
    assert "dead letter not written" in caplog.text

    (tmp_path / "dead").unlink()
    letters.write(HypervisorEvent(), "no")
    size = letters.path.stat().st_size
    monkeypatch.setattr("hypervisor_observability.delivery.dead_letters.MAX_BYTES", size + 10)
    letters.write(HypervisorEvent(), "no")
    assert (letters.lost, letters.path.stat().st_size) == (2, size)


@pytest.mark.fault("C2")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_plugin_that_raises_what_ends_a_thread_is_turned_off_and_told(
    bus: HypervisorEventBus, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker(bus, Outlet("events", answer=raising(None, error())))
    emit(bus, 2)
    assert flushed(worker, bus)
    emit(bus, 3)

    begun = time.monotonic()
    assert not flushed(worker, bus, 30)
    assert time.monotonic() - begun < 10
    emit(bus, 4)
    assert not flushed(worker, bus, 30)
    counts = worker.account.counts()
    assert (counts.delivered, counts.rejected, counts.dropped) == (2, 3, {"down": 4})
    assert adds_up(counts)
    assert worker.down == f"export_events raised {error.__name__}"
    assert worker.down in caplog.text


def test_backend_that_refuses_everything_is_not_hammered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(breaker_module, "_BACKOFF_SECONDS", 0.001)
    bus = HypervisorEventBus()
    outlet = Outlet("events")
    offered: list[int] = []
    healed = threading.Event()

    def export_events(events: Sequence[HypervisorEvent]) -> None:
        offered.append(len(events))
        if not healed.is_set():
            raise Reject("401")
        outlet.events.extend(events)

    outlet.export_events = export_events  # type: ignore[method-assign]  # this one alone
    worker = make_worker(bus, outlet)
    emit(bus, 2_000)
    worker.ensure_running()
    until(lambda: offered[-3:] == [1, 1, 1] and worker.breaker_state is not BreakerState.CLOSED)
    healed.set()

    until(lambda: worker.account.counts().delivered + worker.account.counts().rejected == 2_000)
    counts = worker.account.counts()
    assert adds_up(counts)
    assert counts.rejected < 200
    assert len(outlet.events) == counts.delivered == 2_000 - counts.rejected
    assert worker.breaker_state is BreakerState.CLOSED
    assert "one event at a time" in caplog.text
    assert stopped(worker)


# A hook that hangs


class Stuck(Outlet):
    """Hangs in *hook* until it is released."""

    def __init__(self, hook: str = "export_events", *takes: str) -> None:
        super().__init__(*(takes or ("events",)))
        self.release = threading.Event()
        self.entered = threading.Event()
        self.started = 0
        setattr(self, hook, self.hang)

    def hang(self, *_: object) -> None:
        self.entered.set()
        self.release.wait(60)

    def start(self) -> None:
        self.started += 1


def until(predicate: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.fault("C4")
def test_fresh_instance_takes_over_from_one_that_hangs(bus: HypervisorEventBus) -> None:
    stuck, fresh = Stuck(), Stuck("nothing")
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
    until(worker.replace_if_stuck)
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
    until(worker.replace_if_stuck)
    assert outlets[1].entered.wait(30)
    until(lambda: worker.replace_if_stuck() or worker.down)

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
    until(lambda: worker.replace_if_stuck() or worker.down)

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
    until(worker.replace_if_stuck)
    until(lambda: worker.down)

    assert worker.down == "OSError: port taken"
    stuck.release.set()


def test_nothing_is_given_up_while_stopping(bus: HypervisorEventBus) -> None:
    stuck = Stuck("stop")
    worker = make_worker(bus, stuck, hook_timeout_seconds=0.01, renewed=lambda: Outlet("events"))
    emit(bus, 1)
    assert not stopped(worker, 0.2)

    assert not worker.replace_if_stuck()
    stuck.release.set()


# A system that refuses threads


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
    until(worker.ensure_running)
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


@pytest.mark.parametrize("after", [-5, float("nan"), "soon", True])
def test_odd_times_to_wait_do_not_end_the_worker(
    after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker_module, "_BACKOFF_SECONDS", 0.001)
    bus = HypervisorEventBus()
    worker = make_worker(bus, Outlet("events", answer=raising(RetryLater(after=after))))
    emit(bus, 1)

    assert flushed(worker, bus)
    stopped(worker)


def test_events_that_cannot_be_assembled_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = HypervisorEventBus()
    worker = make_worker(bus, Outlet("spans"))

    def broken(_: object, __: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hypervisor_observability.spans.assembly.SpanAssembler.feed", broken)
    emit(bus, 2)

    assert not flushed(worker, bus)
    assert worker.account.counts().rejected == 2
    assert stopped(worker)


def test_stop_ends_a_wait_for_a_retry_and_counts_what_was_left(bus: HypervisorEventBus) -> None:
    def never() -> None:
        raise RetryLater("still down", after=3_600)

    worker = make_worker(bus, Outlet("events", answer=never))
    emit(bus, 5)
    worker.ensure_running()
    until(lambda: worker.account.counts().in_flight)

    assert not flushed(worker, bus, timeout=0.05)
    assert stopped(worker)
    counts = worker.account.counts()
    assert counts.dropped == {"stopped": 5}
    assert adds_up(counts)


def test_flush_and_stop_answer_in_time_when_a_hook_hangs() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    outlet = Outlet("events", answer=lambda: (release.wait(30), None)[1])
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
    until(lambda: not worker.running)
    assert worker.account.counts() == counts  # an answer that late changes nothing


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


def test_events_that_the_log_gave_up_are_counted_before_and_after_the_worker_notices() -> None:
    bus, outlet = HypervisorEventBus(max_events=10), Outlet("events")
    worker = make_worker(bus, outlet)
    emit(bus, 3_000)

    before = worker.account.counts()
    assert before.dropped == {"overflow": 2_990}
    assert before.pending == 10

    assert not flushed(worker, bus)  # it answers honestly: most of it is gone
    after = worker.account.counts()
    assert (after.delivered, after.dropped) == (10, {"overflow": 2_990})
    stopped(worker)


def test_what_the_log_gave_up_before_a_plugin_was_down_stays_counted_for_that() -> None:
    bus = HypervisorEventBus(max_events=10)
    account = Account(bus.log)
    emit(bus, 3_000)
    account.pause("down")
    assert account.counts().dropped == {"overflow": 2_990, "down": 10}

    emit(bus, 100)
    assert account.counts().dropped == {"overflow": 2_990, "down": 110}
    account.resume()
    emit(bus, 30)
    counts = account.counts()
    assert (counts.dropped, counts.pending) == ({"overflow": 3_010, "down": 110}, 10)


def test_spans_of_a_batch_reach_an_outlet_that_takes_them() -> None:
    bus, outlet = HypervisorEventBus(), Outlet("spans")
    worker = make_worker(bus, outlet)
    bus.record(EventType.SAGA_CREATED, payload={"saga_id": "s"})
    assert flushed(worker, bus)
    assert worker.assembler is not None
    assert worker.assembler.open_spans == 1
    bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "s"})

    assert flushed(worker, bus)
    assert [span.name for span in outlet.spans] == ["saga"]
    assert worker.account.counts().delivered == 2
    stopped(worker)


def test_retry_offers_the_same_spans_again(bus: HypervisorEventBus) -> None:
    outlet = Outlet("spans", answer=raising(RetryLater(after=0)))
    worker = make_worker(bus, outlet)
    bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "s"})

    assert flushed(worker, bus)
    assert len(outlet.spans) == 1
    stopped(worker)


# Metrics


def series_of(name: str, families: Sequence[MetricFamily]) -> dict[tuple[str, ...], float]:
    (found,) = [family for family in families if family.name == name]
    return {labels: value for labels, value in found.series.items() if value}


def pushed(bus: HypervisorEventBus, outlet: Outlet, **options: Any) -> Worker:
    feed = MetricsFeed(bus.log, MetricsRegistry())
    return make_worker(bus, outlet, metrics=feed, **options)


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
    def never() -> None:
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


def test_catching_up_waits_for_what_another_thread_has_in_its_hands() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    worker = make_worker(bus, Outlet("events", answer=lambda: (release.wait(30), None)[1]))
    emit(bus, 1)
    worker.ensure_running()
    until(lambda: worker.account.counts().in_flight)

    assert not worker.catch_up(1, 0.05)
    release.set()
    assert worker.catch_up(1, 30)
    assert worker.account.counts().delivered == 1
    assert stopped(worker)


def test_catching_up_gives_up_in_time_when_a_hook_hangs() -> None:
    bus, release = HypervisorEventBus(), threading.Event()
    worker = make_worker(bus, Outlet("events", answer=lambda: (release.wait(30), None)[1]))
    emit(bus, 1)
    worker.ensure_running()
    until(lambda: worker.account.counts().in_flight)
    emit(bus, 1)

    assert not worker.catch_up(2, 0.05)
    release.set()
    assert stopped(worker)


# The law


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("emit"), st.integers(1, 40)),
            st.tuples(st.just("work"), st.sampled_from(["ok", "reject", "retry", "hang"])),
            st.tuples(st.just("clear"), st.just(0)),
        ),
        max_size=25,
    ),
    bound=st.integers(1, 60),
)
def test_counts_add_up_after_every_step(steps: list[tuple[str, Any]], bound: int) -> None:
    bus = HypervisorEventBus(max_events=bound)
    account = Account(bus.log)
    emitted = 0
    for what, value in steps:
        if what == "emit":
            emit(bus, value)
            emitted += value
        elif what == "clear":
            bus.clear()
        else:
            size = len(account.read(7).events)
            assert adds_up(account.counts())
            if value == "ok":
                account.deliver(size)
            elif value == "reject":
                account.reject(size)
            elif value == "retry":
                account.drop(size, "stopped")
        counts = account.counts()
        assert counts.emitted == emitted
        assert adds_up(counts)
    account.close("stopped")
    assert adds_up(account.counts())
    assert account.counts().pending == 0


MOVES = st.one_of(
    st.tuples(st.just("emit"), st.integers(0, 20)),
    st.tuples(st.just("read"), st.integers(1, 20)),
    st.tuples(
        st.sampled_from(
            ["deliver", "reject", "drop", "leave", "hold", "take_back", "await_push", "late"]
        ),
        st.integers(0, 20),
    ),
    st.tuples(st.sampled_from(["deliver_held", "drop_held"]), st.integers(0, 20)),
    st.tuples(
        st.sampled_from(["pushed", "drop_unpushed", "give_up", "pause", "resume", "clear"]),
        st.just(0),
    ),
)


@given(moves=st.lists(MOVES, max_size=40), bound=st.integers(1, 60))
def test_counts_add_up_wherever_a_portion_goes_and_whenever_it_is_given_up(
    moves: list[tuple[str, int]], bound: int
) -> None:
    bus = HypervisorEventBus(max_events=bound)
    account = Account(bus.log)
    portion = given_up = account.read(1)
    for what, number in moves:
        left = min(number, portion.left)
        held = account.counts().in_flight - portion.left - account.unpushed
        if what == "emit":
            emit(bus, number)
        elif what == "read":
            portion, given_up = account.read(number), portion
        elif what in {"deliver", "reject", "hold", "await_push"}:
            place = {
                "deliver": Place.DELIVERED,
                "reject": Place.REJECTED,
                "hold": Place.HELD,
                "await_push": Place.UNPUSHED,
            }[what]
            portion.move(left, place)
        elif what == "drop":
            portion.drop(left, "filtered")
        elif what == "leave":
            portion.leave(left)
        elif what == "take_back":
            portion.take_back(min(number, held))
        elif what == "late":
            if given_up is not portion:
                before = account.counts()
                given_up.move(number, Place.DELIVERED)
                given_up.drop(number, "filtered")
                assert account.counts() == before
        elif what == "deliver_held":
            account.deliver_waiting(Place.HELD, number)
        elif what == "drop_held":
            account.drop_waiting(Place.HELD, "sampled", number)
        elif what == "pushed":
            account.deliver_waiting(Place.UNPUSHED)
        elif what == "drop_unpushed":
            account.drop_waiting(Place.UNPUSHED, "down")
        elif what == "give_up":
            account.give_up("in_doubt")
            portion, given_up = account.read(1), portion
        elif what == "pause":
            account.pause("down")
        elif what == "resume":
            account.resume()
        else:
            bus.clear()
        counts = account.counts()
        assert adds_up(counts)
        assert counts.emitted == bus.emitted
    account.settle_all("in_doubt")
    counts = account.counts()
    assert adds_up(counts)
    assert counts.in_flight == counts.pending == 0


def test_counts_add_up_at_every_moment_of_a_busy_run() -> None:
    bus = HypervisorEventBus(max_events=2_000)
    flaky = iter(range(1_000_000))

    def answer() -> None:
        number = next(flaky)
        if number % 5 == 1:
            raise RetryLater(after=0)
        if number % 7 == 2:
            raise ValueError("odd")

    worker = make_worker(bus, Outlet("events", answer=answer), max_batch_events=50)
    worker.ensure_running()
    threads = [threading.Thread(target=emit, args=(bus, 3_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert adds_up(worker.account.counts())
    for thread in threads:
        thread.join()
    assert stopped(worker)
    counts = worker.account.counts()
    assert adds_up(counts)
    assert counts.emitted == 12_000
    assert counts.in_flight == counts.pending == 0
