"""What a store gives the agent may be odd: the agent waits, or goes on without it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.config import StateConfig
from hypervisor_observability.errors import ConfigError, SettingError
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.host.status import read_status
from hypervisor_observability.stores import FollowContext
from hypervisor_observability.testing.readers import TakingReader
from tests.stores.shelf_store import FollowedShelf, ShelfConfig, ShelfPlugin, ShelfStream, shelf_at
from tests.stores.test_faulty_stores import (
    ERRORS,
    ODD_METRICS,
    ODD_STATUSES,
    WIDE_SECONDS,
    Other,
    assert_holds,
    numbers,
    raising,
)

EVENTS = 10


@define(eq=False)
class FollowedPlugin(ShelfPlugin):
    """Its shelf is followed by what the test wants."""

    followed: Any = FollowedShelf

    @hookimpl
    def follow_store(self, context: FollowContext) -> Any:
        return self.followed(shelf_at(self.config.place))


def config_in(folder: Path) -> Config:
    return Config(
        delivery=DeliveryConfig(interval_seconds=0.01),
        state=StateConfig(directory=folder / "state"),
        stop_timeout_seconds=5,
    )


def record(folder: Path) -> None:
    with Observability(plugins=[ShelfPlugin(ShelfConfig(folder))]) as observability:
        for number in range(EVENTS):
            observability.bus.record(EventType.VFS_WRITE, payload={"number": number})


def agent_over(folder: Path, followed: Any, *readers: object) -> Agent:
    plugin = FollowedPlugin(ShelfConfig(folder), followed)
    return Agent(config_in(folder), plugins=[plugin, *readers])


def followed_with(**methods: Any) -> type[FollowedShelf]:
    return type("FaultyShelf", (FollowedShelf,), methods)


class Once:
    """Does what a store should not, the first time that it is asked."""

    def __init__(self, fault: Any) -> None:
        self.fault = fault

    def __call__(self, right: Any) -> Any:
        fault, self.fault = self.fault, None
        if fault is None:
            return right()
        return fault() if callable(fault) else fault


class RaisesOnce(ShelfStream):
    fault: Any = None

    def read(self, position: int, max_events: int) -> Any:
        return self.fault(lambda: ShelfStream.read(self, position, max_events))


class OpensLate(ShelfStream):
    fault: Any = None

    def open(self) -> None:
        self.fault(lambda: ShelfStream.open(self))


class HasNoRuns(ShelfStream):
    fault: Any = None

    @property
    def unfinished(self) -> Any:
        raise RuntimeError("of the store")


class ForgetsWhatIsInFlight(ShelfStream):
    fault: Any = None

    @property
    def in_flight(self) -> Any:
        return self.fault(lambda: ShelfStream.in_flight.fget(self))  # type: ignore[attr-defined]  # mypy knows no fget


class GivesNoStateAtFirst(ShelfStream):
    fault: Any = None

    def since_state_by_run(self) -> Any:
        return self.fault(lambda: ShelfStream.since_state_by_run(self))


@pytest.mark.parametrize(
    "kind", [RaisesOnce, OpensLate, HasNoRuns, ForgetsWhatIsInFlight, GivesNoStateAtFirst]
)
@pytest.mark.parametrize("fault", [raising(RuntimeError), raising(SystemExit), 42])
def test_agent_asks_again_where_a_stream_was_odd(tmp_path: Path, kind: Any, fault: Any) -> None:
    record(tmp_path)

    def stream_for(self: FollowedShelf, reader: str, *, defers: bool) -> ShelfStream:
        name = f"agent's {reader}"
        stream: ShelfStream = kind(name, self.shelf, defers)
        self._streams[name] = stream
        kind.fault = Once(fault)
        return stream

    reader, other = TakingReader(), Other()
    with agent_over(tmp_path, followed_with(stream_for=stream_for), reader, other) as agent:
        assert agent.flush(WIDE_SECONDS)
        agent.collect_metrics()
        assert agent.states() == {"reader": "running", "other": "running"}
        for name, counts in agent.counts().items():
            assert counts.delivered == EVENTS
            assert_holds(name, counts)
    assert numbers(reader.events) == numbers(other.events) == list(range(EVENTS))


@pytest.mark.parametrize("given", ODD_STATUSES)
def test_agent_writes_its_status_whatever_a_store_says(tmp_path: Path, given: Any) -> None:
    record(tmp_path)
    fault = raising(given) if isinstance(given, type) else lambda _: given
    with agent_over(tmp_path, followed_with(status=fault), TakingReader()) as agent:
        assert agent.flush(WIDE_SECONDS)
    status = read_status(tmp_path / "state")

    assert status["store"]["name"] == "shelf"
    assert status["plugins"]["reader"]["delivered"] == EVENTS


@pytest.mark.parametrize("given", ODD_METRICS)
def test_odd_metrics_of_a_followed_store_spoil_no_other(tmp_path: Path, given: Any) -> None:
    record(tmp_path)
    fault = raising(given) if isinstance(given, type) else lambda _: given
    with agent_over(tmp_path, followed_with(metrics=fault), TakingReader()) as agent:
        assert agent.flush(WIDE_SECONDS)
        names = [family.name for family in agent.collect_metrics()]
    assert len(set(names)) == len(names)
    assert "agent_hypervisor_observability_plugin_up" in names


@pytest.mark.parametrize("error", ERRORS)
def test_agent_ends_whatever_a_store_raises_then(
    tmp_path: Path, error: type[BaseException]
) -> None:
    record(tmp_path)
    reader = TakingReader()
    with agent_over(tmp_path, followed_with(stop=raising(error)), reader) as agent:
        assert agent.flush(WIDE_SECONDS)
    assert numbers(reader.events) == list(range(EVENTS))


@pytest.mark.parametrize("given", [None, 42, FollowedShelf])
def test_agent_says_what_is_no_followed_store(tmp_path: Path, given: Any) -> None:
    with pytest.raises(ConfigError, match="follow_store gave"):
        agent_over(tmp_path, lambda _: given)


def test_agent_says_which_method_of_a_followed_store_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FaultyShelf, which lacks the method 'metrics'"):
        agent_over(tmp_path, followed_with(metrics=None))


def test_agent_says_which_value_of_a_table_cannot_be_used(tmp_path: Path) -> None:
    def refuse(_: object) -> Any:
        raise SettingError("place", "it is taken")

    with pytest.raises(ConfigError, match=r"plugins\.shelf\.place: it is taken"):
        agent_over(tmp_path, refuse)


def test_agent_refuses_two_stores_and_names_both(tmp_path: Path) -> None:
    plugins: Sequence[object] = [
        ShelfPlugin(ShelfConfig(tmp_path)),
        ShelfPlugin(ShelfConfig(tmp_path)),
    ]
    with pytest.raises(ConfigError, match="shelf and shelf-2"):
        Agent(config_in(tmp_path), plugins=plugins)


def test_agent_whose_stream_skips_for_ever_can_be_asked_and_ended(tmp_path: Path) -> None:
    class SkipsForEver(ShelfStream):
        def read(self, position: int, max_events: int) -> Reading:
            return Reading([], position + 1, 1)

    def stream_for(self: FollowedShelf, reader: str, *, defers: bool) -> ShelfStream:
        name = f"agent's {reader}"
        kind = SkipsForEver if reader == "reader" else ShelfStream
        return self._streams.setdefault(name, kind(name, self.shelf, defers))

    record(tmp_path)
    other = Other()
    readers = [TakingReader(), other]
    with agent_over(tmp_path, followed_with(stream_for=stream_for), *readers) as agent:
        agent.flush(0.2)
        for name, counts in agent.counts().items():
            assert_holds(name, counts)
    assert numbers(other.events) == list(range(EVENTS))


def test_flush_goes_on_behind_many_gaps(tmp_path: Path) -> None:
    """Each run that the bounds removed is a gap of its own."""

    class HasGaps(ShelfStream):
        def read(self, position: int, max_events: int) -> Reading:
            if position < EVENTS // 2:
                return Reading([], position + 1, 1)
            return super().read(position, max_events)

    def stream_for(self: FollowedShelf, reader: str, *, defers: bool) -> ShelfStream:
        name = f"agent's {reader}"
        return self._streams.setdefault(name, HasGaps(name, self.shelf, defers))

    record(tmp_path)
    reader = TakingReader()
    with agent_over(tmp_path, followed_with(stream_for=stream_for), reader) as agent:
        assert not agent.flush(WIDE_SECONDS)  # some were lost
        assert numbers(reader.events) == list(range(EVENTS // 2, EVENTS))
        assert agent.counts()["reader"].dropped == {"expired": EVENTS // 2}
