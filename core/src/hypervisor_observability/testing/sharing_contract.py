"""What agents are given by a store that they share."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
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
    """What agents are given by a store that they share."""

    @abstractmethod
    def cut_off(self, place: Path, agent: Agent) -> AbstractContextManager[None]:
        """Cut *agent* off from the store at *place* for a while, in both directions, as when its
        machine is off or its network is down. Other agents still reach the store.

        The agent is not asked to stop, and is not told.
        """

    def test_two_agents_share_the_events(self, tmp_path: Path) -> None:
        """Each event is delivered by one of them, both have some, and their totals add up."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[0]) as one, self.agent(tmp_path, readers[1]) as other:
            runs = self._recorded_until_both_have_some(tmp_path, readers)
            assert _all_came(readers, runs)
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
        """The other continues with everything from where the first one was, totals included."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[1]) as other:
            with self.agent(tmp_path, readers[0]) as one:
                runs = self._recorded_until_both_have_some(tmp_path, readers)
                assert _flushed(one)
            before = len(readers[0].events)
            self._record_runs(tmp_path, runs, 2 * runs)
            assert _all_came(readers, 2 * runs)
            assert _flushed(other)
            assert _counts([other], 2 * runs * _RUN_BREACHES)
        assert Counter(_all_numbers(readers)) == Counter(range(2 * runs * _RUN_EVENTS))
        assert len(readers[0].events) == before

    def test_agent_that_is_cut_off_is_replaced(self, tmp_path: Path) -> None:
        """The other one is not told. Nothing is lost, and nothing comes twice but a batch that was
        under way. When the agent is back, it takes its share, and delivers nothing old.
        """
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[0]) as one, self.agent(tmp_path, readers[1]) as other:
            runs = self._recorded_until_both_have_some(tmp_path, readers)
            assert _all_came(readers, runs)
            assert _flushed(one)
            with self.cut_off(tmp_path, one):
                before = len(readers[0].events)
                self._record_runs(tmp_path, runs, 2 * runs)
                assert _all_came(readers, 2 * runs)
                assert _flushed(other)
                assert _counts([other], 2 * runs * _RUN_BREACHES)
            late = len(readers[0].events) - before
            old = Counter(_all_numbers(readers))
            assert set(old) == set(range(2 * runs * _RUN_EVENTS))
            assert old.total() - len(old) <= late
            runs = self._recorded_until_both_have_some(tmp_path, readers, first=2 * runs)
            assert _all_came(readers, runs)
            assert _flushed(one)
            assert _flushed(other)
            assert _counts([one, other], runs * _RUN_BREACHES)
        again = Counter(_all_numbers(readers))
        assert {number: again[number] for number in old} == old

    def test_agent_that_was_late_saves_nothing_over_another(self, tmp_path: Path) -> None:
        """It hangs in a call while it is replaced. What it saves after that changes nothing: the
        next agent continues where the other one was.
        """
        late, quick, last = TakingReader(held=True), TakingReader(), TakingReader()
        with self.agent(tmp_path, late) as one, ExitStack() as ending:
            ending.callback(late.release)
            self._record_runs(tmp_path, 0, 1)
            assert until(lambda: one.counts()["reader"].in_flight)
            with self.cut_off(tmp_path, one), self.agent(tmp_path, quick) as other:
                self._record_runs(tmp_path, 1, 3)
                assert _all_came([quick], 3)
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
        """A span that is open in a part moves with the part."""
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
        """An agent that takes over while the store is away starts neither at 0 nor at the end."""
        readers = TakingReader(), TakingReader()
        with self.agent(tmp_path, readers[1]) as other:
            with self.agent(tmp_path, readers[0]) as one:
                runs = self._recorded_until_both_have_some(tmp_path, readers)
                assert _flushed(one)
                with self.unreadable(tmp_path):
                    one.stop()
            self._record_runs(tmp_path, runs, 2 * runs)
            assert _all_came(readers, 2 * runs)
            assert _flushed(other)
            assert _counts([other], 2 * runs * _RUN_BREACHES)

    # What these need

    def _record_runs(self, place: Path, first: int, end: int) -> None:
        """Record the runs from *first* to before *end*, one after the other."""
        for number in range(first, end):
            with self.observed(place) as observability:
                for event in range(_RUN_EVENTS * number, _RUN_EVENTS * (number + 1)):
                    emit(observability.bus, event)

    def _recorded_until_both_have_some(
        self, place: Path, readers: Iterable[TakingReader], first: int = 0
    ) -> int:
        """Record run after run, since any agent may get one; give how many there are."""
        before = {reader: len(reader.events) for reader in readers}
        number = first
        while not all(len(reader.events) > count for reader, count in before.items()):
            assert number < first + _MOST_RUNS, "one agent gets everything"
            self._record_runs(place, number, number + 1)
            number += 1
            assert _all_came(before, number)
        return number


def _flushed(agent: Agent) -> bool:
    """Flush; once more, if a part with waiting events went to another agent meanwhile."""
    return agent.flush(WIDE_SECONDS) or agent.flush(WIDE_SECONDS)


def _counts(agents: Iterable[Agent], breaches: int) -> bool:
    """Wait until *agents* count so many breaches together: the reader of the metrics takes parts
    over for itself, perhaps later than the others.
    """
    return until(lambda: sum(map(breaches_of, agents)) == breaches)


def _all_came(readers: Iterable[TakingReader], runs: int) -> bool:
    """Wait until *readers* together have every event of the first *runs* runs."""
    wanted = set(range(runs * _RUN_EVENTS))
    return until(lambda: wanted <= set(_all_numbers(readers)))


def _all_numbers(readers: Iterable[TakingReader]) -> list[int]:
    return [number for reader in readers for number in numbers_of(list(reader.events))]


def _totals_of(agent: Agent) -> dict[tuple[str, ...], float]:
    """Give the breaches that the agent's metrics count, by labels, of which one is the part."""
    families = [
        family
        for family in agent.collect_metrics()
        if family.name == "agent_hypervisor_ring_breaches_by_agent_total"
    ]
    assert all(family.label_names[-1] == PARTITION for family in families)
    series = [each for family in families for each in family.series.items()]
    return {labels: value for labels, value in series if value}
