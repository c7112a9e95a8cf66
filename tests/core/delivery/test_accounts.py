"""The law of the accounts: every event that was emitted is counted once, at every moment."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import pytest
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    Reject,
    RetryLater,
)
from hypervisor_observability.bus.log import EventLog, Reading
from hypervisor_observability.delivery import accounts, breaker
from hypervisor_observability.delivery import ledger as ledger_module
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.ledger import Fate, Place
from hypervisor_observability.delivery.parts import ONE_PART
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.spans.sampling import Sampling
from tests.core.delivery.workers import (
    Answer,
    Outlet,
    adds_up,
    emit,
    flushed,
    make_worker,
    pushed,
    raising,
    stopped,
)
from tests.tracing import traced


@define
class ReadOn:
    """A log that is read on where the last reading ended or within it, as a store's stream is."""

    log: EventLog
    _last: tuple[int, int] = field(default=(0, 0), init=False)

    @property
    def bounds(self) -> tuple[int, int]:
        return self.log.bounds

    def read(self, position: int, max_events: int) -> Reading:
        first, last = self._last
        assert first <= position <= last
        reading = self.log.read(position, max_events)
        self._last = position, reading.next_position
        return reading


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


def test_what_comes_after_a_pause_alone_is_read() -> None:
    bus = HypervisorEventBus()
    account = Account(ReadOn(bus.log))
    emit(bus, 5)
    account.read(2)
    account.pause("down")
    emit(bus, 4)
    account.resume()
    emit(bus, 3)
    read = []
    while account.position < bus.emitted:
        read += account.read(2).events

    assert read == list(bus.log.read(9, 3).events)
    assert account.counts().dropped["down"] == 7


class Skips:
    """A stream of 20 events that skips three at 4 and three at 12, each time for two reasons."""

    shared = False
    parts = ONE_PART

    def __init__(self) -> None:
        self.bounds = (0, 6)
        self.part = ""
        self.reasons: Counter[str] = Counter()

    def read(self, position: int, max_events: int) -> Reading:
        skipped = 3 if position in (4, 12) else 0
        if skipped:
            self.reasons.update(deferred=1, unverified=2)
        behind = position + skipped
        end = min(at for at in (4, 12, self.bounds[1]) if at > position)
        events = [HypervisorEvent(EventType.VFS_WRITE)] * min(max_events, max(0, end - behind))
        if events:
            self.part = f"the one of {position}"
        return Reading(events, behind, skipped)

    def left(self) -> Mapping[str, int]:
        return self.reasons

    state_of = since_state_of = None


def test_what_is_skipped_counts_for_its_own_reason_from_the_end_of_a_pause_on() -> None:
    stream: Any = Skips()
    account = Account(stream, None, stream)
    account.pause("down")
    account.resume()
    stream.bounds = (0, 20)
    delivered = 0
    while account.position < 20:
        delivered += len(account.read(7).events)
        assert account.part == stream.part
        assert sum(account.counts().dropped.values()) + delivered + account.counts().pending == 20
        account.ledger.settle_offered(Place.DELIVERED)

    # Two of the first three are dropped for the pause.
    assert account.counts().dropped == {"down": 6, "unverified": 3, "deferred": 1}
    assert delivered == 10


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("emit"), st.integers(1, 40)),
            st.tuples(
                st.just("work"), st.sampled_from([Place.DELIVERED, Place.REJECTED, "stopped", None])
            ),
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
            account.read(7)
            assert adds_up(account.counts())
            if value is not None:
                account.ledger.settle_offered(value)
        counts = account.counts()
        assert counts.emitted == emitted
        assert adds_up(counts)
    account.close("stopped")
    assert adds_up(account.counts())
    assert account.counts().pending == 0


FATES: dict[str, Fate] = {
    "deliver": Place.DELIVERED,
    "reject": Place.REJECTED,
    "hold": Place.HELD,
    "await_push": Place.UNPUSHED,
    "drop": "filtered",
    "leave": "stopped",
}
MOVES = st.one_of(
    st.tuples(st.just("emit"), st.integers(0, 20)),
    st.tuples(st.just("read"), st.integers(1, 20)),
    st.tuples(st.sampled_from([*FATES, "take_back", "late"]), st.integers(0, 20)),
    st.tuples(st.sampled_from(["deliver_held", "drop_held"]), st.integers(0, 20)),
    st.tuples(
        st.sampled_from(["pushed", "drop_unpushed", "give_up", "clear"]),
        st.just(0),
    ),
    st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
)
PAUSED = [("emit", 5), ("read", 2), ("pause", 0), ("emit", 4), ("resume", 0), ("emit", 3)]
"""A pause, in which more came than was read before, and what came since is less than a batch."""


@given(moves=st.lists(MOVES, max_size=40), bound=st.integers(1, 60))
@example(moves=[*PAUSED, ("read", 3), ("read", 20), ("read", 20)], bound=60)
@example(moves=[*PAUSED, ("read", 3), ("pause", 0), ("emit", 9), ("read", 20)], bound=8)
def test_counts_add_up_wherever_a_batch_goes_and_whenever_it_is_given_up(
    moves: list[tuple[str, int]], bound: int
) -> None:
    bus = HypervisorEventBus(max_events=bound)
    account = Account(ReadOn(bus.log))
    ledger = account.ledger
    dropped: Mapping[str, int] = {}
    batch = given_up = account.read(1)
    for what, number in moves:
        offered = min(number, batch.offered)
        if what == "emit":
            emit(bus, number)
        elif what == "read":
            batch, given_up = account.read(number), batch
        elif what in FATES:
            ledger.move(batch, offered, FATES[what])
        elif what == "take_back":
            ledger.move(batch, -min(number, ledger.at(Place.HELD)), Place.HELD)
        elif what == "late":
            if given_up is not batch:
                before = account.counts()
                ledger.move(given_up, number, Place.DELIVERED)
                ledger.move(given_up, number, "filtered")
                assert (account.counts(), given_up.offered) == (before, 0)
        elif what == "deliver_held":
            ledger.move_waiting(Place.HELD, Place.DELIVERED, number)
        elif what == "drop_held":
            ledger.move_waiting(Place.HELD, "sampled", number)
        elif what == "pushed":
            ledger.move_waiting(Place.UNPUSHED, Place.DELIVERED)
        elif what == "drop_unpushed":
            ledger.move_waiting(Place.UNPUSHED, "down")
        elif what == "give_up":
            ledger.settle_offered("in_doubt")
            batch, given_up = account.read(1), batch
        elif what == "pause":
            account.pause("down")
        elif what == "resume":
            account.resume()
        else:
            bus.clear()
        counts = account.counts()
        assert adds_up(counts)
        assert counts.emitted == bus.emitted
        assert all(counts.dropped[reason] >= events for reason, events in dropped.items())
        dropped = counts.dropped
    account.settle_all("in_doubt")
    counts = account.counts()
    assert adds_up(counts)
    assert counts.in_flight == counts.pending == 0


class Moody(Outlet):
    """Answers as it is told, call by call; refuses what is poisonous at all times."""

    def __init__(self, takes: Iterable[str], poison: Collection[str], see: Answer) -> None:
        super().__init__(*takes, answer=self._answer)
        self.poison, self.see = poison, see
        self.answers: list[BaseException | None] = []

    def _answer(self, items: Sequence[Any]) -> None:
        self.see(items)
        if any(_kind_of(item) in self.poison for item in items):
            raise Reject("not that one")
        error = self.answers.pop(0) if self.answers else None
        if error is not None:
            raise error

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self._answer(spans)
        self.spans += spans


def _kind_of(item: object) -> str:
    if isinstance(item, HypervisorEvent):
        return item.event_type.value
    return item.name if isinstance(item, FinishedSpan) else ""


# An agent that came and went ends a span; a breach has the spans of its trace handed over.
WORK = {
    "agent": [EventType.SESSION_JOINED, AGENT_FINISHED],
    "breach": [EventType.RING_BREACH_DETECTED],
    "other": [EventType.VFS_WRITE],
}
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from([*WORK]), st.integers(0, 2)), max_size=8),
        st.lists(
            st.sampled_from(
                [None, None, Reject("no"), ValueError("odd"), RetryLater(), KeyboardInterrupt()]
            ),
            max_size=8,
        ),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(
    takes=st.sets(st.sampled_from(["events", "spans", "metrics"]), min_size=1),
    poison=st.sets(st.sampled_from(["agent.finished", "vfs.write", "invoke_agent a"])),
    sampling=st.none()
    | st.builds(
        Sampling,
        ratio=st.just(0.0),
        keep_incidents=st.booleans(),
        max_held_spans=st.integers(1, 9),
    ),
    unwanted=st.none() | st.just("vfs.write"),
    rounds=ROUNDS,
    ends_busy=st.booleans(),
)
def test_counts_add_up_inside_every_hook_whatever_it_answers(
    takes: set[str],
    poison: set[str],
    sampling: Sampling | None,
    unwanted: str | None,
    rounds: list[tuple[list[tuple[str, int]], list[BaseException | None]]],
    ends_busy: bool,
) -> None:
    bus = HypervisorEventBus()
    outlet = Moody(takes, poison, lambda _: check())
    worker = pushed(
        bus,
        outlet,
        sampling=sampling,
        wanted=None if unwanted is None else lambda name: name != unwanted,
        max_batch_events=5,
    )
    ledger, traces, interrupted = worker.account.ledger, [CausalTraceId() for _ in range(3)], False

    def record(work: str, number: int) -> None:
        for event_type in WORK[work]:
            bus.record(event_type, causal_trace_id=traces[number].full_id, payload={"name": "a"})

    def check() -> None:
        counts = worker.account.counts()
        assert adds_up(counts)
        assert counts.pending >= 0
        assert all(ledger.at(place) >= 0 for place in Place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(breaker, "_BACKOFF_SECONDS", 1e-6)
        patch.setattr(breaker, "_MAX_BACKOFF_SECONDS", 1e-6)
        for works, outlet.answers in rounds:
            for work in works:
                record(*work)
            try:
                assert worker.catch_up(bus.emitted, 60)
            except KeyboardInterrupt:
                interrupted = True
            check()
            assert ledger.in_flight == ledger.at(Place.HELD) + ledger.at(Place.UNPUSHED)
        outlet.answers = []
        if ends_busy:
            outlet.poison, outlet.see = (), raising(*[RetryLater()] * 1_000)
            record("agent", 0)
        assert stopped(worker)
    check()
    counts = worker.account.counts()
    assert counts.in_flight == counts.pending == 0
    assert interrupted or "in_doubt" not in counts.dropped
    if takes == {"events"} and not interrupted:
        assert counts.delivered == len(outlet.events)
    if ends_busy and "events" in takes:
        assert counts.dropped["stopped"] >= 2


class Struck(BaseException):
    """What a signal handler raises."""


def struck_at(number: int, action: Callable[[], object]) -> bool:
    """Do *action*, struck at an instruction of the accounts; tell whether it has that many."""
    files, left = {accounts.__file__, ledger_module.__file__}, [number]

    def step(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                raise Struck
        return step

    try:
        with traced(step):
            action()
    except Struck:
        return True
    return False


def test_no_event_is_lost_wherever_a_signal_handler_raises() -> None:
    def use(account: Account, bus: HypervisorEventBus) -> None:
        ledger = account.ledger
        batch = account.read(6)
        ledger.move(batch, 2, Place.HELD)
        ledger.move(batch, -1, Place.HELD)
        ledger.move(batch, 1, Place.UNPUSHED)
        ledger.move_waiting(Place.HELD, "sampled")
        ledger.move_waiting(Place.UNPUSHED, Place.DELIVERED)
        ledger.settle_offered(Place.REJECTED)
        emit(bus, 40)
        account.read(3)
        emit(bus, 40)
        account.close("down")
        account.resume()
        account.settle_all("in_doubt")

    number = 0
    struck = True
    while struck:
        number += 1
        bus = HypervisorEventBus(max_events=10)
        emit(bus, 15)
        account = Account(bus.log)
        struck = struck_at(number, partial(use, account, bus))

        assert adds_up(account.counts()), number
        account.settle_all("in_doubt")
        counts = account.counts()
        assert adds_up(counts), number
        assert counts.in_flight == counts.pending == 0, number
    assert number > 300


def test_counts_add_up_at_every_moment_of_a_busy_run() -> None:
    bus = HypervisorEventBus(max_events=2_000)
    flaky = iter(range(1_000_000))

    def answer(_: object) -> None:
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
