"""Events whose ids came before are noticed when they are read, and cost nobody else anything."""

import logging
import os
from collections.abc import Iterator

import pytest

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Observability
from hypervisor_observability.delivery.repeats import REMEMBERED_EVENTS, WatchedStream
from tests.waiting import wait_until

pytestmark = pytest.mark.fault("C20")

PREFIX = "agent_hypervisor_observability_"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield


def event(number: int = 1, /, **fields: object) -> HypervisorEvent:
    return HypervisorEvent.from_dict(
        {
            "event_id": f"{number:016x}",
            "event_type": "session.created",
            "timestamp": "2026-01-01T00:00:00+00:00",
            **fields,
        }
    )


def repeats(*events: HypervisorEvent, batch: int = 512, max_events: int = 100_000) -> list[int]:
    """Give how many of *events* are duplicates, and how many conflicts."""
    bus = HypervisorEventBus(max_events=max_events)
    watched = WatchedStream(bus.log)
    position = 0
    for emitted in events:
        bus.emit(emitted)
    while reading := watched.read(position, batch).events:
        position += len(reading)
    return [watched.duplicates, watched.conflicts]


@pytest.mark.parametrize("batch", [1, 2, 512])
def test_event_that_is_emitted_again_is_a_duplicate(batch: int) -> None:
    once = HypervisorEvent(payload={"a": 1})

    assert repeats(once, HypervisorEvent(), once, once, batch=batch) == [2, 0]


def test_id_that_was_read_in_between_is_still_the_same(bus: HypervisorEventBus) -> None:
    watched = WatchedStream(bus.log)
    once = HypervisorEvent()
    bus.emit(once)
    watched.read(0, 10)
    assert len(once.event_id) == 16
    bus.emit(once)
    bus.emit(HypervisorEvent.from_dict(once.to_dict()))
    watched.read(1, 10)

    assert (watched.duplicates, watched.conflicts) == (2, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"payload": {"a": 2}},
        {"session_id": "s"},
        {"agent_did": "did:mesh:b"},
        {"event_type": "session.joined"},
        {"timestamp": "2026-01-01T00:00:00.000001+00:00"},
        {"causal_trace_id": "t/s"},
        {"parent_event_id": "p"},
    ],
)
def test_other_event_with_the_same_id_is_a_conflict(other: dict[str, object]) -> None:
    assert repeats(event(), event(**other)) == [0, 1]


def test_ids_that_are_none_of_ours_are_compared_as_they_are() -> None:
    def named(name: str) -> HypervisorEvent:
        return HypervisorEvent(event_id=name, timestamp=0.0)

    names = ["", "a", "A", "f" * 16, "F" * 16, "0x" + "1" * 14, "1_" * 8, "ä" * 16, "a\n", "f" * 17]
    assert repeats(*map(named, names)) == [0, 0]
    assert repeats(*map(named, [*names, *names])) == [len(names), 0]


def test_ids_of_two_processes_that_are_equal_numbers_are_no_repeats() -> None:
    assert repeats(*(HypervisorEvent() for _ in range(20_000))) == [0, 0]
    assert repeats(*(event(number) for number in range(2_000))) == [0, 0]


def test_repeat_is_noticed_over_as_many_events_as_are_remembered() -> None:
    once = HypervisorEvent()
    between = [HypervisorEvent() for _ in range(REMEMBERED_EVENTS - 1)]

    assert repeats(once, *between, once) == [1, 0]
    assert (
        repeats(once, *between, *(HypervisorEvent() for _ in between), *between[:600], once)[1] == 0
    )


def test_memory_for_ids_is_bounded(bus: HypervisorEventBus) -> None:
    watched = WatchedStream(bus.log)
    for _ in range(5 * REMEMBERED_EVENTS):
        bus.record(EventType.SESSION_CREATED)
    position = 0
    while reading := watched.read(position, 1_000).events:
        position += len(reading)

    assert len(watched._newer) + len(watched._older) < 2 * REMEMBERED_EVENTS + 1_000


def test_repeat_of_what_the_log_no_longer_has_counts_as_a_duplicate() -> None:
    bus = HypervisorEventBus(max_events=10)
    watched = WatchedStream(bus.log)
    bus.emit(event())
    watched.read(0, 10)
    for number in range(2, 5_000):
        bus.emit(event(number))
    bus.emit(event(session_id="other"))
    watched.read(watched.bounds[1] - 1, 10)

    assert (watched.duplicates, watched.conflicts) == (1, 0)


def test_what_is_read_again_is_not_counted_again(bus: HypervisorEventBus) -> None:
    watched = WatchedStream(bus.log)
    for _ in range(3):
        bus.emit(event())
    for _ in range(3):
        watched.read(0, 10)
        watched.read(1, 1)

    assert watched.duplicates == 2


def test_metrics_count_repeats_and_the_log_names_them(caplog: pytest.LogCaptureFixture) -> None:
    with Observability() as observability:
        for emitted in (event(), event(), event(session_id="other"), HypervisorEvent()):
            observability.bus.emit(emitted)

        def told(name: str) -> float:
            families = observability.collect_metrics()
            (family,) = (one for one in families if one.name == f"{PREFIX}{name}_events_total")
            return family.series[()]

        wait_until(lambda: told("duplicate") == 1, timeout=30)
        assert told("conflicting") == 1
        assert observability.bus.event_count == 4
    assert f"event {1:016x} came twice" in caplog.text
    assert f"two events that differ have the id {1:016x}" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_begins_anew() -> None:
    watched = WatchedStream(HypervisorEventBus().log)
    watched.duplicates = 3
    watched.begin_anew()

    assert (watched.duplicates, watched.conflicts, watched._watched_to) == (0, 0, 0)
