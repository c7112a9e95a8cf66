"""What is no event of ours: taken over where it can be, counted where it cannot."""

import enum
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType

RING = EventType.RING_ASSIGNED


class ForeignType(str, enum.Enum):
    ASSIGNED = "ring.assigned"
    THEIRS = "theirs.alone"


@dataclass(frozen=True)
class ForeignEvent:
    event_id: str = "f1"
    event_type: ForeignType = ForeignType.ASSIGNED
    timestamp: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    session_id: str | None = "s"
    agent_did: str | None = None
    causal_trace_id: str | None = None
    parent_event_id: str | None = None
    payload: dict[str, Any] = field(default_factory=lambda: {"ring": 0})


def test_event_of_another_package_is_taken_over() -> None:
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()
    bus.subscribe(RING, seen.append)
    foreign: Any = ForeignEvent()
    theirs: Any = ForeignEvent(event_id="f2", event_type=ForeignType.THEIRS)
    bus.emit(foreign)
    bus.emit(theirs)

    assert [type(event) for event in bus.all_events] == [HypervisorEvent] * 2
    assert bus.all_events[0].event_type is RING
    assert bus.all_events[1].event_type == EventType.custom("theirs.alone")
    assert bus.query(ForeignType.ASSIGNED) == seen == [HypervisorEvent("f1")]
    assert (bus.all_events[0].session_id, bus.all_events[0].payload) == ("s", {"ring": 0})
    assert bus.refused == 0


def test_subscriber_with_another_packages_enumeration_is_called() -> None:
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()
    bus.subscribe(ForeignType.ASSIGNED, seen.append)
    event = bus.record(RING)

    assert seen == [event]


class Explosive:
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "number", range(8), ids=["none", "text", "dict", "type", "naive", "mock", "explosive", "object"]
)
def test_junk_is_counted_not_raised(number: int, caplog: pytest.LogCaptureFixture) -> None:
    junk: Any = [
        None,
        "event",
        {"event_id": "x"},
        HypervisorEvent,
        ForeignEvent(timestamp=datetime(2026, 1, 1)),  # noqa: DTZ001 - naive is what is refused
        Mock(spec=HypervisorEvent),
        Explosive(),
        object(),
    ][number]
    bus, seen = HypervisorEventBus(), list[HypervisorEvent]()
    bus.subscribe(None, seen.append)
    bus.emit(junk)
    bus.emit(junk)
    event = bus.record(RING)

    assert bus.refused == 2
    assert bus.all_events == seen == [event]
    assert [message.split(" but a ")[0] for message in caplog.messages] == ["emit got no event"]


@pytest.mark.fault("C13")
def test_odd_payload_reaches_subscribers_and_queries() -> None:
    bus, seen = HypervisorEventBus(), list[Any]()
    bus.subscribe(None, lambda event: seen.append(json.dumps(event.to_dict())))
    ring: dict[str, Any] = {}
    ring["self"] = ring
    for odd in (ring, {"o": object()}, {(1, 2): 10**5_000}, [1], "text", {"x": "y" * 10**6}):
        bus.record(RING, payload=odd)  # type: ignore[arg-type]  # what is tested

    assert len(seen) == bus.event_count == 6
    assert bus.handler_errors == 0
