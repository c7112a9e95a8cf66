"""What the heads of all messages say: which runs there are, and where their events are.

It is read once, and after that only what has come since: some sixty bytes are kept of a message.
Repeats are left out. A run is listed as far as its messages belong together: the records of what
nobody asks for are not read.
"""

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, evolve, field

from hypervisor_journal.proof.chain_walk import BadRecordError
from hypervisor_nats.asking.entries import strange_text
from hypervisor_nats.asking.stream_messages import StreamMessages
from hypervisor_nats.messages import Head, StrangeMessageError, head_of
from hypervisor_nats.requests import Stored
from hypervisor_nats.runs.seams import fit
from hypervisor_nats.stream_state import StreamState

_MOST_STRANGE = 3
_THEN_BYTES = 8


@define(eq=False)
class ListedRun:
    """A run, and its messages in their order; the arrays have an item for each.

    Attributes:
        name: Of the run.
        subject: Under which its first message came.
        next: Sequence number behind the last message.
        chain: Chain value behind its last record that takes a number.
        ended: Whether the run's last message has come.
        bad: What is wrong with it, for people; None: nothing. Messages from there on are left out.
        places: Numbers of the messages in the stream.
        begins: Sequence numbers of the run with which what is new in them begins.
        from_ns: The least times of their events.
        until_ns: The greatest ones.
        counts: How many events they hold, by their own account.
        nexts: Sequence numbers behind them.
        thens: The first bytes of their chain values, as numbers.
        holes: How many numbers never came before a message, by its number in the stream; before
            the end of the run, by 0.
        seams: Of a message that begins with repeated records the chain value behind those.
        doubts: Messages that another one contradicts, as far as heads say. Which of them is what
            was written, only its records can tell.
        last: Number of its last message in the stream, whatever that holds.
    """

    name: str
    subject: str
    next: int = 0
    chain: bytes | None = None
    ended: bool = False
    bad: str | None = None
    places: "array[int]" = field(factory=lambda: array("Q"), repr=False)
    begins: "array[int]" = field(factory=lambda: array("q"), repr=False)
    from_ns: "array[int]" = field(factory=lambda: array("q"), repr=False)
    until_ns: "array[int]" = field(factory=lambda: array("q"), repr=False)
    counts: "array[int]" = field(factory=lambda: array("q"), repr=False)
    nexts: "array[int]" = field(factory=lambda: array("q"), repr=False)
    thens: "array[int]" = field(factory=lambda: array("Q"), repr=False)
    holes: dict[int, int] = field(factory=dict, repr=False)
    seams: dict[int, bytes] = field(factory=dict, repr=False)
    doubts: set[int] = field(factory=set, repr=False)
    last: int = 0

    def take(self, head: Head, place: int) -> None:
        """List the message that comes next in the stream, unless it brings nothing new."""
        self.last = place
        if self.bad is not None:
            return
        try:
            found = fit(self, head)
        except BadRecordError as error:
            self.bad = f"number {error.sequence}: {error}"
            return
        if found.repeats and head.next <= self.next:
            self._doubt(head)
            self.ended = self.ended or (head.ended and head.next == self.next)
            return
        takes_numbers = head.next > head.first
        if found.missing:
            self.holes[place if takes_numbers else 0] = found.missing
        if found.repeats and self.chain is not None:
            self.seams[place] = self.chain
        if takes_numbers:
            begins = self.next if found.repeats else head.first
            then = int.from_bytes(head.then[:_THEN_BYTES], "big")
            count = min(head.count, head.next - begins)
            row = place, begins, head.from_ns, head.until_ns, count, head.next, then
            for column, value in zip(self._columns(), row, strict=True):
                column.append(value)
        self.next, self.chain = head.next, head.then
        self.ended = self.ended or head.ended

    def _doubt(self, head: Head) -> None:
        """Doubt what a message repeats, unless they agree where it ends."""
        index = bisect_left(self.nexts, head.next)
        then = int.from_bytes(head.then[:_THEN_BYTES], "big")
        if index < len(self.nexts) and (self.nexts[index], self.thens[index]) != (head.next, then):
            self.doubts.add(self.places[index])

    def _columns(self) -> "tuple[array[int], ...]":
        return (
            self.places, self.begins, self.from_ns, self.until_ns, self.counts, self.nexts,
            self.thens,
        )  # fmt: skip

    def drop(self, first: int) -> None:
        """Forget the messages that the stream no longer holds."""
        gone = bisect_left(self.places, first)
        if gone:
            for column in self._columns():
                del column[:gone]
            least = self.places[0] if self.places else self.last
            self.holes = {at: lost for at, lost in self.holes.items() if not 0 < at <= least}
            self.seams = {at: chain for at, chain in self.seams.items() if at >= first}
            self.doubts = {at for at in self.doubts if at >= first}

    def copy(self) -> "ListedRun":
        """Give the run as it is now: later messages do not change that."""
        columns = ("places", "begins", "from_ns", "until_ns", "counts", "nexts", "thens")
        kept: dict[str, Any] = {name: getattr(self, name)[:] for name in columns}
        holes, seams, doubts = dict(self.holes), dict(self.seams), set(self.doubts)
        return evolve(self, holes=holes, seams=seams, doubts=doubts, **kept)

    def spoil(self, place: int, problem: str) -> None:
        """Note what was found wrong in the message *place*: nothing behind it is listed."""
        behind = bisect_right(self.places, place)
        if behind:
            self.bad = problem
            self.doubts = {at for at in self.doubts if at < place}
            for column in self._columns():
                del column[behind:]


@define(eq=False)
class Catalogue:
    """All runs of the stream. It may be asked by several threads.

    Attributes:
        messages: Of the stream.
        step: Called now and then while heads are read; what it raises ends that.
        runs: The runs, by name.
        position: Number of the last message that was looked at.
        state: Of the stream, when it was looked at last; None: there is none.
        strange: What is odd about the first messages that are not ours.
        strangers: How many there are of them.
    """

    messages: StreamMessages
    step: Callable[[], object]
    runs: dict[str, ListedRun] = field(factory=dict, init=False)
    position: int = field(default=0, init=False)
    state: StreamState | None = field(default=None, init=False)
    strange: list[str] = field(factory=list, init=False)
    strangers: int = field(default=0, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    def update(self) -> None:
        """Look at what has come since the last time, and at what has gone.

        Raises:
            StreamAwayError: It cannot be read at present; what was read is kept.
        """
        with self._lock:
            state = self.messages.state()
            if state is None or not state.goes_on_from(self.state, self.position):
                self._forget()
            self.state = state
            if state is None:
                return
            for run in list(self.runs.values()):
                run.drop(state.first)
                if run.last < state.first:
                    del self.runs[run.name]
            if state.last > self.position:
                for heads in self.messages.heads(max(state.first, self.position + 1)):
                    for message in heads:
                        self._take(message)
                    self.step()

    def names(self) -> list[str]:
        """Give the names of the runs, the oldest first."""
        with self._lock:
            return sorted(self.runs)

    def listed(self, names: Iterable[str] | None = None) -> list[ListedRun]:
        """Give the runs of these names, all where it is None, the oldest first, as they are now."""
        with self._lock:
            chosen = self.runs if names is None else dict.fromkeys(names)
            return [self.runs[name].copy() for name in sorted(chosen) if name in self.runs]

    def spoil(self, name: str, place: int, problem: str) -> None:
        """Note that the message *place* of a run is not what was written."""
        with self._lock:
            run = self.runs.get(name)
            if run is not None:
                run.spoil(place, problem)

    def strangers_told(self) -> list[str]:
        """Say which messages of the stream are not ours, for people."""
        with self._lock:
            told, more = list(self.strange), self.strangers - len(self.strange)
            return [*told, f"and {more:,} more messages that are not of a run"] if more else told

    def trust(self, name: str, place: int) -> None:
        """Doubt the message *place* of a run no more: its records are what was written."""
        with self._lock:
            if name in self.runs:
                self.runs[name].doubts.discard(place)

    def _forget(self) -> None:
        self.runs.clear()
        self.position = self.strangers = 0
        self.strange.clear()

    def _take(self, message: Stored) -> None:
        self.position = message.sequence
        try:
            head = head_of(message.subject, message.headers)
        except StrangeMessageError as error:
            self.strangers += 1
            if len(self.strange) < _MOST_STRANGE:
                self.strange.append(strange_text(message, error))
            return
        run = self.runs.get(head.run)
        if run is None:
            run = self.runs[head.run] = ListedRun(head.run, message.subject)
        run.take(head, message.sequence)
