"""``hvobs nats status`` says who has what, and how far it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.entries import Entry, Place
from hypervisor_nats.names import partition_of, token_of
from hypervisor_nats.upkeep import watching
from tests.commands import run_hvobs
from tests.plugins.nats.followers import fleet, publish, publish_run, run_messages, run_name
from tests.plugins.nats.servers import (
    NatsServer,
    ask_server,
    cluster,
    config_of,
    leader_of,
    make_stream,
    write_table,
)

PARTITIONS = 4
Status = Callable[..., tuple[int, str, str]]


@pytest.fixture
def status(nats_config: NatsConfig, tmp_path: Path) -> Status:
    file = write_table(nats_config, tmp_path / "hypervisor.toml")

    def run(*arguments: object) -> tuple[int, str, str]:
        done = run_hvobs("nats", "status", "--config", file, *arguments)
        return done.exit_code, done.stdout, done.stderr

    return run


def in_json(status: Status, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status("--json", *arguments)[1])
    return found


def put(config: NatsConfig, key: str, value: bytes) -> None:
    """Write into the bucket as an agent would."""

    async def write(jetstream: JetStreamContext) -> None:
        await (await jetstream.key_value(config.bucket)).put(key, value)

    ask_server(config, write)


def created(config: NatsConfig) -> str:
    async def ask(jetstream: JetStreamContext) -> str:
        client = jetstream._nc  # the client's own class leaves the nanoseconds out
        answer = await client.request(f"$JS.API.STREAM.INFO.{config.stream}", b"", timeout=30)
        found: str = json.loads(answer.data)["created"]
        return found

    return ask_server(config, ask)


def test_stream_that_nobody_reads(status: Status, nats_config: NatsConfig) -> None:
    code, told, notes = status()

    assert (code, notes) == (0, "")
    assert f"stream {nats_config.stream}: 0 messages, 0 B, 4 partitions, replicas 1" in told
    assert "no agent reads it" in told


def test_agents_and_their_partitions_are_listed(status: Status, nats_config: NatsConfig) -> None:
    for _ in range(6):
        publish_run(nats_config, 20, ended=True)
    publish_run(nats_config, 20)
    with fleet(nats_config, "otel", "web") as (otel, web):
        assert otel.reads(140)
        web.read_until(lambda: len(web.terms) == PARTITIONS, most=1)

        found = in_json(status)

        assert [agent["lives"] for agent in found["agents"]] == [True]
        assert found["agents"][0]["partitions"] == 2 * PARTITIONS
        assert found["problems"] == []
        (service,) = found["services"]
        assert (service["service"], service["runs"], service["living"]) == ("tests", 7, 1)
        lags = {"otel": 0, "web": 0}
        for part in found["partitions"]:
            assert part["owner"] == found["agents"][0]["id"]
            lags[part["plugin"]] += part["lag_messages"]
        assert lags["otel"] == 0
        assert lags["web"] > 0

        code, told, _ = status()
        assert code == 0
        assert "running" in told
        assert "SERVICE" in told
        code, told, notes = status("--plugin", "web", "--max-lag", "0")
        assert code == 1
        assert "otel" not in told
        assert "messages behind, more than 0" in notes


def test_partition_that_nobody_has_is_wrong(status: Status, nats_config: NatsConfig) -> None:
    publish_run(nats_config, 20)
    with fleet(nats_config, "otel") as (otel,):
        assert otel.reads(20)

    code, _, notes = status()

    assert code == 1
    assert "no agent is running: start one with 'hvobs agent --from nats'" in notes
    assert in_json(status)["problems"]


def test_dead_agent_is_reported(status: Status, nats_config: NatsConfig) -> None:
    stamp = created(nats_config)
    with fleet(nats_config, "otel"):
        dead = Entry(owner="dead", stream=stamp, place=Place(0), expired=7, unverified=3)
        put(nats_config, f"at.{token_of('my plugin')}.1", dead.to_bytes())

        code, told, notes = status("--plugin", "my plugin")

    assert code == 1
    assert "my plugin, partition 1: its agent is dead" in notes
    assert "my plugin, partition 0: no agent has it" in notes
    (row,) = (line.split() for line in told.splitlines() if "(dead)" in line)
    assert row[-2:] == ["7", "3"]


def test_lag_counts_messages_of_the_partition_alone(
    status: Status, nats_config: NatsConfig
) -> None:
    mine, other = run_name(), run_name()
    while partition_of(other, PARTITIONS) == partition_of(mine, PARTITIONS):
        other = run_name()
    publish(nats_config, run_messages(mine, 50, each=10))
    publish(nats_config, run_messages(other, 50, each=10))
    partition = partition_of(mine, PARTITIONS)
    entry = Entry(owner=None, stream=created(nats_config), place=Place(2))
    put(nats_config, f"at.otel.{partition}", entry.to_bytes())

    parts = in_json(status)["partitions"]

    (part,) = (one for one in parts if one["partition"] == partition)
    assert part["lag_messages"] == 3
    assert part["lag_seconds"] >= 0
    code, _, notes = status("--max-behind", "1d")
    assert code == 1
    assert "behind for" not in notes


@pytest.mark.fault("N10")
def test_what_the_limits_took_unread_is_wrong(status: Status, nats_config: NatsConfig) -> None:
    publish_run(nats_config, 50)
    for partition in range(PARTITIONS):
        entry = Entry(owner=None, stream=created(nats_config), place=Place(0))
        put(nats_config, f"at.otel.{partition}", entry.to_bytes())
    put(nats_config, "replica.me", b"{}")
    ask_server(nats_config, lambda stream: stream.purge_stream(nats_config.stream, keep=2))

    assert "the limits of the stream removed messages that it had not read" in status()[2]


def test_positions_in_an_earlier_stream_mean_nothing(
    status: Status, nats_config: NatsConfig
) -> None:
    publish_run(nats_config, 50, each=50)
    for partition in range(PARTITIONS):
        entry = Entry(owner="me", stream="2001-01-01T00:00:00Z", place=Place(10**6), expired=1)
        put(nats_config, f"at.otel.{partition}", entry.to_bytes())
    put(nats_config, "at.otel.damaged", b"{}")
    put(nats_config, "at.broken.1", b"nothing")

    parts = in_json(status)["partitions"]

    assert sum(part["lag_messages"] for part in parts if part["plugin"] == "otel") == 1
    assert {part["plugin"] for part in parts} == {"otel", "broken"}
    assert {part["expired"] for part in parts} == {0}


def test_very_many_runs_are_not_looked_at_one_by_one(
    status: Status, nats_config: NatsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_RUNS", 1)
    publish_run(nats_config, 5)
    publish_run(nats_config, 5)

    assert "services are not listed" in status()[1]
    assert in_json(status)["services"] is None


def test_plugin_that_nobody_runs_is_named(status: Status) -> None:
    code, _, notes = status("--plugin", "nobody")

    assert code == 1
    assert "nobody has read nothing: no agent runs it" in notes


def test_foreign_stream_is_not_looked_at(nats_server: NatsServer, tmp_path: Path) -> None:
    config = config_of(nats_server)
    stream = StreamConfig(name=config.stream, subjects=[f"{config.subject}.>"])
    ask_server(config, lambda jetstream: jetstream.add_stream(stream))
    file = write_table(config, tmp_path / "hypervisor.toml")

    done = run_hvobs("nats", "status", "--config", file)

    assert done.exit_code == 1
    assert "is not a fleet's" in done.stderr


def test_stream_that_is_not_there(nats_server: NatsServer, tmp_path: Path) -> None:
    file = write_table(config_of(nats_server), tmp_path / "hypervisor.toml")

    done = run_hvobs("nats", "status", "--config", file)

    assert done.exit_code == 1
    assert "'hvobs nats init' makes it" in done.stderr


@pytest.mark.slow
def test_cluster_that_chooses_a_leader_is_waited_for(tmp_path: Path) -> None:
    with cluster(tmp_path / "servers") as servers:
        config = config_of(*servers, timeout_seconds=2.0)
        make_stream(config, num_replicas=3)
        file = write_table(config, tmp_path / "hypervisor.toml")
        leader_of(config, servers).kill()

        done = run_hvobs("nats", "status", "--config", file)

        assert done.exit_code == 0, done.output
        assert "4 partitions, replicas 3" in done.stdout
