"""Subscribers: who is called, in which order, and what their failures touch."""

import gc
import logging
import threading

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType

RING = EventType.RING_ASSIGNED
VFS = EventType.VFS_WRITE


def test_handlers_of_the_type_are_called_before_those_of_all_types_each_in_order() -> None:
    bus, calls = HypervisorEventBus(), list[str]()
    bus.subscribe(None, lambda event: calls.append("all 1"))
    bus.subscribe(RING, lambda event: calls.append("ring 1"))
    bus.subscribe(handler=lambda event: calls.append("all 2"))
    bus.subscribe(event_type=RING, handler=lambda event: calls.append("ring 2"))
    bus.subscribe(VFS, lambda event: calls.append("vfs"))
    bus.record(RING)

    assert calls == ["ring 1", "ring 2", "all 1", "all 2"]
    calls.clear()
    bus.record(EventType.SAGA_CREATED)
    assert calls == ["all 1", "all 2"]


def test_handler_runs_in_the_emitting_thread_and_finds_the_event_in_the_log() -> None:
    bus, seen = HypervisorEventBus(), list[object]()
    bus.subscribe(
        RING, lambda event: seen.append((threading.get_ident(), bus.all_events == [event]))
    )
    bus.record(RING)

    assert seen == [(threading.get_ident(), True)]


def test_subscriber_of_a_custom_type_or_its_text_is_called() -> None:
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()
    bus.subscribe(EventType.custom("acme.new"), seen.append)
    bus.subscribe("acme.new", seen.append)
    event = bus.record(EventType.custom("acme.new"))

    assert seen == [event, event]


def test_cancelled_handler_is_called_no_more_and_cancelling_again_does_nothing() -> None:
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()
    first = bus.subscribe(RING, seen.append)
    second = bus.subscribe(RING, seen.append)
    first.cancel()
    first.cancel()
    event = bus.record(RING)
    assert seen == [event]
    second.cancel()
    bus.record(RING)
    assert seen == [event]


def test_subscribing_without_a_handler_subscribes_nothing(bus: HypervisorEventBus) -> None:
    subscription = bus.subscribe(RING)
    bus.record(RING)
    subscription.cancel()

    assert bus.handler_errors == 0


def test_handler_may_subscribe_and_cancel() -> None:
    bus, seen = HypervisorEventBus(), list[str]()

    def once(event: HypervisorEvent) -> None:
        seen.append("once")
        subscription.cancel()
        bus.subscribe(RING, lambda event: seen.append("added"))

    subscription = bus.subscribe(RING, once)
    bus.record(RING)
    assert seen == ["once"]
    bus.record(RING)
    assert seen == ["once", "added"]


@pytest.mark.fault("C10")
def test_finaliser_may_cancel_while_another_subscription_is_made() -> None:
    bus, seen = HypervisorEventBus(), list[str]()

    class Watcher:
        def __init__(self) -> None:
            self.subscription = bus.subscribe(RING, lambda event: seen.append("watcher"))
            self.itself = self

        def __del__(self) -> None:
            self.subscription.cancel()

    gc.disable()
    try:
        for _ in range(50):
            Watcher()
        gc.set_threshold(1)
        gc.enable()
        for _ in range(50):
            bus.subscribe(VFS, lambda event: None)
    finally:
        gc.set_threshold(700)
        gc.enable()
    gc.collect()
    bus.record(RING)

    assert seen == []


@pytest.mark.fault("C1")
def test_raising_subscriber_touches_neither_the_emitter_nor_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()

    def fail(event: HypervisorEvent) -> None:
        raise ValueError(f"no {event.event_id}")

    bus.subscribe(RING, fail)
    bus.subscribe(RING, seen.append)
    bus.subscribe(None, fail)
    bus.subscribe(None, seen.append)
    for _ in range(10_000):
        bus.record(RING)

    assert bus.handler_errors == 20_000
    assert len(seen) == 20_000
    assert bus.event_count == 10_000
    warnings = [record for record in caplog.records if "raised" in record.message]
    # Once for its name, and once more each 10 s, should this have taken so long.
    assert 1 <= len(warnings) < 10
    assert warnings[0].name.startswith("hypervisor_observability")
    assert warnings[0].exc_info is not None
    assert "fail" in warnings[0].getMessage()


@pytest.mark.fault("C1")
@pytest.mark.parametrize("error", [MemoryError, RecursionError, StopIteration, AssertionError])
def test_any_exception_of_a_subscriber_is_held(
    bus: HypervisorEventBus, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    class Callable:
        def __call__(self, event: HypervisorEvent) -> None:
            raise error

        def __getattr__(self, name: str) -> object:
            raise RuntimeError("no")

    bus.subscribe(RING, Callable())
    bus.record(RING)

    assert bus.handler_errors == 1


@pytest.mark.fault("C1")
def test_subscriber_that_fails_before_a_failing_log_handler_stays_unnoticed() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no disk")

    bus, broken = HypervisorEventBus(), Broken()
    logger = logging.getLogger("hypervisor_observability")
    bus.subscribe(RING, lambda event: 1 / 0)
    logger.addHandler(broken)
    try:
        bus.record(RING)
    finally:
        logger.removeHandler(broken)

    assert bus.handler_errors == 1


@pytest.mark.fault("C10")
def test_subscriber_may_emit() -> None:
    bus, seen = HypervisorEventBus(), list[str]()

    def answer(event: HypervisorEvent) -> None:
        bus.record(VFS, parent_event_id=event.event_id)

    bus.subscribe(RING, answer)
    bus.subscribe(None, lambda event: seen.append(event.event_type.value))
    events = [bus.record(RING) for _ in range(2_000)]

    assert bus.emitted == 4_000
    assert [event.parent_event_id for event in bus.query_by_type(VFS)] == [
        event.event_id for event in events
    ]
    assert seen == ["vfs.write", "ring.assigned"] * 2_000


@pytest.mark.fault("C10")
def test_subscriber_that_answers_itself_for_ever_ends_with_an_error_in_the_log(
    bus: HypervisorEventBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus.subscribe(RING, lambda event: bus.record(RING))
    bus.record(RING)

    assert bus.handler_errors >= 1
    assert bus.emitted > 10
