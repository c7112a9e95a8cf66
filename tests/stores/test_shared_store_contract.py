"""The contract of shared stores finds each store that breaks it, where its fault is."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import HypervisorEvent
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.testing import SharedStoreContract, store_tests
from hypervisor_observability.testing.sharing_contract import SharingContract
from tests.stores.shared_shelf_store import (
    FollowedSharedShelf,
    Kept,
    SharedShelfPlugin,
    SharedShelfStream,
    cut_off,
    unreadable,
)
from tests.stores.shelf_store import ShelfConfig, State

SHARES = "test_two_agents_share_the_events"
STOPS = "test_agent_that_stops_leaves_its_part_to_the_other"
IS_CUT_OFF = "test_agent_that_is_cut_off_is_replaced"
IS_LATE = "test_agent_that_was_late_saves_nothing_over_another"
SPAN = "test_span_that_two_agents_see_is_one"
WAITS = "test_part_that_cannot_be_read_is_waited_for"
TESTS = {name for name in vars(SharingContract) if name.startswith("test_")}


class HasEverything(SharedShelfStream):
    """Each agent reads all parts, with a position of its own."""

    def _living(self) -> list[int]:
        return [self.agent.number]

    def _look(self) -> None:
        self.reader = f"{self.reader.partition(' ')[0]} {self.agent.number}"
        super()._look()


class ForgetsState(SharedShelfStream):
    def state_of(self, part: str) -> None:
        super().state_of(part)

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        list(super().since_state_of(part))
        return iter(())


class TakesFromNobody(SharedShelfStream):
    """A part whose owner is gone stays his."""

    def _is_free(self, kept: Kept) -> bool:
        return kept.owner is None


class SavesOverOthers(SharedShelfStream):
    """Writes how far it is whoever has the part by now."""

    def commit(self, position: int, state: State, *, last: bool) -> None:
        reading = self._in_flight
        super().commit(position, state, last=last)
        if reading is not None and self.agent.number not in self.shelf.cut_off:
            kept = self.shelf.kept[self.reader, reading.part]
            kept.settled = reading.first + len(reading.entries)


def contract_of(kind: type[SharedShelfStream]) -> SharedStoreContract:
    class Followed(FollowedSharedShelf):
        def __init__(self, shelf: Any) -> None:
            super().__init__(shelf, stream=kind)

    class Contract(SharedStoreContract):
        __test__ = False

        def plugin(self, place: Path) -> object:
            return SharedShelfPlugin(ShelfConfig(place), Followed)

        def unreadable(self, place: Path) -> AbstractContextManager[None]:
            return unreadable(place)

        def cut_off(self, place: Path, agent: Agent) -> AbstractContextManager[None]:
            assert isinstance(agent.followed, FollowedSharedShelf)
            return cut_off(place, agent.followed)

    return Contract()


@pytest.mark.parametrize(
    ("kind", "broken", "chance"),
    [
        (SharedShelfStream, set[str](), set[str]()),
        (HasEverything, {SHARES, STOPS, IS_CUT_OFF, IS_LATE}, set[str]()),
        (ForgetsState, {STOPS, IS_CUT_OFF, IS_LATE, SPAN, WAITS}, set[str]()),
        (TakesFromNobody, {IS_CUT_OFF, IS_LATE}, set[str]()),
        # An agent that was cut off while it read saves that over what the other one did.
        (SavesOverOthers, {IS_LATE}, {IS_CUT_OFF}),
    ],
)
def test_broken_store_fails_where_its_fault_is(
    kind: type[SharedShelfStream],
    broken: set[str],
    chance: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """*broken* fail, and of *chance* any."""
    failed: dict[str, Exception] = {}
    for name in TESTS:
        place = tmp_path / name
        place.mkdir()
        with monkeypatch.context() as patch:
            if name in broken:  # what fails is not waited for
                patch.setattr(store_tests, "WIDE_SECONDS", 1.5)
            try:
                getattr(contract_of(kind), name)(place)
            except Exception as error:
                failed[name] = error
    assert failed.keys() - chance == broken, failed
