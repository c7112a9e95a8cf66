"""What an agent is given of a store."""

from collections import Counter
from functools import partial
from pathlib import Path

from ..errors import StoreInUseError
from ..host.agent import Agent
from .readers import AwayReader, TakingReader
from .store_tests import (
    SHORT_SECONDS,
    WIDE_SECONDS,
    StoreTests,
    breaches_of,
    config_of,
    emit,
    numbers_of,
    until,
)


def _has(reader: TakingReader, events: int) -> bool:
    return len(numbers_of(list(reader.events))) >= events


class FollowingContract(StoreTests):
    """What an agent is given of a store."""

    def test_agent_delivers_what_many_runs_recorded_once(self, tmp_path: Path) -> None:
        """All runs, the living and the dead; each event once; and the totals of all of them."""
        with self.observed(tmp_path) as dead:
            for number in range(10):
                emit(dead.bus, number)
        reader = TakingReader()
        with self.observed(tmp_path) as alive, self.agent(tmp_path, reader) as agent:
            for number in range(10, 20):
                emit(alive.bus, number)
            alive.bus.sync()
            assert until(partial(_has, reader, 20))
            assert agent.flush(WIDE_SECONDS)
            counts = agent.counts()["reader"]
            assert counts.emitted == counts.delivered
        assert sorted(numbers_of(reader.events)) == list(range(20))
        assert not agent.damaged

    def test_agent_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """Another agent begins behind what the one before it delivered, and counts on."""
        readers = [TakingReader(), TakingReader()]
        with self.observed(tmp_path) as alive:
            totals = []
            for part, reader in enumerate(readers):
                for number in range(10 * part, 10 * part + 10):
                    emit(alive.bus, number)
                alive.bus.sync()
                with self.agent(tmp_path, reader) as agent:
                    assert until(partial(_has, reader, 10))
                    assert agent.flush(WIDE_SECONDS)
                    totals.append(breaches_of(agent))
        assert [numbers_of(reader.events) for reader in readers] == [
            list(range(10)),
            list(range(10, 20)),
        ]
        assert totals == [5, 10]

    def test_agent_delivers_what_its_backend_did_not_take_later(self, tmp_path: Path) -> None:
        """What a stopped agent had in its hands is for the next one."""
        with self.observed(tmp_path) as dead:
            for number in range(10):
                emit(dead.bus, number)
        with self.agent(tmp_path, AwayReader()) as away:
            away.flush(SHORT_SECONDS)
        reader = TakingReader()
        with self.agent(tmp_path, reader) as agent:
            assert until(partial(_has, reader, 10))
            assert agent.flush(WIDE_SECONDS)
        assert numbers_of(reader.events) == list(range(10))

    def test_agent_waits_for_what_cannot_be_read(self, tmp_path: Path) -> None:
        """Neither lost nor delivered twice, however often a read fails."""
        reader = TakingReader()
        with self.observed(tmp_path) as alive, self.agent(tmp_path, reader) as agent:
            for number in range(10):
                emit(alive.bus, number)
            alive.bus.sync()
            with self.unreadable(tmp_path):
                agent.flush(SHORT_SECONDS)
                for number in range(10, 20):
                    emit(alive.bus, number)
                agent.flush(SHORT_SECONDS)
            alive.bus.sync()
            assert until(lambda: _has(reader, 20) or agent.counts()["reader"].dropped)
            assert agent.flush(WIDE_SECONDS)
            assert agent.counts()["reader"].dropped == {}
        assert Counter(numbers_of(reader.events)) == Counter(range(20))


class OneAgentContract(StoreTests):
    """A store for one agent refuses a second one, which would deliver everything again."""

    def test_two_agents_do_not_read_one_store(self, tmp_path: Path) -> None:
        """Both would deliver everything: the second one is refused."""
        with self.observed(tmp_path) as alive:
            emit(alive.bus, 0)
            alive.bus.sync()
            with self.agent(tmp_path, TakingReader()):
                try:
                    Agent(config_of(), plugins=[self.plugin(tmp_path), TakingReader()]).start()
                except StoreInUseError:
                    pass
                else:
                    raise AssertionError("a second agent reads the store")
            with self.agent(tmp_path, TakingReader()) as again:
                assert again.flush(WIDE_SECONDS)
