"""Events that a backend refuses cost themselves alone; a backend that refuses all is left alone."""

import json
import logging
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import (
    Counts,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    Reject,
    RetryLater,
)
from hypervisor_observability.delivery import breaker as breaker_module
from hypervisor_observability.delivery.breaker import BreakerState
from hypervisor_observability.delivery.dead_letters import DeadLetters
from tests.core.delivery.workers import (
    Outlet,
    adds_up,
    emit,
    flushed,
    make_worker,
    pushed,
    raising,
    stopped,
)
from tests.waiting import wait_until


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
    ("error", "told", "hooks"),
    [
        # A backend that is away is one fault, whichever hooks notice it.
        (RetryLater("busy"), "asks to retry: busy", ["export_metrics"]),
        (Reject("too old"), "was refused: too old", ["export_metrics", "flush", "stop"]),
    ],
)
def test_what_is_expected_of_a_hook_is_one_line_in_the_log(
    error: Exception, told: str, hooks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    bus, outlet = HypervisorEventBus(), Outlet("metrics", answer=raising(error))
    outlet.flush = outlet.stop = raising(error, error)  # type: ignore[method-assign]  # these too
    worker = pushed(bus, outlet)
    emit(bus, 1)

    assert not flushed(worker, bus)
    stopped(worker)

    assert [record for record in caplog.records if record.exc_info] == []
    lines = [line for line in caplog.messages if told in line]
    assert [line.split()[2] for line in lines] == hooks


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
    wait_until(
        lambda: offered[-3:] == [1, 1, 1] and worker.state.breaker.state is not BreakerState.CLOSED
    )
    healed.set()

    wait_until(
        lambda: worker.account.counts().delivered + worker.account.counts().rejected == 2_000
    )
    counts = worker.account.counts()
    assert adds_up(counts)
    assert counts.rejected < 200
    assert len(outlet.events) == counts.delivered == 2_000 - counts.rejected
    assert worker.state.breaker.state is BreakerState.CLOSED
    assert "one event at a time" in caplog.text
    assert stopped(worker)


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


def test_retry_offers_the_same_spans_again(bus: HypervisorEventBus) -> None:
    outlet = Outlet("spans", answer=raising(RetryLater(after=0)))
    worker = make_worker(bus, outlet)
    bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "s"})

    assert flushed(worker, bus)
    assert len(outlet.spans) == 1
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
