"""Work under keys: any order of calls, in any threads."""

import asyncio
import random
import sys
import threading
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEventBus, Recorder, current_trace
from hypervisor_observability.events.event_types import MODEL_FINISHED
from hypervisor_observability.recorder import keyed_table
from hypervisor_observability.recorder.kinds import KINDS, KindName
from hypervisor_observability.testing import check_payloads
from tests.core.recorder.records import NAMES, ends, in_threads, starts, trace_of

KEYS = st.integers(0, 5)
OPENS = st.tuples(
    st.just("open"), KEYS, st.none() | KEYS, st.sampled_from(sorted(KINDS)), st.booleans()
)
CLOSES = st.tuples(st.just("close"), KEYS, st.sampled_from([None, "no", "cancelled"]))
POINTS = st.tuples(st.just("point"), st.none() | KEYS)
CALLS = st.lists(OPENS | CLOSES | POINTS, max_size=30)


def call(recorder: Recorder, one: Any) -> Any:
    """Make a call, and give what it gave."""
    if one[0] == "open":
        _, key, parent, kind, activate = one
        return recorder.open(kind, key, parent, activate=activate, **NAMES[kind])
    if one[0] == "close":
        error = asyncio.CancelledError() if one[2] == "cancelled" else one[2]
        return recorder.close(one[1], error)
    return recorder.point("vfs.write", one[1], path="a")


def check(bus: HypervisorEventBus, recorder: Recorder) -> None:
    """Check that what began has ended once or is open, and hangs below what is there."""
    began, ended = starts(bus), ends(bus)
    assert len(began) == len(ended) + len(recorder._keyed.table)
    by_id = {event.event_id: event for event in began}
    assert len({event.parent_event_id for event in ended}) == len(ended)
    order = {event.event_id: number for number, event in enumerate(bus.all_events)}
    for event in ended:
        begin = by_id[event.parent_event_id or ""]
        assert event.causal_trace_id == begin.causal_trace_id
        assert order[begin.event_id] < order[event.event_id]
    for event in began:
        if event.parent_event_id is None:
            assert event.causal_trace_id is None or trace_of(event).parent_span_id is None
        elif by_id[event.parent_event_id].causal_trace_id is not None:
            above = trace_of(by_id[event.parent_event_id])
            own = trace_of(event)
            assert own.trace_id == above.trace_id
            if event.event_type != EventType.SESSION_CREATED:
                assert own.parent_span_id == above.span_id
    check_payloads(bus.all_events)


@given(CALLS)
def test_any_order_of_calls_keeps_the_account_and_the_parents(calls: list[Any]) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    is_open: dict[int, str] = {}
    last: dict[int, str] = {}
    for one in calls:
        before = len(bus.all_events)
        given_ = call(recorder, one)
        new = bus.all_events[before:]
        if one[0] == "open":
            if one[1] in is_open:
                assert new == []
                continue
            (start,) = new
            assert start.parent_event_id == last.get(one[2])
            is_open[one[1]] = last[one[1]] = start.event_id
        elif one[0] == "close":
            begin = is_open.pop(one[1], None)
            assert [event.parent_event_id for event in new] == ([] if begin is None else [begin])
            assert new == ([] if given_ is None else [given_])
        else:
            (point,) = new
            assert point.parent_event_id == last.get(one[1])
    assert len(recorder._keyed.table) == len(is_open)
    check(bus, recorder)
    for key in range(6):
        recorder.close(key)
    assert len(starts(bus)) == len(ends(bus))
    assert current_trace() is None


@settings(deadline=None)
@given(st.lists(CALLS, min_size=2, max_size=4), st.sampled_from([3, 10_000]))
def test_any_order_of_calls_in_any_threads_keeps_the_account(
    calls: list[list[Any]], most: int
) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    barrier = threading.Barrier(len(calls))

    def work(number: int) -> None:
        barrier.wait(60)
        for one in calls[number]:
            call(recorder, one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed_table, "MAX_OPEN", most)
        in_threads(work, len(calls))

    assert len(recorder._keyed.table) <= most
    check(bus, recorder)


def test_work_is_ended_in_other_threads_than_it_began(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    in_threads(lambda n: recorder.open("model", n, model="m-1", activate=True), 8)
    in_threads(lambda n: recorder.close(7 - n), 8)

    assert len(bus.query_by_type(MODEL_FINISHED)) == 8
    check(bus, recorder)


def test_threads_that_take_turns_all_the_time_lose_nothing() -> None:
    bus = HypervisorEventBus(None)
    recorder = Recorder(bus)

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(1_500):
            # Their hashes are Python's work: other threads come by in the middle of a look-up.
            key, parent = UUID(int=chance.randrange(40)), UUID(int=chance.randrange(40))
            if chance.random() < 0.5:
                kind = cast(KindName, chance.choice(sorted(KINDS)))
                recorder.open(kind, key, parent, activate=chance.random() < 0.5, **NAMES[kind])
            else:
                recorder.close(key)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keyed_table, "MAX_OPEN", 30)
            in_threads(work, 4)
    finally:
        sys.setswitchinterval(before)

    assert len(ends(bus)) > 1_000
    check(bus, recorder)
