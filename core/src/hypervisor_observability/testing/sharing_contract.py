"""What agents are given of a store that they share."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from ..events.event_types import EventType
from ..host.agent import Agent
from ..metrics.partitions import PARTITION
from .readers import SpanReader, TakingReader
from .store_tests import (
    WIDE_SECONDS,
    StoreTests,
    breaches_of,
    emit,
    numbers_of,
    until,
)

_MOST_RUNS = 60
_RUN_EVENTS = 4
_RUN_BREACHES = 2


class SharingContract(StoreTests):
    """What agents are given of a store that they share."""

    @abstractmethod
    def cut_off(self, place: Path, agent: Agent) -> AbstractContextManager[None]:
        """Have nothing of *agent* reach the store at *place*, nor the other way round, for a
        while, as when its machine is off or its network is down. Others reach it.

        The agent is not asked to stop, and is not told.
        """

    def test_two_agents_share_the_events(self, tmp_path: Path) -> None:
        """Each event is delivered by one of them, both have some, and their totals add up."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[0]) as one, self.agent(tmp_path, readers[1]) as other:
            runs = self._recorded_until_both_have_some(tmp_path, readers)
            assert until(lambda: len(_all_numbers(readers)) >= runs * _RUN_EVENTS)
            assert _flushed(one)
            assert _flushed(other)
            assert _counts([one, other], runs * _RUN_BREACHES)
            totals = [_totals_of(one), _totals_of(other)]
            for agent in (one, other):
                counts = agent.counts()["reader"]
                assert counts.emitted == counts.delivered + counts.dropped_total
        assert Counter(_all_numbers(readers)) == Counter(range(runs * _RUN_EVENTS))
        assert not totals[0].keys() & totals[1].keys()

    def test_agent_that_stops_leaves_its_part_to_the_other(self, tmp_path: Path) -> None:
        """The other goes on with everything, from where the first one was, totals with it."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[1]) as other:
            with self.agent(tmp_path, readers[0]) as one:
                runs = self._recorded_until_both_have_some(tmp_path, readers)
                assert _flushed(one)
            before = len(readers[0].events)
            for number in range(runs, 2 * runs):
                self._record_run(tmp_path, number)
            assert until(lambda: len(_all_numbers(readers)) >= 2 * runs * _RUN_EVENTS)
            assert _flushed(other)
            assert _counts([other], 2 * runs * _RUN_BREACHES)
        assert Counter(_all_numbers(readers)) == Counter(range(2 * runs * _RUN_EVENTS))
        assert len(readers[0].events) == before

    def test_agent_that_is_cut_off_is_replaced(self, tmp_path: Path) -> None:
        """Nobody tells the other one; nothing is lost, and nothing comes twice but a batch that
        was under way. When it is back, it takes its share, and delivers nothing old.
        """
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[0]) as one, self.agent(tmp_path, readers[1]) as other:
            runs = self._recorded_until_both_have_some(tmp_path, readers)
            assert until(lambda: len(_all_numbers(readers)) >= runs * _RUN_EVENTS)
            assert _flushed(one)
            with self.cut_off(tmp_path, one):
                before = len(readers[0].events)
                for number in range(runs, 2 * runs):
                    self._record_run(tmp_path, number)
                assert until(lambda: len(_all_numbers(readers)) >= 2 * runs * _RUN_EVENTS)
                assert _flushed(other)
                assert _counts([other], 2 * runs * _RUN_BREACHES)
            late = len(readers[0].events) - before
            numbers = Counter(_all_numbers(readers))
            assert set(numbers) == set(range(2 * runs * _RUN_EVENTS))
            assert numbers.total() - len(numbers) <= late
            runs = self._recorded_until_both_have_some(tmp_path, readers, first=2 * runs)
            assert until(lambda: set(_all_numbers(readers)) >= set(range(runs * _RUN_EVENTS)))
            assert _flushed(one)
            assert _flushed(other)
            assert _counts([one, other], runs * _RUN_BREACHES)
        again = Counter(_all_numbers(readers))
        assert again.total() - len(again) == numbers.total() - len(numbers)

    def test_agent_that_was_late_saves_nothing_over_another(self, tmp_path: Path) -> None:
        """It hangs in a call while it is replaced. What it saves after that is of no account: the
        next agent goes on where the other one was.
        """
        late, quick, last = TakingReader(held=True), TakingReader(), TakingReader()
        with self.agent(tmp_path, late) as one, ExitStack() as ending:
            ending.callback(late.release)
            self._record_run(tmp_path, 0)
            assert until(lambda: one.counts()["reader"].in_flight)
            with self.cut_off(tmp_path, one), self.agent(tmp_path, quick) as other:
                for number in (1, 2):
                    self._record_run(tmp_path, number)
                assert until(lambda: _have([quick], 3 * _RUN_EVENTS))
                assert _flushed(other)
            late.release()
            assert until(lambda: not one.counts()["reader"].in_flight)
        with self.agent(tmp_path, last) as after:
            assert _flushed(after)
            assert _counts([after], 3 * _RUN_BREACHES)
        assert sorted(_all_numbers([quick])) == list(range(3 * _RUN_EVENTS))
        assert _all_numbers([last]) == []
        assert set(_all_numbers([late])) <= set(range(_RUN_EVENTS))

    def test_span_that_two_agents_see_is_one(self, tmp_path: Path) -> None:
        """What was open in a part goes on where the part goes."""
        first_reader, second_reader = SpanReader(), SpanReader()
        with self.observed(tmp_path) as alive, self.agent(tmp_path, first_reader) as first:
            begun = alive.bus.record(
                EventType.SAGA_CREATED, session_id="s", payload={"saga_id": "one"}
            )
            alive.bus.sync()
            assert until(lambda: first.counts()["spans"].delivered >= 1)
            with self.agent(tmp_path, second_reader):
                assert first.stop()
                alive.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "one"})
                alive.bus.sync()
                assert until(lambda: second_reader.spans)
        assert first_reader.spans == []
        (span,) = second_reader.spans
        assert span.start_ns == begun.timestamp_ns

    def test_part_that_cannot_be_read_is_waited_for(self, tmp_path: Path) -> None:
        """An agent that takes over while nobody answers begins neither at zero nor at the end."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[1]) as other:
            with self.agent(tmp_path, readers[0]) as one:
                runs = self._recorded_until_both_have_some(tmp_path, readers)
                assert _flushed(one)
                with self.unreadable(tmp_path):
                    one.stop()
            for number in range(runs, 2 * runs):
                self._record_run(tmp_path, number)
            assert until(lambda: set(_all_numbers(readers)) >= set(range(2 * runs * _RUN_EVENTS)))
            assert _flushed(other)
            assert _counts([other], 2 * runs * _RUN_BREACHES)

    # What these need

    def _record_run(self, place: Path, number: int) -> None:
        with self.observed(place) as observability:
            for event in range(_RUN_EVENTS * number, _RUN_EVENTS * (number + 1)):
                emit(observability.bus, event)

    def _recorded_until_both_have_some(
        self, place: Path, readers: Iterable[TakingReader], first: int = 0
    ) -> int:
        """Record run after run, since nobody knows whose one is; give how many there are."""
        before = {reader: len(reader.events) for reader in readers}
        number = first
        while not all(len(reader.events) > count for reader, count in before.items()):
            assert number < first + _MOST_RUNS, "one agent gets everything"
            self._record_run(place, number)
            number += 1
            assert until(partial(_have, before, number * _RUN_EVENTS))
        return number


def _flushed(agent: Agent) -> bool:
    """Flush; once more, if a part went to another agent meanwhile with what waited there."""
    return agent.flush(WIDE_SECONDS) or agent.flush(WIDE_SECONDS)


def _counts(agents: Iterable[Agent], breaches: int) -> bool:
    """Tell whether *agents* count so many breaches together, once the reader of the metrics, which
    takes parts over for itself, has those that the others have.
    """
    return until(lambda: sum(map(breaches_of, agents)) == breaches)


def _have(readers: Iterable[TakingReader], events: int) -> bool:
    return len(_all_numbers(readers)) >= events


def _all_numbers(readers: Iterable[TakingReader]) -> list[int]:
    return [number for reader in readers for number in numbers_of(list(reader.events))]


def _totals_of(agent: Agent) -> dict[tuple[str, ...], float]:
    """Give the breaches that the agent's metrics count, by labels, of which one is the part."""
    (family,) = [
        family
        for family in agent.collect_metrics()
        if family.name == "agent_hypervisor_ring_breaches_by_agent_total"
    ]
    assert family.label_names[-1] == PARTITION
    return {labels: value for labels, value in family.series.items() if value}
