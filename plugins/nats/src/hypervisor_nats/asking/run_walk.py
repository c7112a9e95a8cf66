"""The events of one run that are wanted, message by message, forwards or backwards."""

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from attrs import define, field

from hypervisor_nats.asking.catalogue import ListedRun
from hypervisor_nats.asking.entries import entry_of, missing_text
from hypervisor_nats.asking.sieve import Sieve
from hypervisor_nats.asking.stream_messages import StreamMessages
from hypervisor_nats.messages import head_of
from hypervisor_nats.requests import Stored
from hypervisor_nats.runs.checked_run import CheckedRun, Taken
from hypervisor_observability.stores import Entry, HistoryContext, Wanted

_MOST_HELD = 512
_MOST_AT_ONCE = 16


@define
class Room:
    """Room for messages that walks have fetched, and not read yet.

    Attributes:
        left: How many more fit. A walk may have one where none does.
    """

    left: int = _MOST_HELD

    def take(self, wanted: int) -> int:
        """Take room for up to so many; give for how many."""
        taken = max(1, min(wanted, self.left, _MOST_AT_ONCE))
        self.left -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Give back room for so many."""
        self.left += count


@define(eq=False)
class RunWalk:
    """Walks over the messages of a run that may hold what is wanted.

    Attributes:
        run: The run.
        wanted: Which events.
        sieve: That of *wanted*.
        messages: Of the stream.
        context: Told of what is not there.
        spoil: Told of a message whose records are not what was written: the run, the message's
            number in the stream, the number of the first such record, and what is wrong. What
            comes behind that is not to be shown.
        turned: Whether it goes backwards.
        room: For messages that are fetched before they are read.
    """

    run: ListedRun
    wanted: Wanted
    sieve: Sieve
    messages: StreamMessages
    context: HistoryContext
    spoil: Callable[[ListedRun, int, int, str], object]
    turned: bool
    room: Room
    _order: Sequence[int] = field(init=False)
    """Indices of the messages that are read, in the order of the walk."""
    _bounds: Sequence[int] = field(init=False)
    """For each the least time of what comes from it on; backwards the greatest."""
    _at: int = field(default=0, init=False)
    _fetched: deque[Stored | None] = field(factory=deque, init=False)
    _at_once: int = field(default=1, init=False)

    def __attrs_post_init__(self) -> None:
        """Choose the messages in whose times something wanted may be."""
        run, sieve = self.run, self.sieve
        indices = range(len(run.places))
        times = run.until_ns if self.turned else run.from_ns
        self._order = array(
            "Q",
            (
                index
                for index in (reversed(indices) if self.turned else indices)
                if sieve.lets_times(run.from_ns[index], run.until_ns[index])
            ),
        )
        # A clock that was stepped back has later messages hold earlier events.
        last_first = (times[index] for index in reversed(self._order))
        self._bounds = array("q", accumulate(last_first, max if self.turned else min))[::-1]

    def __len__(self) -> int:
        """Give how many messages are still to be read."""
        return len(self._order) - self._at

    @property
    def bound(self) -> int | None:
        """No event of the messages to come is before this time, or behind it where the walk goes
        backwards; None: there are none.
        """
        return self._bounds[self._at] if self._at < len(self._order) else None

    def read(self) -> Iterator[Entry]:
        """Read the next message, and give what is wanted of it.

        Raises:
            StreamAwayError: It cannot be read at present.
        """
        if not self._fetched:
            self._fetch()
        index, message = self._order[self._at], self._fetched.popleft()
        self._at += 1
        self.room.give_back(1)
        if not self.turned:
            self._tell_hole(index)
        if message is None:
            self._tell_gone(index)
        elif self.sieve.lets(message.data):
            yield from self._found_in(index, message)
        if self.turned:
            self._tell_hole(index)
        elif not len(self):
            self._tell_hole(None)
        self.context.step()

    def _fetch(self) -> None:
        count = self.room.take(self._at_once)
        indices = self._order[self._at : self._at + count]
        places = sorted(self.run.places[index] for index in indices)
        found = self.messages.fetch(self.run.subject, places)
        self.room.give_back(count - len(found))
        self._fetched.extend(reversed(found) if self.turned else found)
        self._at_once *= 2  # whoever wants few events reads few messages in vain

    def _found_in(self, index: int, message: Stored) -> Iterator[Entry]:
        taken, number = taken_of(self.run, index, message)
        if taken.problem is not None:
            self.spoil(self.run, message.sequence, number, taken.problem)
            if not self.turned:
                self._at = len(self._order)
                self.room.give_back(len(self._fetched))
                self._fetched.clear()
        for record in reversed(taken.records) if self.turned else taken.records:
            if self.sieve.lets_record(record):
                entry = entry_of(self.run.name, record, self.context.notice)
                if entry is not None and self.wanted.covers(entry.event):
                    yield entry

    def _tell_hole(self, index: int | None) -> None:
        """Tell of numbers that never came before a message; None: before the run's end."""
        run = self.run
        missing = run.holes.get(0 if index is None else run.places[index])
        if missing:
            behind = run.next if index is None else run.begins[index]
            self.context.notice(missing_text(run.name, behind - missing, behind))

    def _tell_gone(self, index: int) -> None:
        state = self.messages.state()
        if state is not None and state.first > self.run.places[index]:
            return  # the bounds of the stream removed it
        first = self.run.begins[index]
        self.context.notice(
            f"run {self.run.name}: the message that begins with number {first} has been removed"
        )


def taken_of(run: ListedRun, index: int, message: Stored) -> tuple[Taken, int]:
    """Prove a message of *run*, for itself, and where it goes on behind what it repeats.

    Returns:
        What is new in it, and the number from which on it is not proven, if it is not.
    """
    head = head_of(message.subject, message.headers)
    seam = run.seams.get(message.sequence)
    checked = CheckedRun(run.name)
    if seam is not None:
        checked = CheckedRun(run.name, run.begins[index], seam)
    taken = checked.take(head, message.data)
    return taken, head.first if checked.bad_at is None else checked.bad_at
