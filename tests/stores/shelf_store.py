"""A store in memory: what is on a shelf outlives the observability, not the process."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from hypervisor_observability import HypervisorEvent, MetricFamily, hookimpl
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StoreInUseError, StreamUnavailableError
from hypervisor_observability.stores import (
    EVERYTHING,
    Description,
    Entry,
    FollowContext,
    HistoryContext,
    StoreContext,
    Wanted,
)

State = Callable[[], Mapping[str, Any] | None]


@define(eq=False)
class Shelf:
    """What is kept at one place, and how far each reader of the agent, or of processes, is."""

    entries: list[Entry] = field(factory=list)
    runs: list[str] = field(factory=list)
    saved: dict[str, tuple[int, Any, int]] = field(factory=dict)
    """By reader: how many entries are settled; the state, and how many were when it was saved."""
    unreadable: bool = False
    followed: bool = False
    lock: threading.RLock = field(factory=threading.RLock)

    def look(self) -> list[Entry]:
        if self.unreadable:
            raise StreamUnavailableError("shelf", "nobody answers")
        return self.entries


SHELVES: dict[Path, Shelf] = {}


def shelf_at(place: Path) -> Shelf:
    return SHELVES.setdefault(place, Shelf())


@contextmanager
def unreadable(place: Path) -> Iterator[None]:
    shelf_at(place).unreadable = True
    try:
        yield
    finally:
        shelf_at(place).unreadable = False


@define(eq=False)
class ShelfStream:
    """Entries by their position on the shelf, counted from an origin; and a cursor in them."""

    reader: str
    shelf: Shelf
    defers: bool = True
    origin: int = field(default=0, init=False)
    start: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    damaged: bool = field(default=False, init=False)
    _read: int = field(default=0, init=False)

    def begin(self, origin: int) -> None:
        """Take entry number *origin* for position 0, and begin where the reader is."""
        settled = self.shelf.saved.get(self.reader, (0, None, 0))[0]
        self.origin, self.start = origin, settled - origin
        if not self.defers:
            self.skipped, self.start = max(0, -self.start), max(0, self.start)
        self._read = self.start

    def open(self) -> None:
        settled = self.shelf.saved.get(self.reader, (0, None, 0))[0]
        self.begin(settled if self.defers else len(self.shelf.look()))

    @property
    def state(self) -> Mapping[str, Any] | None:
        self.shelf.look()
        state: Mapping[str, Any] | None = self.shelf.saved.get(self.reader, (0, None, 0))[1]
        return state

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        return (events for _, events in self.since_state_by_run())

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        settled, _, state_at = self.shelf.saved.get(self.reader, (0, None, 0))
        for entry in self.shelf.look()[state_at:settled]:
            yield entry.run, [entry.event]

    @property
    def bounds(self) -> tuple[int, int]:
        return self.start, len(self.shelf.look()) - self.origin

    def read(self, position: int, max_events: int) -> Reading:
        first = self.origin + position
        entries = self.shelf.look()[first : first + max_events]
        self._read = position + len(entries)
        return Reading([entry.event for entry in entries], position, 0)

    def commit(self, position: int, state: State, *, last: bool) -> None:
        at = self.origin + position
        self.shelf.saved[self.reader] = (at, state(), at)

    def begin_anew_after_fork(self) -> None:
        self.shelf = Shelf()
        self.start = self.origin = 0

    @property
    def unfinished(self) -> set[str]:
        return set(self.shelf.runs)

    @property
    def in_flight(self) -> Sequence[tuple[str, Sequence[HypervisorEvent]]]:
        settled = self.shelf.saved.get(self.reader, (self.origin, None, 0))[0]
        some = self.shelf.entries[settled : self.origin + self._read]
        return [(entry.run, [entry.event]) for entry in some]


@define(eq=False)
class ShelfStore:
    """Records what one observability emits."""

    shelf: Shelf
    context: StoreContext
    fails: bool = False
    _run: str = field(default="", init=False)
    _first: int = field(default=0, init=False)
    _streams: list[ShelfStream] = field(factory=list, init=False)

    def start(self, take_over: Callable[[], object]) -> None:
        with self.shelf.lock:
            self._run = f"run-{len(self.shelf.runs)}"
            self.shelf.runs.append(self._run)
            self._first = len(self.shelf.entries)
            for stream in self._streams:
                stream.begin(self._first)
            take_over()
            early = self.context.log.read(0, 1_000_000)
            for event in early.events:
                self._keep(event)

    def record(self, event: HypervisorEvent, append: Callable[[HypervisorEvent], object]) -> None:
        with self.shelf.lock:
            self._keep(event)
            append(event)

    def _keep(self, event: HypervisorEvent) -> None:
        number = len(self.shelf.entries) - self._first
        self.shelf.entries.append(Entry(self._run, number, self.context.admit(event)))

    def sync(self) -> None:
        pass

    def note_clock_step(self, step_seconds: float) -> None:
        pass

    def stream_for(self, reader: str, *, defers: bool) -> ShelfStream:
        stream = ShelfStream(reader, self.shelf, defers)
        self._streams.append(stream)
        return stream

    def stream_behind_log(self, reader: str) -> ShelfStream:
        stream = ShelfStream(f"{reader} of a process", self.shelf, defers=False)
        self._streams.append(stream)
        return stream

    def stop(self, timeout: float) -> None:
        pass

    def begin_anew_after_fork(self) -> None:
        self.shelf = Shelf()

    def status(self) -> Mapping[str, Any]:
        return {"degraded": False, "lost": 0}

    def metrics(self) -> Sequence[MetricFamily]:
        return []


@define(eq=False)
class ShelfHistory:
    """Asks a shelf."""

    shelf: Shelf
    context: HistoryContext
    place: str = "a shelf"

    def runs(self) -> Sequence[str]:
        return list(self.shelf.runs)

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        chosen = None if runs is None else set(runs)
        try:
            entries = self.shelf.look()
        except StreamUnavailableError as error:
            self.context.notice(str(error))
            return
        found = [
            entry
            for entry in entries
            if (chosen is None or entry.run in chosen) and wanted.covers(entry.event)
        ]
        found.sort(key=lambda entry: entry.event.timestamp_ns)
        newest = islice(reversed(found), limit)
        yield from newest if newest_first else reversed(list(newest))

    def follow(self) -> "ShelfFollower":
        return ShelfFollower(self, len(self.shelf.look()))

    def describe(self) -> Description:
        return Description(runs=len(self.shelf.runs), events=len(self.shelf.entries))

    def close(self) -> None:
        pass


@define(eq=False)
class ShelfFollower:
    """Gives what is put on a shelf."""

    history: ShelfHistory
    seen: int

    def newest(self, wanted: Wanted, count: int) -> Sequence[Entry]:
        found = [
            entry for entry in self.history.shelf.look()[: self.seen] if wanted.covers(entry.event)
        ]
        return found[max(0, len(found) - count) :]

    def news(self) -> Iterator[Entry]:
        entries = self.history.shelf.look()[self.seen :]
        self.seen += len(entries)
        yield from entries


@define(eq=False)
class FollowedShelf:
    """A shelf for one agent."""

    shelf: Shelf
    place: str = "a shelf"
    _streams: dict[str, ShelfStream] = field(factory=dict)

    def start(self) -> None:
        if self.shelf.followed:
            raise StoreInUseError("another agent reads the shelf already")
        self.shelf.followed = True

    def stream_for(self, reader: str, *, defers: bool) -> ShelfStream:
        name = f"agent's {reader}"
        return self._streams.setdefault(name, ShelfStream(name, self.shelf, defers))

    def stop(self) -> None:
        self.shelf.followed = False

    def status(self) -> Mapping[str, Any]:
        return {"entries": len(self.shelf.entries)}

    def metrics(self) -> Sequence[MetricFamily]:
        return []


@frozen
class ShelfConfig:
    """Which shelf."""

    place: Path


@define(eq=False)
class ShelfPlugin:
    """The plugin."""

    config: ShelfConfig
    Config = ShelfConfig
    name = "shelf"

    @hookimpl
    def open_store(self, context: StoreContext) -> ShelfStore:
        return ShelfStore(shelf_at(self.config.place), context)

    @hookimpl
    def open_history(self, context: HistoryContext) -> ShelfHistory:
        return ShelfHistory(shelf_at(self.config.place), context)

    @hookimpl
    def follow_store(self, context: FollowContext) -> FollowedShelf:
        return FollowedShelf(shelf_at(self.config.place))
