"""A store whose author made a mistake costs what it keeps, and nothing else."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    HypervisorEvent,
    Observability,
    hookimpl,
)
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.config import BusConfig, StateConfig
from hypervisor_observability.delivery.counts import Counts
from hypervisor_observability.errors import ConfigError
from hypervisor_observability.host.status import read_status
from hypervisor_observability.host.status_files import FOLDER
from hypervisor_observability.metrics.families import MetricFamily, MetricKind
from hypervisor_observability.stores import StoreContext
from hypervisor_observability.testing.readers import TakingReader
from tests.stores.shelf_store import ShelfStore, ShelfStream, shelf_at

WIDE_SECONDS = 60.0
EVENTS = 20


class PanicError(BaseException):
    """As an extension raises that is not written in Python: no ``Exception``."""


ERRORS = [RuntimeError, OSError, TypeError, SystemExit, PanicError]


@define(eq=False)
class FaultyPlugin:
    """A plugin whose hook gives what the test wants."""

    give: Callable[[StoreContext], Any]
    name = "faulty"

    @hookimpl
    def open_store(self, context: StoreContext) -> Any:
        return self.give(context)


class Other(TakingReader):
    name = "other"


@define(eq=False)
class Outcome:
    """What an application saw."""

    observability: Observability
    reader: TakingReader
    other: TakingReader
    status: Mapping[str, Any]
    synced: bool

    @property
    def store(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.status["store"]
        return found


def config_in(folder: Path, **options: Any) -> Config:
    return Config(
        delivery=DeliveryConfig(interval_seconds=0.01),
        state=StateConfig(directory=folder / "state"),
        stop_timeout_seconds=5,
        **options,
    )


def live(folder: Path, give: Callable[[StoreContext], Any], *, flush: bool = True) -> Outcome:
    """Have an application emit, flush, ask, and end: nothing of it may raise."""
    reader, other = TakingReader(), Other()
    plugins = [FaultyPlugin(give), reader, other]
    observability = Observability(config_in(folder), plugins=plugins)
    assert_law(observability)
    with observability:
        for number in range(EVENTS):
            observability.bus.record(EventType.VFS_WRITE, payload={"number": number})
            assert_law(observability)
        observability.flush(WIDE_SECONDS if flush else 0.2)
        observability.collect_metrics()
        synced = observability.bus.sync()
        observability.status()
    assert observability.bus.emitted == EVENTS
    assert_law(observability)
    return Outcome(observability, reader, other, read_status(folder / "state"), synced)


def assert_law(observability: Observability) -> None:
    for name, counts in observability.counts().items():
        assert_holds(name, counts)


def assert_holds(name: str, counts: Counts) -> None:
    places = (counts.delivered, counts.rejected, counts.in_flight, counts.pending)
    assert all(place >= 0 for place in places), (name, counts)
    assert counts.emitted == sum(places) + counts.dropped_total, (name, counts)


def numbers(events: Sequence[HypervisorEvent]) -> list[Any]:
    return [event.payload["number"] for event in events]


def shelf(folder: Path, kind: type[ShelfStore] = ShelfStore) -> Callable[[StoreContext], Any]:
    return lambda context: kind(shelf_at(folder), context)


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error("of the store")

    return method


def store_with(**methods: Any) -> type[ShelfStore]:
    return type("FaultyStore", (ShelfStore,), methods)


def assert_in_memory(outcome: Outcome) -> None:
    assert outcome.store["state"].startswith("down: ")
    assert outcome.store["degraded"]
    assert not outcome.synced
    assert numbers(outcome.reader.events) == numbers(outcome.other.events) == list(range(EVENTS))


# It cannot be had


@pytest.mark.parametrize("error", ERRORS)
def test_store_that_cannot_be_opened_leaves_the_bus_in_memory(
    tmp_path: Path, error: type[BaseException]
) -> None:
    assert_in_memory(live(tmp_path, raising(error)))


@pytest.mark.parametrize("given", [None, 42, {}, ShelfStore, object()])
def test_what_is_no_store_leaves_the_bus_in_memory(tmp_path: Path, given: Any) -> None:
    assert_in_memory(live(tmp_path, lambda _: given))


@pytest.mark.parametrize(
    "method",
    [
        "start", "record", "sync", "note_clock_step", "stream_for", "stream_behind_log", "stop",
        "begin_anew_after_fork", "status", "metrics",
    ],
)  # fmt: skip
def test_store_that_lacks_a_method_leaves_the_bus_in_memory(tmp_path: Path, method: str) -> None:
    outcome = live(tmp_path, shelf(tmp_path, store_with(**{method: None})))

    assert_in_memory(outcome)
    assert method in outcome.store["state"]


@pytest.mark.parametrize("method", ["start", "record", "stop"])
def test_store_that_nobody_would_await_leaves_the_bus_in_memory(
    tmp_path: Path, method: str
) -> None:
    async def awaited(*_: Any, **__: Any) -> None:
        pass

    outcome = live(tmp_path, shelf(tmp_path, store_with(**{method: awaited})))

    assert_in_memory(outcome)
    assert method in outcome.store["state"]


def test_hook_of_a_store_may_be_a_coroutine_function(tmp_path: Path) -> None:
    class Plugin(FaultyPlugin):
        @hookimpl
        async def open_store(self, context: StoreContext) -> Any:
            return self.give(context)

    with Observability(plugins=[Plugin(shelf(tmp_path))]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.bus.sync()


# It cannot begin


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_store_that_cannot_begin_leaves_the_bus_in_memory(
    tmp_path: Path, error: type[BaseException], after: bool
) -> None:
    recorded = []

    def start(self: ShelfStore, take_over: Callable[[], object]) -> None:
        if after:
            take_over()
        raise error("of the store")

    def record(self: ShelfStore, event: HypervisorEvent, append: Any) -> None:
        recorded.append(event)
        append(event)

    outcome = live(tmp_path, shelf(tmp_path, store_with(start=start, record=record)))

    assert_in_memory(outcome)
    assert recorded == []


def test_store_that_never_takes_over_leaves_the_bus_in_memory(tmp_path: Path) -> None:
    assert_in_memory(live(tmp_path, shelf(tmp_path, store_with(start=lambda *_: None))))


def test_store_that_takes_over_late_is_not_heard(tmp_path: Path) -> None:
    kept: list[Callable[[], object]] = []
    recorded = []

    def record(self: ShelfStore, event: HypervisorEvent, append: Any) -> None:
        recorded.append(event)
        append(event)

    late = store_with(start=lambda _, take_over: kept.append(take_over), record=record)
    with Observability(plugins=[FaultyPlugin(shelf(tmp_path, late))]) as observability:
        kept[0]()
        observability.bus.record(EventType.VFS_WRITE)

        assert recorded == []
        assert not observability.bus.sync()
        assert observability.bus.emitted == 1


def test_store_may_take_over_twice(tmp_path: Path) -> None:
    def start(self: ShelfStore, take_over: Callable[[], object]) -> None:
        ShelfStore.start(self, take_over)
        take_over()

    outcome = live(tmp_path, shelf(tmp_path, store_with(start=start)))

    assert outcome.synced
    assert len(shelf_at(tmp_path).entries) == EVENTS
    assert numbers(outcome.reader.events) == list(range(EVENTS))


def test_earlier_events_of_a_store_that_cannot_begin_are_not_delivered_as_its_own(
    tmp_path: Path,
) -> None:
    live(tmp_path, shelf(tmp_path))

    outcome = live(tmp_path, shelf(tmp_path, store_with(start=raising(OSError))))

    assert_in_memory(outcome)
    assert outcome.observability.counts()["metrics"].emitted == EVENTS


# It records


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("after", [False, True])
def test_event_for_which_a_store_raises_is_in_the_log_once(
    tmp_path: Path, error: type[BaseException], after: bool
) -> None:
    def record(self: ShelfStore, event: HypervisorEvent, append: Any) -> None:
        if after:
            ShelfStore.record(self, event, append)
        raise error("of the store")

    outcome = live(tmp_path, shelf(tmp_path, store_with(record=record)), flush=False)

    assert outcome.observability.bus.record_errors == EVENTS
    assert outcome.store["errors"] >= EVENTS
    assert numbers(outcome.observability.bus.all_events) == list(range(EVENTS))


def test_event_that_pushes_all_others_out_is_counted_once_when_a_store_raises(
    tmp_path: Path,
) -> None:
    def record(self: ShelfStore, event: HypervisorEvent, append: Any) -> None:
        append(event)
        raise RuntimeError("of the store")

    give = shelf(tmp_path, store_with(record=record))
    config = config_in(tmp_path, bus=BusConfig(max_events=1))
    with Observability(config, plugins=[FaultyPlugin(give)]) as observability:
        for _ in range(EVENTS):
            observability.bus.record(EventType.VFS_WRITE, payload={"number": 1})
        assert observability.bus.emitted == EVENTS


@pytest.mark.parametrize("error", ERRORS)
def test_sync_that_raises_is_a_no(tmp_path: Path, error: type[BaseException]) -> None:
    assert not live(tmp_path, shelf(tmp_path, store_with(sync=raising(error)))).synced


def test_sync_that_says_false_is_a_no(tmp_path: Path) -> None:
    assert not live(tmp_path, shelf(tmp_path, store_with(sync=lambda _: False))).synced


# It is read


class RaisesInBounds(ShelfStream):
    @property
    def bounds(self) -> Any:
        raise RuntimeError("of the store")


class RaisesInRead(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        raise PanicError("of the store")


class GivesNothing(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return None


class GivesNoEvents(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading(["event"] * 3, position, 0)  # type: ignore[list-item]  # the store's mistake


class GivesTooMany(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading([HypervisorEvent(EventType.VFS_WRITE)] * (max_events + 1), position, 0)


class GoesBack(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading([], position - 5, 0)


class SkipsBackwards(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading([], position, -5)


class SkipsWithoutMoving(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading([], position, 5)


class SkipsTheFuture(ShelfStream):
    def read(self, position: int, max_events: int) -> Any:
        return Reading([], position + 1_000, 1_000)


class HasNoBounds(ShelfStream):
    @property
    def bounds(self) -> Any:
        return None


class HasNegativeBounds(ShelfStream):
    @property
    def bounds(self) -> Any:
        return 0, -7


class HasFallingBounds(ShelfStream):
    @property
    def bounds(self) -> Any:
        first, end = super().bounds
        return first, max(0, end - 3) if end % 2 else end


class HasTurnedBounds(ShelfStream):
    @property
    def bounds(self) -> Any:
        return 5, 3


class BeginsNowhere(ShelfStream):
    def begin(self, origin: int) -> None:
        super().begin(origin)
        self.start = None  # type: ignore[assignment]  # the store's mistake


class BeginsInTheFuture(ShelfStream):
    def begin(self, origin: int) -> None:
        super().begin(origin)
        self.start = 1_000


class SkipsLessThanNothing(ShelfStream):
    def begin(self, origin: int) -> None:
        super().begin(origin)
        self.start, self.skipped = -5, -3


class HasAnOddState(ShelfStream):
    @property
    def state(self) -> Any:
        return 42


class GivesOddHistory(ShelfStream):
    def since_state(self) -> Iterator[Any]:
        yield None
        yield ["no event"]


class CannotSave(ShelfStream):
    def commit(self, position: int, state: Any, *, last: bool) -> None:
        raise PanicError("of the store")


class DefersOddly(ShelfStream):
    @property
    def defers(self) -> Any:
        raise RuntimeError("of the store")

    @defers.setter
    def defers(self, value: Any) -> None:
        pass


STREAMS: list[type[ShelfStream]] = [
    RaisesInBounds, RaisesInRead, GivesNothing, GivesNoEvents, GivesTooMany, GoesBack,
    SkipsBackwards, SkipsWithoutMoving, SkipsTheFuture, HasNoBounds, HasNegativeBounds,
    HasFallingBounds, HasTurnedBounds, BeginsNowhere, BeginsInTheFuture, SkipsLessThanNothing,
    HasAnOddState, GivesOddHistory, CannotSave, DefersOddly,
]  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_odd_stream_of_one_reader_hurts_no_other(tmp_path: Path, kind: type[ShelfStream]) -> None:
    def stream_for(self: ShelfStore, reader: str, *, defers: bool) -> ShelfStream:
        stream = (kind if reader == "reader" else ShelfStream)(reader, self.shelf, defers)
        self._streams.append(stream)
        return stream

    outcome = live(tmp_path, shelf(tmp_path, store_with(stream_for=stream_for)), flush=False)

    assert numbers(outcome.other.events) == list(range(EVENTS))
    assert outcome.observability.states() == {"reader": "stopped", "other": "stopped"}
    assert outcome.observability.counts()["reader"].emitted == EVENTS


@pytest.mark.parametrize("kind", STREAMS)
def test_odd_stream_behind_the_log_hurts_no_reader(tmp_path: Path, kind: type[ShelfStream]) -> None:
    def stream_behind_log(self: ShelfStore, reader: str) -> ShelfStream:
        stream = kind("behind", self.shelf, defers=False)
        self._streams.append(stream)
        return stream

    give = shelf(tmp_path, store_with(stream_behind_log=stream_behind_log))
    outcome = live(tmp_path, give, flush=False)

    assert numbers(outcome.reader.events) == numbers(outcome.other.events) == list(range(EVENTS))
    assert outcome.status["metrics"]["state"] == "stopped"


@pytest.mark.parametrize("method", ["stream_for", "stream_behind_log"])
@pytest.mark.parametrize("given", [None, 42, RuntimeError])
def test_reader_without_a_stream_reads_the_log(tmp_path: Path, method: str, given: Any) -> None:
    fault = raising(given) if given is RuntimeError else lambda *_, **__: given
    outcome = live(tmp_path, shelf(tmp_path, store_with(**{method: fault})))

    assert numbers(outcome.reader.events) == numbers(outcome.other.events) == list(range(EVENTS))


# It is asked


ODD_STATUSES: list[Any] = [
    None, 42, [("degraded", object())], {"degraded": object()}, {3: 4, ("a",): {}},
    {"lost": float("nan"), "degraded": 1}, {"text": "x" * 2_000_000}, {"name": 5, "state": 6},
    {"number": 10**5_000}, {"surrogate": "\udc80"}, *ERRORS,
]  # fmt: skip


@pytest.mark.parametrize("given", ODD_STATUSES)
def test_status_is_written_whatever_a_store_says(tmp_path: Path, given: Any) -> None:
    fault = raising(given) if isinstance(given, type) else lambda _: given
    outcome = live(tmp_path, shelf(tmp_path, store_with(status=fault)))

    assert outcome.status["emitted"] == EVENTS
    assert outcome.store["name"] == "faulty"
    assert outcome.store["state"] == "stopped"
    (file,) = (tmp_path / "state" / FOLDER).iterdir()
    json.loads(file.read_bytes(), parse_constant=pytest.fail)


def odd_family(**changes: Any) -> MetricFamily:
    right: dict[str, Any] = {"name": "shelf_entries", "kind": MetricKind.GAUGE, "help": "Entries"}
    return MetricFamily(**{**right, "series": {(): 1.0}, **changes})


ODD_METRICS: list[Any] = [
    None, 42, [None], ["family"], [odd_family(name="no name")], [odd_family(name=5)],
    [odd_family(kind="gauge")], [odd_family(help=None)], [odd_family(series={(): "many"})],
    [odd_family(series={("label",): 1})], [odd_family(series=None)], [odd_family(), odd_family()],
    [odd_family(label_names=("a",), series={(5,): 1})], [odd_family(name="shelf_entries\n")],
    [odd_family(name="agent_hypervisor_observability_record_errors_total")],
    [odd_family(kind=MetricKind.HISTOGRAM, histograms={(): 3})],
    *ERRORS,
]  # fmt: skip


@pytest.mark.parametrize("given", ODD_METRICS)
def test_odd_metrics_of_a_store_spoil_no_other(tmp_path: Path, given: Any) -> None:
    fault = raising(given) if isinstance(given, type) else lambda _: given
    seen: list[Sequence[MetricFamily]] = []

    class Pushed(TakingReader):
        name = "pushed"

        @hookimpl
        def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
            seen.append(metrics)

    plugins = [FaultyPlugin(shelf(tmp_path, store_with(metrics=fault))), Pushed()]
    with Observability(config_in(tmp_path), plugins=plugins) as observability:
        observability.bus.record(EventType.VFS_WRITE, payload={"number": 1})
        assert observability.flush(WIDE_SECONDS)
    names = [family.name for family in seen[-1]]
    assert len(set(names)) == len(names)
    assert "agent_hypervisor_observability_plugin_up" in names
    for family in seen[-1]:
        assert family.name.replace("_", "").isalnum()
        for labels, value in family.series.items():
            assert len(labels) == len(family.label_names)
            assert isinstance(value, int | float)


def test_whole_metrics_of_a_store_are_shown(tmp_path: Path) -> None:
    give = shelf(tmp_path, store_with(metrics=lambda _: [None, odd_family()]))
    with Observability(plugins=[FaultyPlugin(give)]) as observability:
        names = [family.name for family in observability.collect_metrics()]

    assert "shelf_entries" in names


# It ends


@pytest.mark.parametrize("error", ERRORS)
def test_store_that_raises_at_its_end_holds_up_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    outcome = live(tmp_path, shelf(tmp_path, store_with(stop=raising(error))))

    assert outcome.status["state"] == "stopped"


def test_store_that_hangs_at_its_end_is_not_waited_for_longer_than_the_stop_may_take(
    tmp_path: Path,
) -> None:
    released = threading.Event()
    hanging = store_with(stop=lambda *_: released.wait(WIDE_SECONDS))
    plugins = [FaultyPlugin(shelf(tmp_path, hanging)), reader := TakingReader()]
    observability = Observability(config_in(tmp_path), plugins=plugins).start()
    try:
        observability.bus.record(EventType.VFS_WRITE, payload={"number": 1})
        began = time.monotonic()
        assert not observability.stop(timeout=0.5)
        assert time.monotonic() - began < WIDE_SECONDS / 2
    finally:
        released.set()
    assert len(reader.events) == 1
    assert read_status(tmp_path / "state")["state"] == "stopped"


# It is told apart


def test_state_of_a_store_is_that_of_its_host(tmp_path: Path) -> None:
    observability = Observability(plugins=[FaultyPlugin(shelf(tmp_path))])
    assert observability.status()["store"]["state"] == "new"
    with observability:
        assert observability.status()["store"]["state"] == "running"
    assert observability.status()["store"]["state"] == "stopped"


def test_store_whose_hook_never_gives_an_answer_is_down(tmp_path: Path) -> None:
    class Hanging(FaultyPlugin):
        @hookimpl
        async def open_store(self, context: StoreContext) -> Any:
            await asyncio.sleep(WIDE_SECONDS)

    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=0.1))
    with Observability(config, plugins=[Hanging(shelf(tmp_path))]) as observability:
        assert observability.status()["store"]["state"].startswith("down: ")


@pytest.mark.parametrize(
    "hook", ["start", "stop", "flush", "export_events", "export_spans", "export_metrics"]
)
def test_hook_of_a_store_that_nobody_would_call_is_refused(tmp_path: Path, hook: str) -> None:
    plugin = type("Mixed", (FaultyPlugin,), {hook: hookimpl(lambda self: None)})
    with pytest.raises(ConfigError, match=f"nobody calls its hook {hook}: "):
        Observability(plugins=[plugin(shelf(tmp_path))])


@pytest.mark.parametrize("hook", ["open_store", "open_history", "follow_store"])
def test_hook_of_a_store_without_a_mark_is_refused(hook: str) -> None:
    class Unmarked:
        @hookimpl
        def check(self) -> str:
            return "right"

    setattr(Unmarked, hook, lambda self, context: None)
    with pytest.raises(ValueError, match=f"{hook} is not marked"):
        Observability(plugins=[Unmarked()])


def test_second_store_is_named_although_its_table_is_wrong(tmp_path: Path) -> None:
    """All that is wrong is told at once."""
    tables: dict[str, dict[str, Any]] = {"journal": {"directory": str(tmp_path), "typo": 1}}
    with pytest.raises(ConfigError) as caught:
        Observability(Config(plugins=tables), plugins=[FaultyPlugin(shelf(tmp_path))])
    told = str(caught.value)
    assert "plugins.journal.typo: unknown key" in told
    assert "plugins.journal: there are two stores, faulty and journal: at most one" in told
