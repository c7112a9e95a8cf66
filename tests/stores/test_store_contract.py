"""The contract of stores finds each store that breaks it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from hypervisor_observability import HypervisorEvent, hookimpl
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.stores import EVERYTHING, Entry, StoreContext, Wanted
from hypervisor_observability.testing import StoreContract
from tests.stores.shelf_store import (
    FollowedShelf,
    ShelfConfig,
    ShelfHistory,
    ShelfPlugin,
    ShelfStore,
    ShelfStream,
    State,
    shelf_at,
    unreadable,
)

# A store for each way to break the contract: what is told apart by it is in the name.


class NothingWhenUnreadable(ShelfStream):
    """Takes "not at present" for "nothing there"."""

    def read(self, position: int, max_events: int) -> Reading:
        try:
            return super().read(position, max_events)
        except StreamUnavailableError:
            end = max(position, self.bounds[1])
            return Reading([], end, end - position)

    @property
    def bounds(self) -> tuple[int, int]:
        return self.start, len(self.shelf.entries) - self.origin


class ForgetsPosition(ShelfStream):
    def commit(self, position: int, state: State, *, last: bool) -> None:
        pass


class ForgetsState(ShelfStream):
    @property
    def state(self) -> None:
        return None

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        return iter(())


class SkipsTheRest(ShelfStream):
    def begin(self, origin: int) -> None:
        super().begin(origin)
        self.start = max(0, self.start)


def with_stream(kind: type[ShelfStream]) -> type[ShelfStore]:
    class Store(ShelfStore):
        def stream_for(self, reader: str, *, defers: bool) -> ShelfStream:
            stream = kind(reader, self.shelf, defers)
            self._streams.append(stream)
            return stream

    return Store


def with_followed_stream(kind: type[ShelfStream]) -> type[FollowedShelf]:
    class Followed(FollowedShelf):
        def stream_for(self, reader: str, *, defers: bool) -> ShelfStream:
            name = f"agent's {reader}"
            return self._streams.setdefault(name, kind(name, self.shelf, defers))

    return Followed


class NeverAppends(ShelfStore):
    def record(self, event: HypervisorEvent, append: object) -> None:
        self._keep(event)


class AppendsTwice(ShelfStore):
    def record(self, event: HypervisorEvent, append: Any) -> None:
        super().record(event, append)
        append(event)


class CannotFork(ShelfStore):
    def begin_anew_after_fork(self) -> None:
        raise RuntimeError("of the store")


class ForgetsWhatCameBefore(ShelfStore):
    def start(self, take_over: Any) -> None:
        super().start(take_over)
        del self.shelf.entries[self._first :]


class OpensInOpenStore(ShelfPlugin):
    @hookimpl
    def open_store(self, context: StoreContext) -> ShelfStore:
        self.config.place.mkdir()
        return ShelfStore(shelf_at(self.config.place), context)


class LetsTwoAgentsIn(FollowedShelf):
    def start(self) -> None:
        pass


class SaysNothingOfWhatIsMissing(ShelfHistory):
    def events(self, wanted: Wanted = EVERYTHING, **options: Any) -> Iterator[Entry]:
        if self.shelf.unreadable:
            return iter(())
        return super().events(wanted, **options)


class GivesTheOldest(ShelfHistory):
    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        found = list(super().events(wanted, runs=runs))[:limit]
        return iter(found[::-1] if newest_first else found)


class GivesAllRuns(ShelfHistory):
    def events(self, wanted: Wanted = EVERYTHING, **options: Any) -> Iterator[Entry]:
        options.pop("runs", None)
        return super().events(wanted, **options)


@define(eq=False)
class Parts:
    """Of which a broken store is made."""

    store: type[ShelfStore] = ShelfStore
    history: type[ShelfHistory] = ShelfHistory
    followed: type[FollowedShelf] = FollowedShelf
    plugin: type[ShelfPlugin] = ShelfPlugin

    def contract(self) -> "BrokenContract":
        parts = self

        class Plugin(parts.plugin):  # type: ignore[name-defined, misc]  # a class of the test's choice
            if parts.plugin is ShelfPlugin:

                @hookimpl
                def open_store(self, context: Any) -> ShelfStore:
                    return parts.store(shelf_at(self.config.place), context)

            @hookimpl
            def open_history(self, context: Any) -> ShelfHistory:
                return parts.history(shelf_at(self.config.place), context)

            @hookimpl
            def follow_store(self) -> FollowedShelf:
                return parts.followed(shelf_at(self.config.place))

        return BrokenContract(Plugin)


class BrokenContract(StoreContract):
    __test__ = False

    def __init__(self, kind: type[ShelfPlugin]) -> None:
        self.kind = kind

    def plugin(self, place: Path) -> object:
        return self.kind(ShelfConfig(place))

    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        return unreadable(place)


BROKEN: dict[str, tuple[Parts, set[str]]] = {
    "nothing when unreadable": (
        Parts(with_stream(NothingWhenUnreadable)),
        {"test_reads_that_fail_for_a_while_lose_nothing"},
    ),
    "agent finds nothing when unreadable": (
        Parts(followed=with_followed_stream(NothingWhenUnreadable)),
        {"test_agent_waits_for_what_cannot_be_read"},
    ),
    "forgets the position": (
        Parts(with_stream(ForgetsPosition)),
        {"test_next_process_gets_no_event_that_was_delivered"},
    ),
    "agent forgets the position": (
        Parts(followed=with_followed_stream(ForgetsPosition)),
        {"test_agent_goes_on_where_it_was"},
    ),
    "forgets the state": (
        Parts(with_stream(ForgetsState)),
        {"test_span_that_two_processes_share_is_one"},
    ),
    "skips what earlier processes left": (
        Parts(with_stream(SkipsTheRest)),
        {"test_next_process_gets_what_this_one_could_not_deliver"},
    ),
    "never appends": (
        Parts(NeverAppends),
        {"test_events_come_back_as_they_were_in_their_order"},
    ),
    "appends twice": (
        Parts(AppendsTwice),
        {"test_events_come_back_as_they_were_in_their_order"},
    ),
    "cannot fork": (
        Parts(CannotFork),
        {"test_child_of_a_fork_keeps_its_events_apart"},
    ),
    "forgets what came before the start": (
        Parts(ForgetsWhatCameBefore),
        {"test_what_was_emitted_before_the_start_is_recorded_too"},
    ),
    "opens in open_store": (
        Parts(plugin=OpensInOpenStore),
        {"test_opening_alone_leaves_nothing_behind"},
    ),
    "lets two agents in": (
        Parts(followed=LetsTwoAgentsIn),
        {"test_two_agents_do_not_read_one_store"},
    ),
    "says nothing of what is missing": (
        Parts(history=SaysNothingOfWhatIsMissing),
        {"test_what_cannot_be_read_is_told"},
    ),
    "gives the oldest": (
        Parts(history=GivesTheOldest),
        {"test_history_gives_what_is_wanted_and_no_other"},
    ),
    "gives all runs": (
        Parts(history=GivesAllRuns),
        {"test_history_knows_the_runs"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_store_fails_where_its_fault_is(name: str, tmp_path: Path) -> None:
    parts, right = BROKEN[name]
    for test in sorted(right):
        with pytest.raises(Exception):  # noqa: B017 - however it fails
            getattr(parts.contract(), test)(tmp_path)
