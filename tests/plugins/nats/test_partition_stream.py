"""A reader of a partition: whatever the messages and the readings, however often it is killed."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_nats.following.digests import Digests, Message
from hypervisor_nats.following.entries import Entry, Place, Snapshot, SnapshotAt
from hypervisor_nats.following.keeping import Kept
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_nats.following.term import Term
from hypervisor_observability.events.event import HypervisorEvent
from tests.plugins.nats.arrivals import RunWriter, messages_of

PART = "3"
INFINITE = float("inf")


@define(eq=False)
class NoPull:
    """In place of what brings messages: all of them have come."""

    consumer: str = "all"
    pending: int = 0
    has_room: bool = False


@define(eq=False)
class Agent:
    """An agent with one partition, and the bucket in which it keeps how far it is.

    Attributes:
        messages: All that are in the partition.
        entry: What the bucket has.
        snapshot: The snapshot beside it.
    """

    messages: Sequence[Message]
    entry: Entry = field(factory=lambda: Entry(owner=None, stream="once"))
    snapshot: bytes = field(factory=lambda: Snapshot().to_bytes())
    snapshot_at: Place = field(factory=Place)
    stream: PartitionStream = field(init=False)
    term: Term = field(init=False)
    had: list[str] = field(factory=list)
    told: list[str] = field(factory=list)
    position: int = 0

    keeps = True
    patience = 0.0

    def __attrs_post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with what the bucket has, as the next owner does."""
        self.stream = PartitionStream("otel", self)
        kept = Kept(None, "otel", 3, "me", self.entry, 0)  # type: ignore[arg-type] # nobody asks it
        self.term = Term(
            partition=3, number=1, kept=kept, begins=self.entry.place, since=self.snapshot_at,
            snapshot=Snapshot.from_bytes(self.snapshot), is_cut=False, digests=Digests(),
            tell=lambda _, text: self.told.append(text),
        )  # fmt: skip
        self.term.pull = NoPull()  # type: ignore[assignment] # the same for who asks it
        self._feed()
        self.stream.add(self.term)
        self.position = 0
        self.had = list((self.stream.state_of(PART) or {"ids": []})["ids"])
        for _, events in self.stream.since_state_of(PART):
            self.had += ids_of(events)

    def _feed(self) -> None:
        for message in self.messages:
            if message.sequence > self.term.since.sequence:
                self.term.inbox.put(message)

    def check(self) -> None:
        pass

    def look(self, reader: str, terms: Sequence[Term]) -> None:
        pass

    def wake(self, term: Term) -> None:
        pass

    def waiting(self, term: Term) -> int:
        left = [one for one in self.messages if one.sequence > term.reached]
        return sum(one.head.count for one in left if one.head is not None)

    def rewind(self, term: Term) -> None:
        term.rewind()
        self._feed()

    def save(self, term: Term, entry: Entry, snapshot: Snapshot | None) -> bool:
        self.entry = Entry.from_bytes(entry.to_bytes())
        if snapshot is not None:
            self.snapshot, self.snapshot_at = snapshot.to_bytes(), entry.place
            at = SnapshotAt(entry.place, "elsewhere")
            assert (
                Entry.from_bytes(Entry(owner="a", stream="b", snapshot=at).to_bytes()).snapshot
                == at
            )
        return True

    def state(self) -> Mapping[str, Any]:
        return {"ids": list(self.had)}

    def read(self, most: int, take: int) -> list[HypervisorEvent]:
        """Read, but take only so many of the events: the others are asked for again."""
        reading = self.stream.read(self.position, most)
        events = list(reading.events[:take])
        self.position = reading.position + len(events)
        self.had += ids_of(events)
        return events

    def go_round(self) -> None:
        """Save what was passed over, as an agent does again and again."""
        if self.term.is_dirty:
            self.save(self.term, self.term.entry(), None)

    def commit(self, *, snapshots: bool) -> None:
        self.term.snapshot_due = 0.0 if snapshots else INFINITE
        self.stream.commit(self.position, self.state, last=False)


def ids_of(events: Sequence[HypervisorEvent]) -> list[str]:
    return [event.event_id for event in events]


@st.composite
def partitions(draw: st.DrawFn) -> tuple[list[Message], list[str]]:
    """Draw messages of some runs, in turns, some of them twice, with strangers between them."""
    runs, ids = [], []
    for number in range(draw(st.integers(1, 3))):
        writer = RunWriter()
        count = draw(st.integers(0, 12))
        for event in range(count):
            writer.event(event_id=f"{number}-{event}")
            ids.append(f"{number}-{event}")
        cuts = {cut for cut in draw(st.sets(st.integers(0, 11))) if cut < count}
        ended = not count or draw(st.booleans())
        some = messages_of(writer.records, cuts, run=f"run-{number}", ended=ended)
        for place in draw(st.lists(st.integers(0, max(0, len(some) - 1)), max_size=2)):
            at = draw(st.integers(place, len(some)))
            some[at:at] = some[place : place + 1]  # comes again, at once or later
        runs.append(some)
    found: list[Message] = []
    sequence = 0
    while any(runs):
        some = draw(st.sampled_from([one for one in runs if one]))
        head, data = some.pop(0)
        sequence += draw(st.integers(1, 3))
        found.append(Message(sequence, head, data, None, f"reply {sequence}"))
        if draw(st.booleans()):
            sequence += 1
            found.append(Message(sequence, None, b"hello", "no headers", f"reply {sequence}"))
    return found, ids


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "commit", "snapshot", "killed", "round", "read and commit"]),
        st.integers(1, 9),
        st.integers(1, 9),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(partitions(), STEPS)
def test_each_event_is_settled_once_however_often_the_reader_is_killed(
    partition: tuple[list[Message], list[str]], steps: list[tuple[str, int, int]]
) -> None:
    messages, ids = partition
    agent = Agent(messages)
    settled: list[str] = []
    for step, most, take in steps:
        if "read" in step:
            agent.read(most, take)
        if "commit" in step or step == "snapshot":
            agent.commit(snapshots=step == "snapshot")
            settled = list(agent.had)
        elif step == "round":
            agent.go_round()
        elif step == "killed":
            agent.begin()
            assert agent.had == settled  # the state, and what came since, and nothing else

    for _ in range(len(ids) + len(messages) + 1):
        agent.read(100, 100)
        agent.commit(snapshots=False)
    assert sorted(agent.had) == sorted(ids)
    for number in range(3):
        of_run = [one for one in agent.had if one.startswith(f"{number}-")]
        assert of_run == [f"{number}-{event}" for event in range(len(of_run))]
    assert agent.term.place == Place(messages[-1].sequence if messages else 0)
    assert agent.term.expired == agent.term.unverified == 0
    assert not agent.stream.damaged
    assert not agent.stream.in_flight


@settings(max_examples=30, deadline=None)
@given(partitions(), STEPS)
def test_state_can_be_asked_for_again(
    partition: tuple[list[Message], list[str]], steps: list[tuple[str, int, int]]
) -> None:
    agent = Agent(partition[0])
    for _, most, take in steps:
        agent.read(most, take)
        agent.commit(snapshots=bool(most % 2))
    agent.begin()

    state = agent.stream.state_of(PART)
    had = [] if state is None else list(state["ids"])
    for _, events in agent.stream.since_state_of(PART):
        had += ids_of(events)

    assert had == agent.had
