"""A store in memory that several agents share: the smallest that holds the contract.

Runs are divided into parts by their names. An agent is alive as long as it has called the shelf
within the lease; part number *i* belongs to the living agent number *i* modulo how many there are.
How far a reader is in a part is kept with its owner and a revision, and written only by who knows
the revision.
"""

import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, field

from hypervisor_observability import HypervisorEvent, MetricFamily, hookimpl
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.stores import (
    Entry,
    FollowContext,
    HistoryContext,
    StoreContext,
)
from tests.stores.shelf_store import Shelf, ShelfConfig, ShelfHistory, ShelfStore, State

PARTS = ("0", "1", "2", "3")
STATE_EVERY = 3
"""Commits after which the state is saved with the position."""


@define(eq=False)
class Kept:
    """How far a reader is in a part, for whoever owns it."""

    owner: int | None = None
    revision: int = 0
    settled: int = 0
    state: Mapping[str, Any] | None = None
    state_at: int = 0


@define(eq=False)
class SharedShelf(Shelf):
    """What is kept at one place, who reads it, and how far."""

    lease_seconds: float = 30.0
    now: Callable[[], float] = time.monotonic
    agents: dict[int, float] = field(factory=dict)
    """When each agent was last seen; the first to join comes first."""
    kept: dict[tuple[str, str], Kept] = field(factory=dict)
    cut_off: set[int] = field(factory=set)
    numbers: Iterator[int] = field(factory=count)

    def entries_of(self, part: str) -> list[Entry]:
        return [entry for entry in self.entries if part_of(entry.run) == part]

    def living(self) -> list[int]:
        since = self.now() - self.lease_seconds
        return [number for number, seen in self.agents.items() if seen >= since]


def part_of(run: str) -> str:
    return PARTS[zlib.crc32(run.encode()) % len(PARTS)]


SHELVES: dict[Path, SharedShelf] = {}


def shared_shelf_at(place: Path) -> SharedShelf:
    return SHELVES.setdefault(place, SharedShelf())


@contextmanager
def unreadable(place: Path) -> Iterator[None]:
    shared_shelf_at(place).unreadable = True
    try:
        yield
    finally:
        shared_shelf_at(place).unreadable = False


@contextmanager
def cut_off(place: Path, agent: "FollowedSharedShelf") -> Iterator[None]:
    """Have *agent* not reach the shelf, and taken for dead at once."""
    shelf = shared_shelf_at(place)
    with shelf.lock:
        number = agent.number
        shelf.cut_off.add(number)
        shelf.agents[number] = agent.seen = float("-inf")
    try:
        yield
    finally:
        shelf.cut_off.discard(number)


@define(eq=False)
class Term:
    """What a reader has of a part, from when it got it until it loses it."""

    number: int
    owner: int
    revision: int
    next: int
    known: int
    """How many entries of the part were counted in the bounds."""
    asked: bool = False
    """Whether its state, and what came since, was asked for."""
    commits: int = 0


@define(eq=False)
class InFlight:
    """A reading that is not committed."""

    part: str
    term: int
    position: int
    first: int
    entries: Sequence[Entry]


@define(eq=False)
class SharedShelfStream:
    """What one reader of one agent reads."""

    reader: str
    agent: "FollowedSharedShelf"
    defers: bool = True
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    damaged: bool = field(default=False, init=False)
    state: None = field(default=None, init=False)
    part: str | None = field(default=None, init=False)
    _terms: dict[str, Term] = field(factory=dict, init=False)
    _numbers: Iterator[int] = field(factory=count, init=False)
    _position: int = field(default=0, init=False)
    _owed: Counter[str] = field(factory=Counter, init=False)
    """What was counted in the bounds, and is to be passed over, by reason."""
    _left: Counter[str] = field(factory=Counter, init=False)
    _in_flight: InFlight | None = field(default=None, init=False)

    @property
    def shelf(self) -> SharedShelf:
        return self.agent.shelf

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        return iter(())

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        return iter(())

    def open(self) -> None:
        with self.shelf.lock:
            self._look()

    # Whose the parts are

    def _look(self) -> None:
        """Find out which parts are this agent's; give up and take what that makes necessary."""
        number = self.agent.look()
        self._check_lease()
        living = self._living()
        for place, part in enumerate(PARTS):
            kept = self.shelf.kept.get((self.reader, part))
            wanted = living[place % len(living)] == number
            term = self._terms.get(part)
            if term is not None and kept is not None and kept.revision != term.revision:
                self._lose(part)  # another agent has taken it
                term = None
            if term is not None and not wanted and not self._reads(part):
                self._give_up(part)
            if term is None and wanted:
                if kept is None:
                    kept = self.shelf.kept[self.reader, part] = Kept()
                    if not self.defers:
                        kept.settled = kept.state_at = len(self.shelf.entries_of(part))
                        self._owed["not_replayed"] += kept.settled
                if kept.owner == number or self._is_free(kept):
                    kept.owner = number
                    kept.revision += 1
                    self._terms[part] = Term(
                        next(self._numbers), number, kept.revision, kept.settled, kept.settled
                    )

    def _living(self) -> list[int]:
        return self.shelf.living()

    def _is_free(self, kept: Kept) -> bool:
        return kept.owner not in self.shelf.living()

    def _reads(self, part: str) -> bool:
        reading, term = self._in_flight, self._terms[part]
        return reading is not None and (reading.part, reading.term) == (part, term.number)

    def _lose(self, part: str) -> None:
        term = self._terms.pop(part)
        self._owed["deferred"] += term.known - term.next

    def _give_up(self, part: str) -> None:
        kept = self.shelf.kept[self.reader, part]
        if kept.revision == self._terms[part].revision:
            kept.owner = None
            kept.revision += 1
        self._lose(part)

    def give_up_all(self) -> None:
        for part in list(self._terms):
            self._give_up(part)

    @property
    def parts(self) -> Mapping[str, int]:
        with self.shelf.lock:
            self._check_lease()
            return {part: term.number for part, term in self._terms.items()}

    def _check_lease(self) -> None:
        for part, term in list(self._terms.items()):
            if self.agent.lease_is_over or term.owner != self.agent.number:
                self._lose(part)

    # As a stream

    @property
    def bounds(self) -> tuple[int, int]:
        with self.shelf.lock:
            self._look()
            living = self._living()
            for place, part in enumerate(PARTS):
                if living[place % len(living)] == self.agent.number and part not in self._terms:
                    raise StreamUnavailableError(part, "another agent has it still")
            waiting = self._owed.total()
            for part, term in self._terms.items():
                term.known = max(term.known, len(self.shelf.entries_of(part)))
                waiting += term.known - term.next
            return 0, self._position + waiting

    def read(self, position: int, max_events: int) -> Reading:
        with self.shelf.lock:
            self._look()
            self._go_back(position)
            owed = self._owed.total()
            if owed:
                self._left.update(self._owed)
                self._owed.clear()
                self._position += owed
                return Reading([], position + owed, owed)
            for part, term in list(self._terms.items()):
                entries = self.shelf.entries_of(part)[term.next : term.next + max_events]
                if not (entries and term.asked):
                    continue
                self._in_flight = InFlight(part, term.number, position, term.next, entries)
                self._terms[part] = self._terms.pop(part)  # behind all others
                term.next += len(entries)
                term.known = max(term.known, term.next)
                self._position += len(entries)
                self.part = part
                return Reading([entry.event for entry in entries], position, 0)
            return Reading([], position, 0)

    def _go_back(self, position: int) -> None:
        """Give back what was read behind *position*, and not taken."""
        reading, again = self._in_flight, self._position - position
        self._in_flight = None
        if reading is None or not again:
            return
        self._position = position
        term = self._terms.get(reading.part)
        if term is None or term.number != reading.term:
            self._owed["deferred"] += again
        else:
            term.next -= again

    def left(self) -> Mapping[str, int]:
        return dict(self._left)

    @property
    def in_flight(self) -> Sequence[tuple[str, Sequence[HypervisorEvent]]]:
        entries = [] if self._in_flight is None else self._in_flight.entries
        return [(entry.run, [entry.event]) for entry in entries]

    @property
    def unfinished(self) -> set[str]:
        return set(self.shelf.runs)

    # As a cursor

    def state_of(self, part: str) -> Mapping[str, Any] | None:
        with self.shelf.lock:
            self._term(part)
            return self.shelf.kept[self.reader, part].state

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        with self.shelf.lock:
            self._term(part)
            kept = self.shelf.kept[self.reader, part]
            entries = self.shelf.entries_of(part)[kept.state_at : kept.settled]
        for entry in entries:
            yield entry.run, [entry.event]
        with self.shelf.lock:
            self._term(part).asked = True

    def _term(self, part: str) -> Term:
        self._look()
        if part not in self._terms:
            raise StreamUnavailableError(part, "it is another agent's by now")
        return self._terms[part]

    def commit(self, position: int, state: State, *, last: bool) -> None:
        with self.shelf.lock:
            reading = self._in_flight
            if reading is None or self.agent.number in self.shelf.cut_off:
                return
            term, kept = self._terms.get(reading.part), self.shelf.kept[self.reader, reading.part]
            if term is None or term.number != reading.term or kept.revision != term.revision:
                return
            kept.settled = reading.first + min(position - reading.position, len(reading.entries))
            kept.revision = term.revision = term.revision + 1
            term.commits += 1
            if last or term.commits % STATE_EVERY == 0:
                kept.state, kept.state_at = state(), kept.settled
            if position >= reading.position + len(reading.entries):
                self._in_flight = None

    def begin_anew_after_fork(self) -> None:
        raise AssertionError("an agent does not fork")


@define(eq=False)
class FollowedSharedShelf:
    """A shelf, for one of its agents."""

    shelf: SharedShelf
    place: str = "a shared shelf"
    stream: type[SharedShelfStream] = SharedShelfStream
    number: int = field(default=-1, init=False)
    stopped: bool = field(default=False, init=False)
    _streams: dict[str, SharedShelfStream] = field(factory=dict, init=False)
    seen: float = field(default=float("-inf"), init=False)

    def start(self) -> None:
        with self.shelf.lock:
            self.look()

    @property
    def lease_is_over(self) -> bool:
        """Whether others may have what this agent had, as its own clock tells."""
        return self.shelf.now() - self.seen > self.shelf.lease_seconds

    def look(self) -> int:
        """Say that this agent is alive; give its number, another one if it was taken for dead."""
        if self.stopped:
            raise StreamUnavailableError("shelf", "this agent has ended")
        if self.shelf.unreadable or self.number in self.shelf.cut_off:
            raise StreamUnavailableError("shelf", "nobody answers")
        if self.lease_is_over:
            self.shelf.agents.pop(self.number, None)
            self.number = next(self.shelf.numbers)
        self.shelf.agents[self.number] = self.seen = self.shelf.now()
        return self.number

    def stream_for(self, reader: str, *, defers: bool) -> SharedShelfStream:
        return self._streams.setdefault(reader, self.stream(reader, self, defers))

    def stop(self) -> None:
        with self.shelf.lock:
            for stream in self._streams.values():
                stream.give_up_all()
            self.shelf.agents.pop(self.number, None)
            self.stopped = True

    def status(self) -> Mapping[str, Any]:
        return {"entries": len(self.shelf.entries)}

    def metrics(self) -> Sequence[MetricFamily]:
        return []


@define(eq=False)
class SharedShelfPlugin:
    """The plugin."""

    config: ShelfConfig
    followed: type[FollowedSharedShelf] = FollowedSharedShelf
    Config = ShelfConfig
    name = "shelf"

    @hookimpl
    def open_store(self, context: StoreContext) -> ShelfStore:
        return ShelfStore(shared_shelf_at(self.config.place), context)

    @hookimpl
    def open_history(self, context: HistoryContext) -> ShelfHistory:
        return ShelfHistory(shared_shelf_at(self.config.place), context)

    @hookimpl
    def follow_store(self, context: FollowContext) -> FollowedSharedShelf:
        return self.followed(shared_shelf_at(self.config.place))
