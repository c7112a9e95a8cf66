"""Questions to logs of many segments, against a scan of a plain list."""

import enum
import random
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus
from hypervisor_observability.bus.segments import BLOCK_SEGMENTS, SEGMENT_EVENTS

TYPES = [EventType.SESSION_CREATED, EventType.VFS_WRITE, EventType.RING_ASSIGNED]
SESSIONS = [None, *(f"s{n}" for n in range(5))]
AGENTS = [None, *(f"a{n}" for n in range(3))]
MOMENTS = 50
# A segment takes a sixteenth of the memory: thirteen events of 400 bytes.
SMALL = 16 * 13 * 400
SHARED_EVENTS = BLOCK_SEGMENTS * SEGMENT_EVENTS


def emit(bus: HypervisorEventBus, count: int, chance: random.Random) -> list[HypervisorEvent]:
    return [
        bus.record(
            chance.choice(TYPES),
            session_id=chance.choice(SESSIONS),
            agent_did=chance.choice(AGENTS),
            timestamp=chance.randrange(MOMENTS),
        )
        for _ in range(count)
    ]


def check_answers(
    bus: HypervisorEventBus, emitted: list[HypervisorEvent], chance: random.Random
) -> None:
    """Ask at random what a scan of the kept events tells too."""
    kept = emitted[bus.log.first :]
    assert bus.all_events == kept
    counts = bus.type_counts()
    for event_type in TYPES:
        assert bus.query_by_type(event_type) == [e for e in kept if e.event_type is event_type]
        assert counts.pop(event_type.value, 0) == len(bus.query_by_type(event_type))
    assert counts == {}
    for _ in range(10):
        asked = chance.choice([None, *TYPES]), chance.choice(SESSIONS), chance.choice(AGENTS)
        limit = chance.choice([None, 1, 2, 10, 10_000])
        found = [
            event
            for event in kept
            if asked[0] in (None, event.event_type)
            and asked[1] in (None, event.session_id)
            and asked[2] in (None, event.agent_did)
        ]
        assert bus.query(*asked, limit) == (found if limit is None else found[-limit:])
    start = chance.randrange(MOMENTS)
    end = chance.choice([None, start, start + 10])
    assert bus.query_by_time_range(start, end) == [
        event
        for event in kept
        if start <= event.timestamp.timestamp() <= (MOMENTS if end is None else end)
    ]


@given(counts=st.lists(st.integers(0, 300), max_size=8), seed=st.integers())
def test_segments_that_memory_cut_short_answer_as_a_scan_does(counts: list[int], seed: int) -> None:
    chance = random.Random(seed)
    bus = HypervisorEventBus(max_bytes=SMALL)
    emitted: list[HypervisorEvent] = []
    for count in counts:
        emitted += emit(bus, count, chance)
        check_answers(bus, emitted, chance)
        if chance.random() < 0.1:
            bus.clear()


@pytest.mark.parametrize("max_events", [None, SHARED_EVENTS + 1_500])
def test_shared_indexes_answer_as_a_scan_does(max_events: int | None) -> None:
    chance = random.Random(1)
    bus = HypervisorEventBus(max_events)
    emitted: list[HypervisorEvent] = []
    for count in (SHARED_EVENTS - 1, 1, 1, 700, SHARED_EVENTS, 3):
        emitted += emit(bus, count, chance)
        check_answers(bus, emitted, chance)


def test_events_in_the_order_of_time_are_found_from_first_to_last() -> None:
    bus = HypervisorEventBus(max_events=3_000)
    emitted = [bus.record(EventType.VFS_WRITE, timestamp=n // 4) for n in range(5_000)]
    kept = emitted[-3_000:]

    for start, end in ((0, None), (500, 499), (499, 499), (600, 900), (1_249, None), (1_300, None)):
        assert bus.query_by_time_range(start, end) == [
            event
            for event in kept
            if start <= event.timestamp.timestamp() <= (5_000 if end is None else end)
        ]


def test_index_goes_with_its_segments() -> None:
    bus = HypervisorEventBus(max_events=SEGMENT_EVENTS)
    for number in range(3 * SHARED_EVENTS):
        bus.record(EventType.VFS_WRITE, session_id=f"s{number}")
        if number % 5_000 == 0:
            assert len(bus.query_by_session(f"s{number}")) == 1
    segments = bus.log.kept().segments

    assert sum(len(segment.events) for segment in segments) <= 2 * SEGMENT_EVENTS


class Team(enum.Enum):
    RED = "red"


@pytest.mark.parametrize("given", ["7", 7, uuid.UUID(int=7), Team.RED, 1.5, ("a", 1)], ids=repr)
def test_ids_of_any_type_find_what_was_recorded_under_them(given: Any) -> None:
    bus = HypervisorEventBus()
    event = bus.record(EventType.VFS_WRITE, session_id=given, agent_did=given)
    bus.record(EventType.VFS_WRITE, session_id="another", agent_did="another")

    assert bus.query_by_session(given) == bus.query_by_agent(given) == [event]
    assert bus.query(session_id=given, agent_did=given) == [event]
    assert bus.query_by_session(event.session_id) == [event]
