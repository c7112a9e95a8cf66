import enum
import gc
import json
import logging
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.bus.log import STAGED_EVENTS
from hypervisor_observability.events import clock
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from tests.programs import run_python
from tests.waiting import wait_until

RING = EventType.RING_ASSIGNED
VFS = EventType.VFS_WRITE
TYPES = [RING, VFS, EventType.custom("acme.new")]


# Emitting and asking


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


# What is no event of ours


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


# Subscribing


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


# Subscribers that fail


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


# Threads, signals, finalisers


@pytest.mark.fault("C9")
@pytest.mark.parametrize("threads", [8, 64])
def test_threads_lose_and_double_nothing_and_each_keeps_its_order(threads: int) -> None:
    each = 16_000 // threads
    bus = HypervisorEventBus(max_events=None)
    handled: Counter[str] = Counter()
    bus.subscribe(None, lambda event: handled.update((event.session_id or "",)))
    read: list[HypervisorEvent] = []
    gate, done = threading.Barrier(threads + 1), threading.Event()

    def emit(name: str) -> None:
        gate.wait(60)
        for number in range(each):
            bus.record(RING, session_id=name, payload={"number": number})

    def follow() -> None:
        while True:
            last = done.is_set()
            reading = bus.log.read(len(read), 500)
            assert reading.skipped == 0
            read.extend(reading.events)
            if last and not reading.events:
                return
            bus.query(session_id="3", limit=5)

    workers = [threading.Thread(target=emit, args=(str(n),)) for n in range(threads)]
    reader = threading.Thread(target=follow)
    for thread in [*workers, reader]:
        thread.start()
    gate.wait(60)
    for thread in workers:
        thread.join(60)
    done.set()
    reader.join(60)

    assert read == bus.all_events
    assert bus.emitted == len({event.event_id for event in read}) == threads * each
    for name in range(threads):
        own = [event.payload["number"] for event in bus.query_by_session(str(name))]
        assert own == list(range(each))
    assert handled == {str(name): each for name in range(threads)}


@pytest.mark.fault("C10")
def test_signal_handler_may_emit_ask_and_subscribe_while_it_interrupts_an_emit(
    tmp_path: Path,
) -> None:
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system knows no interval timers")
    program = """
import itertools, signal, time
from hypervisor_observability.bus.event_bus import HypervisorEventBus

bus = HypervisorEventBus(max_events=None)
inner = outer = 0
draw = itertools.count().__next__  # the handler may be interrupted by itself
seen = []
bus.subscribe("vfs.write", seen.append)

def handle(*_):
    global inner
    bus.record("vfs.write", payload={"number": draw()})
    inner += 1
    if inner % 10 == 0:
        bus.event_count, bus.query(limit=3)
        bus.subscribe("vfs.delete", print).cancel()

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
end = time.monotonic() + 20
while (inner < 1_000 or outer < 10_000) and time.monotonic() < end:
    bus.record("ring.assigned", payload={"number": outer})
    outer += 1
    if outer % 100 == 0:
        bus.event_count
signal.setitimer(signal.ITIMER_REAL, 0)
assert inner > 100, inner
assert bus.emitted == bus.event_count == inner + outer, (bus.emitted, inner, outer)
assert len({event.event_id for event in bus.all_events}) == inner + outer
numbers = [event.payload["number"] for event in bus.query_by_type("vfs.write")]
assert sorted(numbers) == list(range(inner))
numbers = [event.payload["number"] for event in bus.query_by_type("ring.assigned")]
assert numbers == list(range(outer))
assert len(seen) == inner and bus.handler_errors == 0
"""
    run_python(program, check=True, cwd=tmp_path)


@pytest.mark.fault("C10")
def test_finaliser_may_emit_during_emits() -> None:
    bus = HypervisorEventBus(max_events=None)
    made = 0

    class Emitting:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            bus.record(VFS)

    threshold = gc.get_threshold()
    gc.set_threshold(10)
    try:
        for _ in range(5_000):
            Emitting()
            made += 1
            bus.record(RING, payload={"in": [{}]})
    finally:
        gc.set_threshold(*threshold)
    gc.collect()

    assert bus.type_counts() == {"ring.assigned": made, "vfs.write": made}
    assert bus.emitted == 2 * made


# The clock


@pytest.fixture
def real_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.follow_wall_clock()
    monkeypatch.setattr(clock, "utc_offset_ns", clock.utc_offset_ns)  # put back afterwards


@pytest.mark.fault("C16")
@pytest.mark.parametrize("step_seconds", [3_600, -3_600])
def test_step_of_the_wall_clock_is_followed_told_and_counted_and_is_no_event(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    real_offset: None,
    step_seconds: int,
) -> None:
    bus, told = HypervisorEventBus(), list[float]()
    bus.on_clock_step(lambda _: 1 / 0)
    bus.on_clock_step(told.append)
    before = bus.record(RING)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_seconds * 10**9)
    assert bus.event_count == 1
    after = bus.record(RING)

    assert bus.clock_steps == 1
    assert bus.all_events == [before, after]
    moved = (after.timestamp - before.timestamp).total_seconds()
    assert moved == pytest.approx(step_seconds, abs=60)
    wait_until(lambda: told)
    assert told == [pytest.approx(step_seconds, abs=1)]
    assert "the wall clock was stepped by" in caplog.text


@pytest.mark.fault("C16")
def test_handler_of_the_log_that_hangs_holds_up_no_emit_after_a_step(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    go = threading.Event()

    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go.wait(60)

    handler = Stuck()
    logging.getLogger("hypervisor_observability").addHandler(handler)
    bus = HypervisorEventBus()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
    try:
        for _ in range(5_000):
            bus.record(RING)
        assert bus.event_count == 5_000
        assert bus.clock_steps == 1
    finally:
        go.set()
        logging.getLogger("hypervisor_observability").removeHandler(handler)


@pytest.mark.fault("C16")
def test_each_bus_of_a_process_counts_a_step(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    first, second = HypervisorEventBus(), HypervisorEventBus()
    first.record(RING), second.record(RING)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
    assert (first.event_count, second.event_count) == (1, 1)
    assert (first.clock_steps, second.clock_steps) == (1, 1)
    assert HypervisorEventBus().clock_steps == 0


@pytest.mark.fault("C16")
def test_clock_that_steps_at_every_look_does_not_hold_up_the_bus(
    monkeypatch: pytest.MonkeyPatch, real_offset: None
) -> None:
    now = time.time_ns()

    def leap() -> int:
        nonlocal now
        now += 3_600 * 10**9
        return now

    monkeypatch.setattr(time, "time_ns", leap)
    bus = HypervisorEventBus()
    for _ in range(3_000):
        bus.record(RING)

    assert bus.event_count == 3_000
    assert bus.clock_steps >= 1


@pytest.mark.fault("C24")
def test_bus_works_while_the_interpreter_goes_down(tmp_path: Path) -> None:
    program = """
import atexit, sys
from hypervisor_observability.bus.event_bus import HypervisorEventBus

bus = HypervisorEventBus()

class Last:
    def __del__(self):
        bus.record("ring.assigned")
        assert bus.emitted == 2

sys.last = Last()
atexit.register(bus.record, "vfs.write")
"""
    assert run_python(program, check=True, cwd=tmp_path).stderr == ""
