"""What each store must hold, as tests for pytest.

Subclass ``StoreContract`` in a test, and say how your store is made and made unreadable::

    class TestShelfStore(StoreContract):
        def plugin(self, place: Path) -> object:
            return ShelfPlugin(ShelfConfig(directory=place))

        def unreadable(self, place: Path) -> AbstractContextManager[None]:
            return no_answers_of(place)

pytest then finds every test of it. A test that fails says what a user would have lost.
"""

import logging
import os
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..config import BusConfig, Config, DeliveryConfig
from ..errors import NoHistoryError, StoreInUseError
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..host.agent import Agent
from ..host.observability import Observability
from ..stores import EVERYTHING, Entry, History, HistoryContext, StoreContext, Wanted
from .readers import AwayReader, SpanReader, TakingReader

_FAST = DeliveryConfig(interval_seconds=0.01)
_NUMBER = "number_in_store_contract"
_WIDE_SECONDS = 60.0
"""Longest time for what takes no time where nothing else runs."""
_SHORT_SECONDS = 0.3
"""For what is not to happen."""


class StoreContract(ABC):
    """The tests. The store must have all three hooks."""

    @abstractmethod
    def plugin(self, place: Path) -> object:
        """Make a plugin whose store is at *place*: a directory of the test's own, or what stands
        for one. Each plugin for the same place sees what the others have recorded there.
        """

    @abstractmethod
    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        """Have all reading at *place* fail for a while, as when a disk or a server is away.

        Recording goes on; what is already known need not be forgotten.
        """

    # Recording

    def test_events_come_back_as_they_were_in_their_order(self, tmp_path: Path) -> None:
        """What was emitted is what the history gives: ids, times, payloads, places."""
        with self._observed(tmp_path) as observability:
            emitted = [_emit(observability.bus, number) for number in range(100)]
            in_log = [event for event in observability.bus.all_events if _is_of_test(event)]
        assert in_log == emitted  # once each: appended by whoever records it

        with self._history(tmp_path) as history:
            entries = _of_test(history.events())
        assert [entry.event.to_dict() for entry in entries] == [one.to_dict() for one in emitted]
        assert len({entry.run for entry in entries}) == 1
        numbers = [entry.sequence for entry in entries]
        assert numbers == sorted(set(numbers))

    def test_what_was_emitted_before_the_start_is_recorded_too(self, tmp_path: Path) -> None:
        """The log in memory may hold events when recording begins."""
        observability = Observability(_config(), plugins=[self.plugin(tmp_path)])
        early = [_emit(observability.bus, number) for number in range(5)]
        with observability:
            late = _emit(observability.bus, 5)

        with self._history(tmp_path) as history:
            entries = _of_test(history.events())
        assert [entry.event for entry in entries] == [*early, late]

    def test_sync_says_yes_for_what_was_recorded(self, tmp_path: Path) -> None:
        """``bus.sync()`` is the application's question whether its events are safe."""
        with self._observed(tmp_path) as observability:
            _emit(observability.bus, 1)
            assert observability.bus.sync()

    def test_child_of_a_fork_keeps_its_events_apart(self, tmp_path: Path) -> None:
        """Both go on: none of the child's is in the parent's run, and none of either is twice."""
        if not hasattr(os, "fork"):
            return
        with self._observed(tmp_path) as observability:
            _emit(observability.bus, 0)

            def child() -> bool:
                _emit(observability.bus, 100)
                return observability.bus.sync() and observability.stop()

            assert _in_child(child)
            _emit(observability.bus, 1)
            assert observability.bus.sync()

        with self._history(tmp_path) as history:
            by_run: dict[str, list[Any]] = {}
            for entry in _of_test(history.events()):
                by_run.setdefault(entry.run, []).append(entry.event.payload[_NUMBER])
        # What only lives in a process is gone with the child.
        assert sorted(by_run.values()) in ([[0, 1]], [[0, 1], [100]])

    def test_opening_alone_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """``open_store`` is asked when a configuration is checked: it begins nothing."""
        place = tmp_path / "fresh"
        bus = HypervisorEventBus()
        plugin: Any = self.plugin(place)
        plugin.open_store(
            StoreContext(
                name="store", service="tests", logger=logging.getLogger(__name__), log=bus.log,
                admit=lambda event: event, announce=lambda *_: None,
            )
        )  # fmt: skip
        assert not place.exists()

    # Delivery

    def test_next_process_gets_what_this_one_could_not_deliver(self, tmp_path: Path) -> None:
        """A backend was away to the end: nothing is lost, nothing comes twice."""
        with self._observed(tmp_path, AwayReader()) as first:
            emitted = [_emit(first.bus, number) for number in range(20)]
        left = first.counts()["reader"]
        assert left.delivered == 0
        assert left.dropped_total == left.emitted  # all deferred

        reader = TakingReader()
        with self._observed(tmp_path, reader) as second:
            emitted.append(_emit(second.bus, 20))
            assert second.flush(_WIDE_SECONDS)
            counts = second.counts()["reader"]
        assert _numbers(reader.events) == list(range(21))
        assert counts.emitted == counts.delivered + counts.dropped_total

    def test_next_process_gets_no_event_that_was_delivered(self, tmp_path: Path) -> None:
        """A reader goes on behind what its backend has."""
        first_reader, second_reader = TakingReader(), TakingReader()
        with self._observed(tmp_path, first_reader) as first:
            for number in range(20):
                _emit(first.bus, number)
            assert first.flush(_WIDE_SECONDS)
        with self._observed(tmp_path, second_reader) as second:
            _emit(second.bus, 20)
            assert second.flush(_WIDE_SECONDS)

        assert _numbers([*first_reader.events, *second_reader.events]) == list(range(21))

    def test_reader_gets_what_memory_has_given_up(self, tmp_path: Path) -> None:
        """The log in memory is bounded; behind it stands the store."""
        reader = TakingReader(held=True)
        config = _config(bus=BusConfig(max_events=50))
        with self._observed(tmp_path, reader, config=config) as observability:
            for number in range(2_000):
                _emit(observability.bus, number)
            reader.release()
            assert observability.flush(_WIDE_SECONDS)
            assert observability.counts()["reader"].dropped == {}
        assert _numbers(reader.events) == list(range(2_000))

    def test_reads_that_fail_for_a_while_lose_nothing(self, tmp_path: Path) -> None:
        """A failed read says "wait": it is never an empty log, a gap or an end."""
        reader = TakingReader(held=True)
        config = _config(bus=BusConfig(max_events=50))
        with self._observed(tmp_path, reader, config=config) as observability:
            with self.unreadable(tmp_path):
                for number in range(2_000):
                    _emit(observability.bus, number)
                reader.release()
                observability.flush(_SHORT_SECONDS)
                assert observability.counts()["reader"].dropped == {}
            assert observability.flush(_WIDE_SECONDS)
            assert observability.counts()["reader"].dropped == {}
        assert _numbers(reader.events) == list(range(2_000))

    def test_span_that_two_processes_share_is_one(self, tmp_path: Path) -> None:
        """What a reader holds is saved with its position: here, a span that is open."""
        first_reader, second_reader = SpanReader(), SpanReader()
        with self._observed(tmp_path, first_reader) as first:
            begun = first.bus.record(
                EventType.SAGA_CREATED, session_id="s", payload={"saga_id": "one"}
            )
            assert first.flush(_WIDE_SECONDS)
        with self._observed(tmp_path, second_reader) as second:
            second.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "one"})
            assert second.flush(_WIDE_SECONDS)

        assert first_reader.spans == []
        (span,) = second_reader.spans
        assert span.scope == "saga"
        assert span.start_ns == begun.timestamp_ns

    # Asking

    def test_history_gives_what_is_wanted_and_no_other(self, tmp_path: Path) -> None:
        """By type, session, agent, trace and time; the newest so many; in either order."""
        with self._observed(tmp_path) as observability:
            emitted = [_emit(observability.bus, number) for number in range(60)]
        wanted = [
            Wanted(agent_did="did:agent:1"),
            Wanted(session_id="session-2"),
            Wanted(event_type=EventType.VFS_WRITE.value),
            Wanted(event_type="no.such_type"),
            Wanted(since_ns=emitted[20].timestamp_ns, until_ns=emitted[39].timestamp_ns),
            Wanted(agent_did="did:agent:1", since_ns=emitted[30].timestamp_ns),
        ]
        for one in wanted:
            right = [event for event in emitted if one.covers(event)]
            for limit in (None, 0, 1, 7, 1_000):
                newest = right if limit is None else right[max(0, len(right) - limit) :]
                with self._history(tmp_path) as history:
                    found = _of_test(history.events(one, limit=limit))
                    turned = _of_test(history.events(one, limit=limit, newest_first=True))
                assert [entry.event for entry in found] == newest
                assert [entry.event for entry in turned] == newest[::-1]

    def test_history_knows_the_runs(self, tmp_path: Path) -> None:
        """A run is what one process records; each is named, and can be asked for alone."""
        for number in range(3):
            with self._observed(tmp_path) as observability:
                _emit(observability.bus, number)
        with self._history(tmp_path) as history:
            runs = list(history.runs())
            assert len(set(runs)) == 3
            found = [_of_test(history.events(runs=[run])) for run in runs]
        assert [_numbers([entry.event for entry in some]) for some in found] == [[0], [1], [2]]

    def test_what_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        """An answer that is not whole must not look like one that is."""
        with self._observed(tmp_path) as observability:
            for number in range(10):
                _emit(observability.bus, number)
        notices: list[str] = []
        with self.unreadable(tmp_path):
            try:
                with self._history(tmp_path, notices) as history:
                    found = _of_test(history.events())
            except (OSError, NoHistoryError) as error:
                notices.append(str(error))
                found = []
        assert notices or len(found) == 10

    def test_follower_gives_what_comes(self, tmp_path: Path) -> None:
        """First the newest of what was there, then everything that is recorded from then on."""
        with self._observed(tmp_path) as observability:
            for number in range(5):
                _emit(observability.bus, number)
            observability.bus.sync()
            with self._history(tmp_path) as history:
                follower = history.follow()
                before = _of_test(follower.newest(EVERYTHING, 1_000))
                assert _numbers([entry.event for entry in before]) == list(range(5))
                for number in range(5, 10):
                    _emit(observability.bus, number)
                observability.bus.sync()
                after: list[Entry] = []
                for _ in range(100):
                    after += _of_test(follower.news())
                    if len(after) >= 5:
                        break
        assert _numbers([entry.event for entry in after]) == list(range(5, 10))

    # Following

    def test_agent_delivers_what_many_runs_recorded_once(self, tmp_path: Path) -> None:
        """All runs, the living and the dead; each event once; and the totals of all of them."""
        with self._observed(tmp_path) as dead:
            for number in range(10):
                _emit(dead.bus, number)
        reader = TakingReader()
        with self._observed(tmp_path) as alive, self._agent(tmp_path, reader) as agent:
            for number in range(10, 20):
                _emit(alive.bus, number)
            alive.bus.sync()
            assert agent.flush(_WIDE_SECONDS)
            counts = agent.counts()["reader"]
            assert counts.emitted == counts.delivered
        assert sorted(_numbers(reader.events)) == list(range(20))
        assert not agent.damaged

    def test_agent_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """Another agent begins behind what the one before it delivered, and counts on."""
        readers = [TakingReader(), TakingReader()]
        with self._observed(tmp_path) as alive:
            totals = []
            for part, reader in enumerate(readers):
                for number in range(10 * part, 10 * part + 10):
                    _emit(alive.bus, number)
                alive.bus.sync()
                with self._agent(tmp_path, reader) as agent:
                    assert agent.flush(_WIDE_SECONDS)
                    totals.append(_breaches(agent))
        assert [_numbers(reader.events) for reader in readers] == [
            list(range(10)),
            list(range(10, 20)),
        ]
        assert totals == [5, 10]

    def test_agent_delivers_what_its_backend_did_not_take_later(self, tmp_path: Path) -> None:
        """What a stopped agent had in its hands is for the next one."""
        with self._observed(tmp_path) as dead:
            for number in range(10):
                _emit(dead.bus, number)
        with self._agent(tmp_path, AwayReader()) as away:
            away.flush(_SHORT_SECONDS)
        reader = TakingReader()
        with self._agent(tmp_path, reader) as agent:
            assert agent.flush(_WIDE_SECONDS)
        assert _numbers(reader.events) == list(range(10))

    def test_agent_waits_for_what_cannot_be_read(self, tmp_path: Path) -> None:
        """Neither lost nor delivered twice, however often a read fails."""
        reader = TakingReader()
        with self._observed(tmp_path) as alive, self._agent(tmp_path, reader) as agent:
            for number in range(10):
                _emit(alive.bus, number)
            alive.bus.sync()
            with self.unreadable(tmp_path):
                agent.flush(_SHORT_SECONDS)
                for number in range(10, 20):
                    _emit(alive.bus, number)
                agent.flush(_SHORT_SECONDS)
            alive.bus.sync()
            assert agent.flush(_WIDE_SECONDS)
            assert agent.counts()["reader"].dropped == {}
        assert Counter(_numbers(reader.events)) == Counter(range(20))

    def test_two_agents_do_not_read_one_store(self, tmp_path: Path) -> None:
        """Both would deliver everything: the second one is refused."""
        with self._observed(tmp_path) as alive:
            _emit(alive.bus, 0)
            alive.bus.sync()
            with self._agent(tmp_path, TakingReader()):
                try:
                    Agent(_config(), plugins=[self.plugin(tmp_path), TakingReader()]).start()
                except StoreInUseError:
                    pass
                else:
                    raise AssertionError("a second agent reads the store")
            with self._agent(tmp_path, TakingReader()) as again:
                assert again.flush(_WIDE_SECONDS)

    # What a test needs

    @contextmanager
    def _observed(
        self, place: Path, *readers: object, config: Config | None = None
    ) -> Iterator[Observability]:
        plugins = [self.plugin(place), *readers]
        with Observability(config or _config(), plugins=plugins) as observability:
            yield observability

    @contextmanager
    def _agent(self, place: Path, *readers: object) -> Iterator[Agent]:
        with Agent(_config(), plugins=[self.plugin(place), *readers]) as agent:
            yield agent

    @contextmanager
    def _history(self, place: Path, notices: list[str] | None = None) -> Iterator[History]:
        told: list[str] = []
        plugin: Any = self.plugin(place)
        context = HistoryContext(notice=(told if notices is None else notices).append)
        with closing(plugin.open_history(context)) as history:
            yield history
        assert told == []


def _in_child(work: Callable[[], bool]) -> bool:
    """Do *work* in a fork's child, which then ends; tell what it gave, False if it raised."""
    with warnings.catch_warnings():
        # Of a fork beside threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)  # whatever it raised: the tests are the parent's
    return os.waitpid(child, 0)[1] == 0


def _config(**options: Any) -> Config:
    return Config(delivery=_FAST, stop_timeout_seconds=10, **options)


def _emit(bus: HypervisorEventBus, number: int) -> HypervisorEvent:
    """Emit an event of which each property can be asked for."""
    return bus.record(
        EventType.RING_BREACH_DETECTED if number % 2 else EventType.VFS_WRITE,
        session_id=f"session-{number % 4}",
        agent_did=f"did:agent:{number % 3}",
        causal_trace_id=f"{number % 5:012x}/00000001" if number % 5 else None,
        payload={_NUMBER: number, "ring": 3, "nested": {"list": [1, None, "ä"]}},
    )


def _is_of_test(event: HypervisorEvent) -> bool:
    return _NUMBER in event.payload


def _of_test(entries: Iterator[Entry] | Sequence[Entry]) -> list[Entry]:
    """Leave out what a store emits itself."""
    return [entry for entry in entries if _is_of_test(entry.event)]


def _numbers(events: Sequence[HypervisorEvent]) -> list[Any]:
    return [event.payload[_NUMBER] for event in events if _is_of_test(event)]


def _breaches(agent: Agent) -> float:
    families = {family.name: family for family in agent.collect_metrics()}
    return sum(families["agent_hypervisor_ring_breaches_by_agent_total"].series.values())
