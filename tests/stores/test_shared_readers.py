"""Agents come and go over a shared store: every event is delivered, and totals are the truth."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.metrics_feed import MetricsFeed
from hypervisor_observability.delivery.outlet import Terms
from hypervisor_observability.delivery.worker import Worker
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.host.fleet_registry import FleetRegistry
from hypervisor_observability.host.store_streams import CheckedStream
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.metrics.partitions import PARTITION
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.spans.record import FinishedSpan
from hypervisor_observability.spans.sampling import Sampling
from hypervisor_observability.stores import Entry
from tests.stores.shared_shelf_store import PARTS, FollowedSharedShelf, SharedShelf, part_of

BREACHES = "agent_hypervisor_ring_breaches_by_agent_total"
RUNS = 6
WIDE_SECONDS = 30.0


def nothing() -> None:
    pass


@define(eq=False)
class Backend:
    """Takes everything; while it does, something may happen."""

    takes_spans: bool = False
    takes_events: bool = True
    takes_metrics: bool = False
    meanwhile: Callable[[], object] = nothing
    numbers: list[int] = field(factory=list)
    in_doubt: set[int] = field(factory=set)
    """What it was handed while something happened."""
    spans: list[FinishedSpan] = field(factory=list)

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        numbers = [event.payload["number"] for event in events]
        self.numbers += numbers
        meanwhile, self.meanwhile = self.meanwhile, nothing
        if meanwhile is not nothing:
            self.in_doubt.update(numbers)
        meanwhile()

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans += spans

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        raise AssertionError(metrics)

    def flush(self) -> None:
        pass

    def stop(self) -> None:
        pass


@define(eq=False)
class Counting(FleetRegistry):
    """A registry; while it counts, something may happen."""

    meanwhile: Callable[[], object] = nothing

    def observe(self, events: Sequence[HypervisorEvent]) -> None:
        super().observe(events)
        meanwhile, self.meanwhile = self.meanwhile, nothing
        meanwhile()


@define(eq=False)
class Replica:
    """An agent without threads: it does what the test has it do."""

    shelf: SharedShelf
    terms: Terms = field(factory=Terms)
    backend: Backend = field(factory=Backend)
    followed: FollowedSharedShelf = field(init=False)
    worker: Worker = field(init=False)
    fleet: Counting = field(init=False)
    feed: MetricsFeed = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.followed = FollowedSharedShelf(self.shelf)
        self.followed.start()
        stream = self._stream("reader")
        account = Account(stream, stream, stream)
        self.worker = Worker("reader", self.backend, account, self.terms)
        self.worker.begin()
        counted = self._stream("metrics")
        self.fleet = Counting(counted, MetricsRegistry(), MetricsRegistry, lambda event: event)
        self.feed = MetricsFeed(
            counted,
            self.fleet,
            cursor=counted,
            parts=counted,
            state=self.fleet.state,
            take_parts=self.fleet.take_parts,
        )
        self.feed.worker.begin()

    def _stream(self, name: str) -> CheckedStream:
        stream = CheckedStream("shelf", self.followed.stream_for(name, defers=True), shared=True)
        stream.open()
        return stream

    @property
    def workers(self) -> tuple[Worker, Worker]:
        return self.worker, self.feed.worker

    def deliver(self) -> None:
        for worker in self.workers:
            worker.state.wait.succeed()  # without the pause after a failed read
            worker.catch_up(worker.account.end, WIDE_SECONDS)

    def stop(self) -> None:
        for worker in self.workers:
            worker.account.commit(worker.state.to_save, last=True)
        self.followed.stop()

    def check_accounts(self) -> None:
        for worker in self.workers:
            counts = worker.account.counts()
            settled = counts.delivered + counts.rejected + counts.dropped_total
            assert counts.emitted == settled + counts.in_flight + counts.pending
            assert min(counts.pending, counts.in_flight, *counts.dropped.values(), 0) == 0

    def breaches(self) -> dict[tuple[str, ...], float]:
        families = {family.name: family for family in self.feed.collect()}
        if BREACHES not in families:
            return {}
        assert families[BREACHES].label_names[-1] == PARTITION
        return {labels: value for labels, value in families[BREACHES].series.items() if value}


@define(eq=False)
class Fleet:
    """Replicas over one shelf, and what they must hold."""

    shelf: SharedShelf = field(factory=SharedShelf)
    replicas: list[Replica] = field(factory=list)
    gone: list[Replica] = field(factory=list)
    terms: Terms = field(factory=Terms)
    recorded: int = 0

    def record(self, run: int, events: int) -> None:
        for _ in range(events):
            event = HypervisorEvent(
                event_type=EventType.RING_BREACH_DETECTED,
                agent_did="did:a",
                payload={"number": self.recorded},
            )
            self.shelf.entries.append(Entry(f"run-{run}", self.recorded, event))
            self.recorded += 1

    def join(self) -> None:
        self.replicas.append(Replica(self.shelf, self.terms))

    def one(self, number: int) -> Replica:
        return self.replicas[number % len(self.replicas)]

    def deliver(self, number: int) -> None:
        self.one(number).deliver()

    def lose(self, replica: Replica, *, notices: bool) -> None:
        """Have the others take a replica for dead; *notices*: so does its own clock."""
        self.shelf.agents[replica.followed.number] = float("-inf")
        if notices:
            replica.followed.seen = float("-inf")

    def pause(self, number: int, *, notices: bool) -> None:
        self.lose(self.one(number), notices=notices)
        self.deliver(number + 1)

    def be_stale(self, number: int, other: int) -> None:
        """Have a replica deliver while the others take it for dead, and take over from it."""
        one = self.one(number)

        def lose() -> None:
            self.lose(one, notices=False)
            for replica in (self.one(other), self.one(other + 1)):
                if replica is not one:
                    replica.deliver()

        one.backend.meanwhile = one.fleet.meanwhile = lose
        one.deliver()
        one.backend.meanwhile = one.fleet.meanwhile = nothing

    def kill(self, number: int) -> None:
        if len(self.replicas) > 1:
            killed = self.replicas.pop(number % len(self.replicas))
            self.lose(killed, notices=True)
            killed.followed.stopped = True  # nothing of it reaches the shelf
            self.gone.append(killed)

    def stop(self, number: int) -> None:
        if len(self.replicas) > 1:
            stopped = self.replicas.pop(number % len(self.replicas))
            stopped.stop()
            self.gone.append(stopped)

    def cut(self, number: int) -> None:
        """Have a call to the shelf fail, and be made again."""
        self.shelf.unreadable = True
        self.deliver(number)
        self.shelf.unreadable = False

    def settle(self) -> None:
        for _ in range(3):
            for replica in self.replicas:
                replica.deliver()


NUMBERS = st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.just("record"), st.integers(0, RUNS - 1), st.integers(1, 5)),
    st.tuples(st.just("join")),
    st.tuples(st.sampled_from(["deliver", "kill", "stop", "cut"]), NUMBERS),
    st.tuples(st.just("be_stale"), NUMBERS, NUMBERS),
    st.tuples(st.sampled_from(["pause", "pause_unnoticed"]), NUMBERS),
)


def take_step(fleet: Fleet, name: str, *arguments: int) -> None:
    if name.startswith("pause"):
        fleet.pause(*arguments, notices=name == "pause")
    else:
        getattr(fleet, name)(*arguments)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_every_event_is_delivered_and_totals_are_the_truth(
    steps: list[tuple[str, *tuple[int, ...]]],
) -> None:
    """Whatever befalls the agents; what is delivered twice was under way in one that was lost."""
    fleet = Fleet()
    fleet.join()
    for step in steps:
        take_step(fleet, *step)
        for replica in [*fleet.replicas, *fleet.gone]:
            replica.check_accounts()
    fleet.settle()

    everyone = [*fleet.replicas, *fleet.gone]
    delivered = Counter(number for one in everyone for number in one.backend.numbers)
    assert set(delivered) == set(range(fleet.recorded))
    twice = {number for number, times in delivered.items() if times > 1}
    assert twice <= {number for one in everyone for number in one.backend.in_doubt}

    series = [one.breaches() for one in fleet.replicas]
    assert sum(sum(one.values()) for one in series) == fleet.recorded
    assert len({labels for one in series for labels in one}) == sum(map(len, series))
    accounts = [one.worker.account.counts() for one in everyone]
    assert sum(counts.delivered for counts in accounts) == delivered.total()
    for counts in accounts[: len(fleet.replicas)]:
        assert counts.in_flight == counts.pending == 0


def test_totals_of_a_part_come_and_go_with_it() -> None:
    """As soon as an agent has a part it tells its totals, before it has news; then the other
    does not any more.
    """
    fleet = Fleet()
    fleet.join()
    for run in range(RUNS):
        fleet.record(run, 2)
    fleet.settle()
    (alone,) = fleet.replicas
    before = alone.breaches()
    fleet.join()
    alone.deliver()  # gives up what is the other's by now
    first, second = (one.breaches() for one in fleet.replicas)

    assert {**first, **second} == before
    assert not first.keys() & second.keys()
    assert {labels[-1] for labels in before} == {part_of(f"run-{run}") for run in range(RUNS)}
    fleet.lose(alone, notices=True)
    assert alone.fleet.collect() == alone.fleet.own.further()


def test_families_of_a_part_tell_since_when_it_counts_and_what_was_taken_over() -> None:
    fleet = Fleet()
    fleet.join()
    for run in range(RUNS):
        fleet.record(run, 2)
    fleet.settle()
    fleet.replicas[0].stop()
    assert not fleet.replicas[0].breaches()  # it has stopped
    fleet.replicas.clear()
    fleet.join()
    for run in range(RUNS):
        fleet.record(run, 1)
    fleet.settle()
    (family,) = [one for one in fleet.replicas[0].feed.collect() if one.name == BREACHES]

    assert sum(family.series.values()) == 3 * RUNS
    assert sum(value for value in family.taken_over.values() if isinstance(value, int | float)) == (
        2 * RUNS
    )
    assert family.since_ns is not None
    assert all(since_ns > family.since_ns for since_ns in family.since_ns_of.values())


def test_part_that_cannot_be_restored_makes_its_reader_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its spans nor its totals begin at zero."""
    fleet = Fleet()
    fleet.join()
    fleet.record(0, 5)
    fleet.settle()
    fleet.stop(0)
    fleet.replicas[0].stop()
    fleet.replicas.clear()
    kind = type(fleet.shelf)

    def refuse(self: SharedShelf, part: str) -> list[Entry]:
        raise StreamUnavailableError(part, "nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(kind, "entries_of", refuse)
        fleet.join()
        fleet.settle()
        assert fleet.replicas[0].backend.numbers == []
    fleet.record(0, 1)
    fleet.settle()
    assert fleet.replicas[0].backend.numbers == [5]
    assert sum(fleet.replicas[0].breaches().values()) == 6


def record_saga(fleet: Fleet, event_type: EventType) -> None:
    event = HypervisorEvent(
        event_type=event_type,
        session_id="s",
        causal_trace_id="a1b2c3d4e5f6/00000001",
        payload={"number": fleet.recorded, "saga_id": "one"},
    )
    fleet.shelf.entries.append(Entry("run-0", fleet.recorded, event))
    fleet.recorded += 1


def test_counts_of_spans_do_not_go_with_a_part() -> None:
    """They say what this process has seen: no counter falls, and sums over agents are right."""
    fleet = Fleet()
    replicas = fleet.replicas
    replicas += [Replica(fleet.shelf, fleet.terms, Backend(takes_spans=True)) for _ in range(2)]

    for times in range(1, 5):
        record_saga(fleet, EventType.SAGA_COMPLETED)  # which nobody saw begin
        before = [one.worker.state.spans.counts.unmatched for one in replicas]
        fleet.settle()
        after = [one.worker.state.spans.counts.unmatched for one in replicas]
        assert sum(after) == times
        assert all(old <= new for old, new in zip(before, after, strict=True))
        owner = max(range(2), key=lambda number: after[number] - before[number])
        fleet.lose(replicas[owner], notices=True)
        replicas[1 - owner].deliver()
        assert [one.worker.state.spans.counts.unmatched for one in replicas] == after


def test_span_is_held_where_its_part_is() -> None:
    """Tail sampling: what waits for the decision on its trace goes with the part, and counts
    once.
    """
    sampling = Sampling(ratio=0.0, keep_incidents=True, wait_seconds=3600.0)
    fleet = Fleet(terms=Terms(sampling=sampling))
    fleet.replicas.append(Replica(fleet.shelf, fleet.terms, Backend(takes_spans=True)))
    (first,) = fleet.replicas

    record_saga(fleet, EventType.SAGA_CREATED)
    record_saga(fleet, EventType.SAGA_COMPLETED)
    first.deliver()
    assert first.worker.state.spans.counts.held == 1
    assert first.worker.account.counts().in_flight == 1
    first.check_accounts()

    fleet.replicas.append(Replica(fleet.shelf, fleet.terms, Backend(takes_spans=True)))
    second = fleet.replicas[1]
    fleet.lose(first, notices=False)
    second.deliver()
    first.deliver()
    assert first.worker.account.counts().in_flight == 0
    counts = [one.worker.state.spans.counts for one in fleet.replicas]
    assert sum(one.held for one in counts) == 1
    assert sum(one.worker.account.counts().delivered for one in fleet.replicas) == fleet.recorded
    assert set(PARTS) >= {part for one in fleet.replicas for part in one.worker.account.parts.parts}
