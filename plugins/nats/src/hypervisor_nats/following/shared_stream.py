"""What one reader reads of the stream: the partitions that are its agent's."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from hypervisor_nats.following.entries import Entry, Snapshot
from hypervisor_nats.following.fleet import Fleet
from hypervisor_nats.following.portion import EXPIRED, UNVERIFIED, Portion
from hypervisor_nats.following.term import Term
from hypervisor_nats.following.unsettled import Unsettled
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.text.limited_log import LimitedLog

DEFERRED, NOT_REPLAYED = "deferred", "not_replayed"
_MAX_THREADS = 64
State = Callable[[], Mapping[str, Any] | None]


@define(eq=False)
class PartitionStream:
    """A stream, and the cursor in it, over partitions that come and go.

    Positions count what was read since the process began. The partitions take turns, a reading
    for each.

    Attributes:
        name: Of the reader.
        fleet: The agent.
        defers: Whether what is left is for the next one; if not, the reader begins behind all
            that is there when it gets a partition.
        lock: Held by whoever reads, or changes which partitions there are.
        terms: The partitions, by number.
    """

    name: str
    fleet: Fleet
    defers: bool = True
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    damaged: bool = field(default=False, init=False)
    """Whether a message was come across that is not proven."""
    lock: threading.RLock = field(factory=threading.RLock, init=False)
    terms: dict[int, Term] = field(factory=dict, init=False)
    _turns: "deque[int]" = field(factory=deque, init=False)
    _unsettled: Unsettled = field(factory=Unsettled, init=False)
    _told_end: int = field(default=0, init=False)
    _lost: int = field(default=0, init=False)
    """How many events waited in partitions that were lost, and are still counted."""
    _left: "Counter[str]" = field(factory=Counter, init=False)
    _part: str | None = field(default=None, init=False)
    _shown: dict[int, set[int]] = field(factory=dict, init=False)
    """The terms that a thread was told of last: a reader that keeps no state asks for none."""
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    # Which partitions

    def add(self, term: Term) -> None:
        """Take up a partition."""
        with self.lock:
            self.terms[term.partition] = term
            self._turns.append(term.partition)

    def drop(self, term: Term) -> None:
        """Give up a partition, and what was read of it and not committed."""
        with self.lock:
            if self.terms.get(term.partition) is not term:
                return
            del self.terms[term.partition]
            self._turns.remove(term.partition)
            self._lost += term.waiting + self.fleet.waiting(term)
            self._unsettled.forget(term)

    def is_idle(self, term: Term) -> bool:
        """Tell whether the reader has nothing of *term* in its hands."""
        with self.lock:
            return not self._unsettled.of(term)

    @property
    def parts(self) -> Mapping[str, int]:
        """The partitions, each with the number of its term."""
        with self.lock:
            terms = list(self.terms.values()) if self.fleet.keeps else []
            if len(self._shown) > _MAX_THREADS:
                self._shown.clear()
            self._shown[threading.get_ident()] = {term.number for term in terms}
            return {term.name: term.number for term in terms}

    @property
    def part(self) -> str | None:
        """The partition of the last reading that had events."""
        return self._part

    def left(self) -> Mapping[str, int]:
        """Tell why events were passed over that the bounds of the stream have not taken."""
        with self.lock:
            return {reason: count for reason, count in self._left.items() if reason != EXPIRED}

    # State

    def open(self) -> None:
        """Find out whether the agent has its partitions.

        Raises:
            StreamUnavailableError: It has not looked yet.
        """
        self.fleet.check()

    @property
    def state(self) -> Mapping[str, Any] | None:
        """None: see ``state_of``."""
        return None

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give nothing: see ``since_state_of``."""
        return iter(())

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give nothing: see ``since_state_of``."""
        return iter(())

    def state_of(self, part: str) -> Mapping[str, Any] | None:
        """Give what was saved of a partition.

        Raises:
            StreamUnavailableError: It is not this agent's any more, or cannot be read at present.
        """
        term = self._term_of(part)
        if term.is_touched or term.is_ready:
            self.fleet.rewind(term)
        return term.snapshot.state

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what was settled between that and where the term began.

        Raises:
            StreamUnavailableError: As ``state_of``.
        """
        term = self._term_of(part)
        for run, events in term.events_since(self.fleet.patience):
            yield run, events
            self._term_of(part)
        term.is_ready = True

    def _term_of(self, part: str) -> Term:
        self.fleet.check()
        with self.lock:
            for term in self.terms.values():
                if term.name == part:
                    return term
        raise StreamUnavailableError(f"partition {part}", "it is another agent's now")

    # As a stream

    @property
    def bounds(self) -> tuple[int, int]:
        """0, and the position behind all that waits."""
        with self.lock:
            terms = list(self.terms.values())
        self.fleet.look(self.name, terms)
        with self.lock:
            self._told_end = max(self._told_end, self._unsettled.position + self._waiting())
            return 0, self._told_end

    def _waiting(self) -> int:
        return sum(term.waiting + self.fleet.waiting(term) for term in self.terms.values())

    def read(self, position: int, max_events: int) -> Reading:
        """Read on, in the partition whose turn it is.

        Raises:
            StreamUnavailableError: The agent may have lost what it had.
        """
        with self.lock:
            self.fleet.check()
            self._go_back(position)
            self._unsettled.settle_what_is_passed()
            shown = self._shown.get(threading.get_ident(), set())
            for _ in range(len(self._turns)):
                term = self.terms[self._turns[0]]
                self._turns.rotate(-1)
                if term.leaves_at is not None or not self._is_ready(term, shown):
                    continue
                if term.not_told:
                    return self._pass(NOT_REPLAYED, term)
                found = self._take(term, max_events)
                if term.pull.has_room:
                    self.fleet.wake(term)
                if self._unsettled.position > position:
                    return _reading(position, found)
            return self._pass_what_was_lost()

    def _is_ready(self, term: Term, shown: set[int]) -> bool:
        if not term.is_ready and term.number in shown:
            term.is_ready = term.pass_since()
        return term.is_ready

    def _take(self, term: Term, max_events: int) -> list[Portion]:
        found = []
        for portion in term.take(max_events):
            found.append(self._unsettled.give(term, portion))
            self._left.update(portion.skips)
            if portion.events:
                self._part = term.name
        self.damaged = self.damaged or any(UNVERIFIED in one.skips for one in found)
        return found

    def _go_back(self, position: int) -> None:
        """Give back what was read behind *position*, and not taken."""
        for term, portion in self._unsettled.take_back(position):
            self._left.subtract(portion.skips)
            term.returned.appendleft(portion)

    def _pass(self, reason: str, term: Term) -> Reading:
        count, term.not_told = term.not_told, 0
        return self._passed(count, reason)

    def _passed(self, count: int, reason: str) -> Reading:
        self._left[reason] += count
        self._unsettled.position += count
        return Reading((), self._unsettled.position, count)

    def _pass_what_was_lost(self) -> Reading:
        """Pass over what was said to wait, and does not: it was of partitions that were lost, or
        of messages that were not what their heads said.
        """
        missing = self._told_end - self._unsettled.position - self._waiting()
        if missing <= 0:
            return Reading((), self._unsettled.position, 0)
        lost = min(missing, self._lost)
        self._lost -= lost
        return self._passed(lost or missing, DEFERRED if lost else UNVERIFIED)

    # As a cursor

    def commit(self, position: int, state: State, *, last: bool) -> None:
        """Save how far each partition is read up to *position*. Never raises."""
        begun = time.monotonic()
        saved: list[tuple[Term, Entry, Snapshot | None]]
        with self.lock:
            touched = self._unsettled.settle(position)
            current = next((term for term in self.terms.values() if term.name == self._part), None)
            saved = [(term, term.entry(), None) for term in touched if term is not current]
            if current is not None:
                due = self.fleet.keeps and (last or begun >= current.snapshot_due)
                snapshot = self._snapshot(current, state) if due else None
                if current in touched or snapshot is not None:
                    saved.append((current, current.entry(), snapshot))
        for term, entry, snapshot in saved:
            self.fleet.save(term, entry, snapshot)
            if snapshot is not None:
                term.note_snapshot(begun)  # also where it failed: not with each batch

    def _snapshot(self, term: Term, state: State) -> Snapshot | None:
        try:
            given = state()
        except Exception as error:  # noqa: BLE001 - a plugin's own state may be odd
            self._limited_log.warning("state", "the state of %s is not saved: %s", self.name, error)
            return None
        return self.snapshot_of(term, given)

    def snapshot_of(self, term: Term, state: Mapping[str, Any] | None) -> Snapshot:
        """Give what is saved of *term* with the reader's *state*, which is of what is settled."""
        return term.snapshot_with(state, self._unsettled.of(term))

    def begin_anew_after_fork(self) -> None:
        """Nothing forks here but a plugin; its child delivers nothing."""
        self.lock = threading.RLock()
        self.terms.clear()
        self._turns.clear()
        self._unsettled = Unsettled()

    # As an agent follows it

    @property
    def unfinished(self) -> set[str]:
        """Names of the runs that live, or have something left."""
        with self.lock:
            return set[str]().union(*(term.living for term in self.terms.values()))

    @property
    def in_flight(self) -> list[tuple[str, Sequence[HypervisorEvent]]]:
        """What was read and is not committed, with the names of the runs."""
        with self.lock:
            return self._unsettled.by_run


def _reading(position: int, found: Sequence[Portion]) -> Reading:
    skipped = sum(one.skipped for one in found)
    events = [event for one in found for event in one.events]
    return Reading(events, position + skipped, skipped)
