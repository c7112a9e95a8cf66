"""What messages say, found out once for all readers of a process.

A message is checked and decoded when the first reader takes it. Another one takes the same result,
if its run had come as far. Results are kept as long as they are the newest ones, in bytes.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from attrs import define, field, frozen

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_nats.messages import Head
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_observability.events.event import HypervisorEvent

_MAX_BYTES = 16 * 1024 * 1024


@frozen(eq=False)
class Message:
    """A message of a partition, as it came.

    Attributes:
        sequence: Its sequence number in the stream.
        head: What its headers say; None where it is not from a shipper.
        data: Its records.
        strange: Why it is not from a shipper; None: it is from one.
        reply: Where it is acknowledged.
    """

    sequence: int
    head: Head | None
    data: bytes
    strange: str | None
    reply: str


@frozen(eq=False)
class Digest:
    """What a message says of a run that had come to some place.

    Attributes:
        after: The run behind it. Nobody changes it.
        events: Its events that are new and proven.
        sequences: Their sequence numbers in the run.
        missing: How many numbers before them never came.
        unverified: How many events are passed over because they are not proven.
        problem: What is wrong; None: nothing.
    """

    after: CheckedRun
    events: Sequence[HypervisorEvent]
    sequences: Sequence[int]
    missing: int
    unverified: int
    problem: str | None


_Key = tuple[int, int, bytes | None, bool, str | None]


@define(eq=False)
class Digests:
    """The newest results.

    Attributes:
        max_bytes: Most bytes of the messages that they stand for.
    """

    max_bytes: int = _MAX_BYTES
    _kept: "OrderedDict[_Key, tuple[int, Digest]]" = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def digest(self, run: CheckedRun, head: Head, message: Message) -> Digest:
        """Tell what *message* says of *run*, which stays as it is."""
        key = (message.sequence, run.next, run.chain, run.ended, run.bad)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[1].after.name == run.name:
                self._kept.move_to_end(key)
                return kept[1]
            found = _digest(run, head, message.data)
            size = len(message.data) + 1_024
            self._kept[key] = (size, found)
            self._bytes += size
            while self._bytes > self.max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1][0]
            return found

    def clear(self) -> None:
        """Forget all: the numbers are those of another stream."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def _digest(run: CheckedRun, head: Head, data: bytes) -> Digest:
    after = CheckedRun.from_json(run.to_json())
    taken = after.take(head, data)
    events: list[HypervisorEvent] = []
    sequences: list[int] = []
    unverified, problem = taken.unverified, taken.problem
    for record in taken.records:
        try:
            events.append(event_of(record))
        except BadEventError as error:
            unverified += 1
            problem = problem or f"number {record.sequence}: {error}"
        else:
            sequences.append(record.sequence)
    return Digest(after, events, sequences, taken.missing, unverified, problem)
