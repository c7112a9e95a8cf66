"""Agents over the stream of a test: readers, and what is published for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from attrs import define, field

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.followed_fleet import FollowedFleet
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent
from tests.plugins.nats import arrivals
from tests.plugins.nats.arrivals import Message, RunWriter, messages_of
from tests.waiting import wait_until

PARTITIONS = 4
WIDE_SECONDS = 60.0


def run_name() -> str:
    """Give a run a name of its own."""
    return f"20261128T101112.123456Z-{uuid4().hex}"


def publish(
    config: NatsConfig,
    messages: Sequence[Message],
    *,
    partitions: int = PARTITIONS,
    identified: bool = True,
) -> None:
    """Publish *messages* as ``arrivals.publish`` does; the server refuses repeats, unless they are
    not *identified*.
    """
    arrivals.publish(
        config, *messages, service="tests", partitions=partitions, identified=identified
    )


def publish_run(
    config: NatsConfig, count: int, *, each: int = 10, ended: bool = False, run: str | None = None
) -> str:
    """Publish a run of *count* events; give its name."""
    name = run or run_name()
    publish(config, run_messages(name, count, each=each, ended=ended))
    return name


def run_messages(run: str, count: int, *, each: int = 10, ended: bool = False) -> list[Message]:
    """Give the messages of a run, *each* events to one; events tell which they are."""
    writer = RunWriter()
    for number in range(count):
        writer.event(event_id=f"{run[-8:]}-{number}", payload={"number": number})
    return messages_of(writer.records, range(each - 1, count - 1, each), run=run, ended=ended)


@define(eq=False)
class Reader:
    """Reads as a worker does: takes new partitions up, reads, commits.

    Attributes:
        stream: What is read.
        state: What it keeps by partition: how many events it has had.
    """

    stream: PartitionStream
    events: list[HypervisorEvent] = field(factory=list)
    state: dict[str, int] = field(factory=dict)
    terms: dict[str, int] = field(factory=dict)
    position: int = 0
    skipped: int = 0
    holds: bool = False

    def step(self, most: int = 512) -> int:
        """Read once; give how many events came. What cannot be read gives none."""
        try:
            self._take_up()
            reading = self.stream.read(self.position, most)
        except StreamUnavailableError:
            return 0
        self.position = reading.next_position
        self.skipped += reading.skipped
        self.events += reading.events
        part = self.stream.part
        if reading.events:
            assert part is not None
            self.state[part] = self.state.get(part, 0) + len(reading.events)
            if not self.holds:
                self.stream.commit(self.position, self._state, last=False)
        return len(reading.events)

    def _take_up(self) -> None:
        parts = self.stream.parts
        for part in self.terms.keys() - parts.keys():
            del self.terms[part]
            self.state.pop(part, None)
        for part, term in parts.items():
            if self.terms.get(part) != term:
                saved: Mapping[str, Any] | None = self.stream.state_of(part)
                count = 0 if saved is None else saved["count"]
                count += sum(len(some) for _, some in self.stream.since_state_of(part))
                self.state[part], self.terms[part] = count, term

    def _state(self) -> Mapping[str, Any]:
        assert self.stream.part is not None
        return {"count": self.state[self.stream.part]}

    def read_until(self, condition: Callable[[], bool], most: int = 512) -> None:
        """Read until *condition* holds."""

        def is_so() -> bool:
            self.step(most)
            return condition()

        wait_until(is_so, WIDE_SECONDS)

    def reads(self, count: int, most: int = 512) -> bool:
        """Read until it has had *count* events."""
        self.read_until(lambda: len(self.events) >= count, most)
        return len(self.events) == count

    def await_parts(self, count: int = PARTITIONS) -> None:
        """Read until it has *count* partitions."""
        self.read_until(lambda: len(self.stream.parts) == count)

    def end(self) -> int:
        """Give where the stream ends, when it can be told."""
        found: list[int] = []

        def is_told() -> bool:
            self.step(1)
            try:
                found.append(self.stream.bounds[1])
            except StreamUnavailableError:
                return False
            return True

        wait_until(is_told, WIDE_SECONDS)
        return found[-1]

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.events]


def await_sharing(*readers: Reader) -> None:
    """Read until each of them has as many partitions as another."""

    def is_shared() -> bool:
        for reader in readers:
            reader.step()
        return all(len(one.stream.parts) == PARTITIONS // len(readers) for one in readers)

    wait_until(is_shared, WIDE_SECONDS)


def await_events(*readers: Reader, count: int) -> None:
    """Read until they have *count* events together; one that two of them have counts once."""

    def is_all_there() -> bool:
        for reader in readers:
            reader.step()
        return len({one for reader in readers for one in reader.ids}) >= count

    wait_until(is_all_there, WIDE_SECONDS)


def await_state(*readers: Reader, count: int) -> None:
    """Read until what they keep of all partitions together is of *count* events. A partition that
    is on its way from one to another is for a moment with none.
    """

    def is_all_kept() -> bool:
        for reader in readers:
            reader.step()
        return sum(sum(reader.state.values()) for reader in readers) == count

    wait_until(is_all_kept, WIDE_SECONDS)


@contextmanager
def fleet(config: NatsConfig, *names: str, defers: bool = True) -> Iterator[list[Reader]]:
    """Run an agent with readers of these names."""
    store = FollowedFleet(config)
    readers = [Reader(store.stream_for(name, defers=defers)) for name in names]
    store.start()
    try:
        yield readers
    finally:
        store.stop()
