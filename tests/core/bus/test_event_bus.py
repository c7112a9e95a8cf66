"""The bus keeps what is emitted, in its order, and answers questions about it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.bus.log import STAGED_EVENTS
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType

RING = EventType.RING_ASSIGNED
VFS = EventType.VFS_WRITE
TYPES = [RING, VFS, EventType.custom("acme.new")]


def test_emitted_events_are_kept_in_order_and_counted(bus: HypervisorEventBus) -> None:
    events = [HypervisorEvent(event_type=RING), HypervisorEvent(event_type=VFS)]
    for event in events:
        bus.emit(event)

    assert bus.all_events == events
    assert bus.all_events[0] is events[0]
    assert (bus.event_count, bus.emitted) == (2, 2)
    assert bus.type_counts() == {"ring.assigned": 1, "vfs.write": 1}
    assert {type(name) for name in bus.type_counts()} == {str}


def test_record_builds_emits_and_returns(bus: HypervisorEventBus) -> None:
    event = bus.record(
        RING,
        session_id="s",
        agent_did="a",
        causal_trace_id="t/s",
        parent_event_id="p",
        payload={"ring": 3},
        timestamp=5,
        event_id="e",
    )

    assert bus.all_events[0] is event
    assert event == HypervisorEvent("e")
    assert event.to_dict() == {
        "event_id": "e",
        "event_type": "ring.assigned",
        "timestamp": "1970-01-01T00:00:05+00:00",
        "session_id": "s",
        "agent_did": "a",
        "causal_trace_id": "t/s",
        "parent_event_id": "p",
        "payload": {"ring": 3},
    }


def test_record_refuses_a_bad_time_and_emits_nothing(bus: HypervisorEventBus) -> None:
    with pytest.raises(ValueError, match="naive"):
        bus.record(RING, timestamp=datetime(2026, 1, 1))  # noqa: DTZ001 - what is tested
    assert bus.emitted == 0


def test_queries(bus: HypervisorEventBus) -> None:
    one = bus.record(RING, session_id="s1", agent_did="a1", timestamp=10)
    two = bus.record(VFS, session_id="s1", agent_did="a2", timestamp=20)
    three = bus.record(RING, session_id="s2", agent_did="a1", timestamp=30)

    assert bus.query_by_type(RING) == bus.query_by_type("ring.assigned") == [one, three]
    assert bus.query_by_session("s1") == [one, two]
    assert bus.query_by_agent("a1") == [one, three]
    assert bus.query_by_time_range(start=20) == [two, three]
    assert bus.query_by_time_range(datetime.fromtimestamp(10, UTC), 20) == [one, two]
    assert bus.query(event_type=RING, session_id="s1", agent_did="a1", limit=10) == [one]
    assert bus.query(limit=2) == [two, three]
    assert bus.query(agent_did="a1", limit=1) == [three]
    assert bus.query(limit=0) == []
    assert bus.query() == [one, two, three]


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), "now", float("nan")])  # noqa: DTZ001 - bad
def test_time_range_refuses_a_bad_bound(bus: HypervisorEventBus, bad: Any) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        bus.query_by_time_range(bad)
    with pytest.raises(ValueError, match="timestamp"):
        bus.query_by_time_range(datetime.now(UTC) - timedelta(hours=1), bad)


def test_clear_drops_what_is_kept_and_counts_go_on(bus: HypervisorEventBus) -> None:
    bus.record(RING)
    bus.clear()
    bus.record(VFS)
    bus._clear()
    bus.record(VFS)

    assert (bus.event_count, bus.emitted) == (1, 3)
    assert bus.type_counts() == {"vfs.write": 1}


def test_no_bound_keeps_all() -> None:
    bus = HypervisorEventBus(max_events=None)
    for _ in range(3_000):
        bus.record(RING)

    assert bus.event_count == 3_000


class BusAgainstList(RuleBasedStateMachine):
    """The bus shows the newest ``max_events`` of a plain list, at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.max_events = 7
        self.bus = HypervisorEventBus(max_events=self.max_events)
        self.emitted: list[HypervisorEvent] = []
        self.cleared = 0
        self.position = self.read = self.skipped = 0

    def kept(self) -> list[HypervisorEvent]:
        return self.emitted[max(self.cleared, len(self.emitted) - self.max_events) :]

    @rule(
        event_type=st.sampled_from(TYPES),
        session_id=st.sampled_from([None, "s1", "s2"]),
        agent_did=st.sampled_from([None, "a1", "a2"]),
        timestamp=st.integers(0, 5),
        times=st.sampled_from([1, 1, 1, 2, 9, STAGED_EVENTS + 1]),
    )
    def emit(
        self,
        event_type: EventType,
        session_id: str | None,
        agent_did: str | None,
        timestamp: int,
        times: int,
    ) -> None:
        for _ in range(times):
            self.emitted.append(
                self.bus.record(
                    event_type, session_id=session_id, agent_did=agent_did, timestamp=timestamp
                )
            )

    @rule()
    def clear(self) -> None:
        self.bus.clear()
        self.cleared = len(self.emitted)

    @precondition(lambda self: self.position <= len(self.emitted))
    @rule(max_events=st.integers(1, 2_000))
    def read_on(self, max_events: int) -> None:
        reading = self.bus.log.read(self.position, max_events)
        assert reading.position == self.position + reading.skipped
        assert list(reading.events) == self.emitted[reading.position : reading.next_position]
        self.read += len(reading.events)
        self.skipped += reading.skipped
        self.position = reading.next_position
        assert self.read + self.skipped == self.position
        if len(reading.events) < max_events:
            assert self.read + self.skipped == self.bus.emitted == len(self.emitted)

    @rule(
        event_type=st.sampled_from([None, *TYPES]),
        session_id=st.sampled_from([None, "s1", "s2"]),
        agent_did=st.sampled_from([None, "a1", "a2"]),
        limit=st.none() | st.integers(0, 9),
    )
    def query(
        self,
        event_type: EventType | None,
        session_id: str | None,
        agent_did: str | None,
        limit: int | None,
    ) -> None:
        found = [
            event
            for event in self.kept()
            if event_type in (None, event.event_type)
            and session_id in (None, event.session_id)
            and agent_did in (None, event.agent_did)
        ]
        found = found if limit is None else found[max(0, len(found) - limit) :]
        assert self.bus.query(event_type, session_id, agent_did, limit) == found

    @rule(start=st.integers(0, 5), end=st.none() | st.integers(0, 5))
    def query_by_time(self, start: int, end: int | None) -> None:
        assert self.bus.query_by_time_range(start, end) == [
            event
            for event in self.kept()
            if start <= event.timestamp.timestamp() <= (9 if end is None else end)
        ]

    @invariant()
    def shows_the_newest(self) -> None:
        kept = self.kept()
        assert self.bus.event_count == len(kept)
        assert self.bus.emitted == len(self.emitted)
        assert self.bus.all_events == kept
        assert self.bus.type_counts() == Counter(event.event_type.value for event in kept)


TestBusAgainstList = BusAgainstList.TestCase
TestBusAgainstList.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
