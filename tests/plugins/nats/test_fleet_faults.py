"""A fleet of real processes loses nothing, whoever dies in the middle of it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.nats.servers import NatsServer, cluster, config_of, leader_of, make_stream
from tests.plugins.nats.small_fleets import BATCH_EVENTS, SmallFleet, small_fleet


@pytest.fixture(scope="module")
def running(
    nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SmallFleet]:
    config = config_of(nats_server)
    make_stream(config)
    with small_fleet(config, tmp_path_factory.mktemp("fleet"), (0, 0)) as fleet:
        yield fleet


@pytest.fixture
def fleet(running: SmallFleet) -> SmallFleet:
    running.be_whole()
    return running


@pytest.mark.fault("N2")
def test_agent_that_is_killed_is_taken_over(fleet: SmallFleet) -> None:
    killed, left = fleet.agents
    fleet.record()
    killed.kill()
    fleet.record(8)
    fleet.await_delivery()

    assert fleet.repeated() <= BATCH_EVENTS
    assert fleet.notes[-1].pid == left.pid
    killed.start()
    fleet.await_sharing()
    assert fleet.repeated() <= BATCH_EVENTS


@pytest.mark.fault("N3")
def test_agent_that_was_paused_comes_back_as_one_of_many(fleet: SmallFleet) -> None:
    paused, left = fleet.agents
    paused.send(signal.SIGSTOP)
    fleet.record(8)
    fleet.await_delivery()
    by = {note.pid for note in fleet.notes[-1:]}
    paused.send(signal.SIGCONT)
    fleet.await_sharing()

    assert by == {left.pid}
    assert fleet.repeated() <= BATCH_EVENTS


@pytest.mark.fault("N5")
def test_agent_that_ends_hands_over_without_a_repeat(fleet: SmallFleet) -> None:
    ended, _ = fleet.agents
    fleet.record(8)
    ended.end()
    fleet.record(8)
    fleet.await_delivery()
    ended.start()
    fleet.await_sharing()

    assert fleet.repeated() == 0


@pytest.mark.fault("N1")
def test_shipper_that_is_killed_sends_nothing_twice(fleet: SmallFleet) -> None:
    for _ in range(5):
        fleet.record()
        fleet.shipper.kill()
        fleet.shipper.start()
    fleet.await_delivery()

    assert fleet.repeated() == 0


@pytest.mark.fault("N4")
def test_cluster_that_loses_its_leader_loses_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path / "servers") as servers:
        config = config_of(*servers)
        make_stream(config, num_replicas=3)
        with small_fleet(config, tmp_path, (0,)) as fleet:
            fleet.record()
            fleet.await_delivery()
            leader_of(config, servers).kill()
            fleet.record()
            fleet.await_delivery()

            assert fleet.repeated() == 0
