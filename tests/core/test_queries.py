from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import queries
from hypervisor_observability.event_types import EventType
from hypervisor_observability.events import HypervisorEvent
from hypervisor_observability.log import SEGMENT_EVENTS, EventLog

TYPES = [EventType.RING_ASSIGNED, EventType.VFS_WRITE, EventType.custom("acme.new")]
NAMES = st.sampled_from([None, "a", "b", "c"])


def make_log(events: list[HypervisorEvent], max_events: int | None = None) -> EventLog:
    log = EventLog(max_events, 2**60)
    for event in events:
        log.stage(event)
        log.drain_if_full()
    return log


def make_events(count: int) -> list[HypervisorEvent]:
    return [
        HypervisorEvent(
            event_type=TYPES[number % 3],
            timestamp=(number * 7) % 1_000,
            session_id=f"s{number % 5}" if number % 7 else None,
            agent_did=f"a{number % 11}",
        )
        for number in range(count)
    ]


def scan(
    events: list[HypervisorEvent],
    event_type: str | None,
    session_id: str | None,
    agent_did: str | None,
    limit: int | None,
) -> list[HypervisorEvent]:
    """The answer by the plainest means."""
    found = [
        event
        for event in events
        if (event_type is None or event.event_type == event_type)
        and (session_id is None or event.session_id == session_id)
        and (agent_did is None or event.agent_did == agent_did)
    ]
    if limit is None:
        return found
    return found[len(found) - limit :] if 0 < limit < len(found) else found if limit > 0 else []


@given(
    st.lists(
        st.builds(
            HypervisorEvent,
            event_type=st.sampled_from(TYPES),
            session_id=NAMES,
            agent_did=NAMES,
        ),
        max_size=30,
    ),
    st.none() | st.sampled_from(TYPES),
    NAMES,
    NAMES,
    st.none() | st.integers(min_value=-1, max_value=35),
    st.none() | st.integers(min_value=1, max_value=40),
)
def test_answer_is_that_of_a_scan(
    events: list[HypervisorEvent],
    event_type: EventType | None,
    session_id: str | None,
    agent_did: str | None,
    limit: int | None,
    max_events: int | None,
) -> None:
    kept = events if max_events is None else events[-max_events:]
    answer = queries.select(
        make_log(events, max_events),
        event_type=event_type,
        session_id=session_id,
        agent_did=agent_did,
        limit=limit,
    )

    assert answer == scan(kept, event_type, session_id, agent_did, limit)


@pytest.mark.parametrize("max_events", [None, 1_500, 1_024, 3_333])
@pytest.mark.parametrize("limit", [None, 1, 10, 1_100, 10_000])
def test_answer_over_many_segments_is_that_of_a_scan(
    max_events: int | None, limit: int | None
) -> None:
    events = make_events(4 * SEGMENT_EVENTS + 17)
    log = make_log(events, max_events)
    kept = events if max_events is None else events[-max_events:]
    wanted: list[dict[str, Any]] = [
        {},
        {"event_type": "ring.assigned"},
        {"session_id": "s1"},
        {"agent_did": "a3", "event_type": TYPES[2]},
        {"agent_did": "a3", "session_id": "s4", "event_type": "vfs.write"},
        {"session_id": "nobody"},
    ]
    for filters in wanted:
        whole = {"event_type": None, "session_id": None, "agent_did": None, **filters}
        assert queries.select(log, limit=limit, **filters) == scan(kept, limit=limit, **whole)


@given(st.integers(-10, 1_010), st.none() | st.integers(-10, 1_010))
def test_time_range_includes_both_ends(start: int, end: int | None) -> None:
    start_ns, end_ns = start * 10**9, None if end is None else end * 10**9
    answer = queries.select_by_time(TIMED_LOG, start_ns, end_ns)

    assert answer == [
        event
        for event in TIMED[-3_000:]
        if event.timestamp_ns >= start_ns and (end_ns is None or event.timestamp_ns <= end_ns)
    ]


TIMED = make_events(3 * SEGMENT_EVENTS + 100)
TIMED_LOG = make_log(TIMED, 3_000)


def test_empty_log_answers_with_nothing() -> None:
    log = EventLog(None, 2**60)

    assert queries.select(log) == []
    assert queries.select(log, session_id="s") == []
    assert queries.select_by_time(log, 0, None) == []


def test_index_follows_the_segment_that_still_grows() -> None:
    log = make_log([])
    for number in range(1, 50):
        log.stage(HypervisorEvent(session_id="s", timestamp=number))
        assert len(queries.select(log, session_id="s")) == number
        assert len(queries.select_by_time(log, number * 10**9, None)) == 1


def test_answer_is_a_list_of_its_own() -> None:
    log = make_log(make_events(10))
    queries.select(log).clear()

    assert len(queries.select(log)) == 10
