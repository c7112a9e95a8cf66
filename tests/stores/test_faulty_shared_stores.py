"""What a shared store gives an agent may be odd: the agent waits, and loses nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from hypervisor_observability import HypervisorEvent, Observability
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.counts import Counts
from hypervisor_observability.errors import ConfigError, StreamUnavailableError
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.host.missed import missed_events
from hypervisor_observability.host.store_streams import CheckedStream
from hypervisor_observability.testing.readers import AwayReader, SpanReader, TakingReader
from hypervisor_observability.testing.store_tests import config_of, emit, numbers_of, until
from tests.stores.shared_shelf_store import (
    FollowedSharedShelf,
    SharedShelf,
    SharedShelfPlugin,
    SharedShelfStream,
)
from tests.stores.shelf_store import ShelfConfig

EVENTS = 10


@define(eq=False)
class OddOnce(SharedShelfStream):
    """Gives an odd answer, or raises, the first time that it is asked something."""

    odd: dict[str, Any] = field(factory=dict)

    def _answer(self, what: str, right: Any) -> Any:
        if what not in self.odd:
            return right()
        given = self.odd.pop(what)
        if isinstance(given, type):
            raise given("of the store")
        return given

    @property
    def parts(self) -> Any:
        return self._answer("parts", lambda: SharedShelfStream.parts.fget(self))  # type: ignore[attr-defined]  # mypy knows no fget

    def state_of(self, part: str) -> Any:
        return self._answer("state_of", lambda: SharedShelfStream.state_of(self, part))

    def since_state_of(self, part: str) -> Any:
        return self._answer("since_state_of", lambda: SharedShelfStream.since_state_of(self, part))

    def left(self) -> Any:
        return self._answer("left", lambda: SharedShelfStream.left(self))


def followed_with(kind: Any, **options: Any) -> Any:
    class Followed(FollowedSharedShelf):
        def stream_for(self, reader: str, *, defers: bool) -> SharedShelfStream:
            if reader not in self._streams:
                self._streams[reader] = kind(reader, self, defers, **options)
            return self._streams[reader]

    return Followed


def record(place: Path) -> None:
    plugin = SharedShelfPlugin(ShelfConfig(place))
    with Observability(config_of(), plugins=[plugin]) as observability:
        for number in range(EVENTS):
            emit(observability.bus, number)


def agent_over(place: Path, followed: Any, *readers: object) -> Agent:
    return Agent(config_of(), plugins=[SharedShelfPlugin(ShelfConfig(place), followed), *readers])


@pytest.mark.parametrize("given", [42, {"0": "1"}, {0: 1}, {"0": -1}, RuntimeError, SystemExit])
def test_agent_asks_again_for_its_parts(tmp_path: Path, given: Any) -> None:
    record(tmp_path)
    reader, spans = TakingReader(), SpanReader()
    followed = followed_with(OddOnce, odd={"parts": given})
    with agent_over(tmp_path, followed, reader, spans) as agent:
        assert until(lambda: len(numbers_of(reader.events)) == EVENTS)
        assert agent.flush(10)
        assert agent.counts()["spans"].delivered == EVENTS


@pytest.mark.parametrize("what", ["state_of", "since_state_of"])
@pytest.mark.parametrize("given", [42, ["of", "the", "store"], RuntimeError, SystemExit])
def test_agent_asks_again_for_what_was_saved(tmp_path: Path, what: str, given: Any) -> None:
    record(tmp_path)
    reader, spans = TakingReader(), SpanReader()
    followed = followed_with(OddOnce, odd={what: given})
    with agent_over(tmp_path, followed, reader, spans) as agent:
        assert until(lambda: len(numbers_of(reader.events)) == EVENTS)
        assert agent.flush(10)
        assert agent.counts()["spans"].delivered == EVENTS
        assert agent.states() == {"reader": "running", "spans": "running"}


@pytest.mark.parametrize(
    "given",
    [42, {"deferred": "3"}, {"lost": 3}, {"deferred": -1}, {"deferred": 10**9}, RuntimeError],
)
def test_skipped_events_count_once_whatever_the_reason(tmp_path: Path, given: Any) -> None:
    """A reason that cannot be had is no reason to lose count."""

    class PassesOver(OddOnce):
        passed = False

        def read(self, position: int, max_events: int) -> Reading:
            if self.passed or not self._terms:
                return super().read(position, max_events)
            self.passed = True
            self._position += 3
            return Reading([], position + 3, 3)

    record(tmp_path)
    reader = TakingReader()
    followed = followed_with(PassesOver, odd={"left": given})
    with agent_over(tmp_path, followed, reader) as agent:
        assert until(lambda: len(numbers_of(reader.events)) == EVENTS)
        counts = agent.counts()["reader"]
        assert counts.emitted == counts.delivered + counts.dropped_total + counts.pending
        assert counts.dropped_total == 3


def test_events_of_a_part_that_was_not_asked_for_are_no_reading(tmp_path: Path) -> None:
    """Its spans and totals would begin at zero."""

    class ReadsUnasked(SharedShelfStream):
        part = None

        def read(self, position: int, max_events: int) -> Reading:
            reading = super().read(position, max_events)
            self.part = "of nobody"
            return reading

    record(tmp_path)
    reader = TakingReader()
    with agent_over(tmp_path, followed_with(ReadsUnasked), reader) as agent:
        assert not agent.flush(0.3)
        assert agent.counts()["reader"].delivered == 0
    assert reader.events == []


def test_shared_stream_that_lacks_a_method_is_named(tmp_path: Path) -> None:
    class Lacks(SharedShelfStream):
        since_state_of: Any = None

    with pytest.raises((ConfigError, TypeError), match="lacks the method 'since_state_of'"):
        agent_over(tmp_path, followed_with(Lacks), TakingReader())


def test_state_that_is_damaged_costs_what_was_open_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Perhaps another release saved it: totals begin at zero, and that is reported."""

    class Damaged(SharedShelfStream):
        def state_of(self, part: str) -> Mapping[str, Any]:
            super().state_of(part)
            return {"version": "of another release"}

        def since_state_of(self, part: str) -> Iterator[tuple[str, list[HypervisorEvent]]]:
            list(super().since_state_of(part))
            return iter(())

    record(tmp_path)
    reader, spans = TakingReader(), SpanReader()
    with agent_over(tmp_path, followed_with(Damaged), reader, spans) as agent:
        assert until(lambda: len(numbers_of(reader.events)) == EVENTS)
        assert agent.flush(10)
        assert agent.counts()["spans"].delivered == EVENTS
    assert "totals begin at zero" in caplog.text
    assert "open spans are lost" in caplog.text


def test_shelf_knows_that_an_agent_has_ended() -> None:
    followed = FollowedSharedShelf(SharedShelf())
    followed.start()
    followed.stop()
    assert not followed.shelf.living()


def test_agent_says_at_its_end_that_others_may_have_what_it_leaves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(tmp_path)
    with agent_over(tmp_path, FollowedSharedShelf, AwayReader()) as agent:
        assert until(lambda: agent.counts()["reader"].in_flight)
        assert agent.status()["store"]["shared"]

    assert f"reader {EVENTS} of {EVENTS} (left to another agent, or to the next run)" in caplog.text


def test_events_that_a_shared_store_has_lost_are_not_said_to_be_of_a_journal() -> None:
    counts = Counts(
        emitted=5, delivered=3, rejected=0, dropped={"expired": 2}, in_flight=0, pending=0
    )
    own = {"emitted": 5, "store": {"name": "shelf", "shared": True}}

    assert missed_events({"reader": counts}, own) == (
        "events not delivered: reader 2 of 5 (no longer in the store)"
    )


def test_agent_starts_while_others_keep_a_part_that_falls_to_it(tmp_path: Path) -> None:
    """What they have, they tell of still: no total is missing that a backend has seen."""

    class NeverAll(SharedShelfStream):
        @property
        def bounds(self) -> tuple[int, int]:
            raise StreamUnavailableError("3", "another agent has it still")

    record(tmp_path)
    reader = TakingReader()
    with agent_over(tmp_path, followed_with(NeverAll), reader) as agent:
        assert until(lambda: len(numbers_of(reader.events)) == EVENTS)
        assert not agent.flush(0.2)  # nobody knows what waits there


def test_what_was_skipped_at_the_start_counts_once() -> None:
    """``left`` tells of it, too: what a later reading passes over has a reason of its own."""
    followed = FollowedSharedShelf(SharedShelf())
    followed.start()

    class Skips(SharedShelfStream):
        def left(self) -> Mapping[str, int]:
            return {"not_replayed": 3, "deferred": 2}

        def read(self, position: int, max_events: int) -> Reading:
            return Reading([], position + 2, 2) if position == 0 else Reading([], position, 0)

    stream = Skips("reader", followed)
    stream.skipped = 3
    checked = CheckedStream("shelf", stream, shared=True)
    account = Account(checked, checked, checked)
    account.read(10)

    assert account.counts().dropped == {"not_replayed": 3, "deferred": 2}
