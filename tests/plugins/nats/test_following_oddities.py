"""What the bucket and the stream may hold that no agent writes."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from nats.js.client import JetStreamContext

from hypervisor_journal.format.frames import EVENT
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following import rounds
from hypervisor_nats.following.followed_fleet import FollowedFleet
from hypervisor_nats.following.keeping import entry_key
from hypervisor_nats.following.known_runs import MAX_ENDED, KnownRuns
from hypervisor_nats.names import partition_of
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_observability.errors import StreamUnavailableError
from tests.plugins.nats.arrivals import RunWriter, messages_of
from tests.plugins.nats.followers import (
    PARTITIONS,
    Reader,
    fleet,
    publish,
    publish_run,
    run_messages,
    run_name,
)
from tests.plugins.nats.servers import ask_server, config_of, make_stream, one_server
from tests.waiting import wait_until


def spoil(config: NatsConfig, run: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the bucket has of the partition of *run*."""

    async def write(jetstream: JetStreamContext) -> None:
        bucket = await jetstream.key_value(config.bucket)
        key = entry_key("otel", partition_of(run, PARTITIONS))
        values = json.loads((await bucket.get(key)).value or b"")
        change(values)
        await bucket.put(key, json.dumps(values).encode())

    ask_server(config, write)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda entry: entry.update(seq=10_000), "or its server lost messages"),
        (lambda entry: entry["snapshot"].update(state="bm8="), "snapshot is damaged"),
        (lambda entry: entry["snapshot"].update(blob="gone", parts=2), "2 of 2 pieces"),
        (lambda entry: entry.update(stream="another"), "stream was recreated"),
    ],
)
def test_agent_continues_from_an_entry_that_cannot_be_right_and_reports_it(
    nats_config: NatsConfig,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[dict[str, Any]], object],
    told: str,
) -> None:
    run = run_name()
    messages = run_messages(run, 20)
    publish(nats_config, messages[:1])
    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(10)
    spoil(nats_config, run, change)
    with fleet(nats_config, "otel") as [heir], caplog.at_level(logging.WARNING):
        heir.await_parts()
        publish(nats_config, messages[1:])
        heir.read_until(lambda: set(heir.ids) >= {f"{run[-8:]}-{n}" for n in range(10, 20)})
    assert told in caplog.text


def test_agents_continue_in_a_stream_that_was_restored_to_an_earlier_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, backup = tmp_path / "server" / "data", tmp_path / "backup"
    with one_server(tmp_path / "server") as server:
        config = config_of(server)
        make_stream(config)
        server.stop()
        shutil.copytree(data, backup)
        server.start()
        publish_run(config, 200)
        with fleet(config, "otel") as [reader]:
            assert reader.reads(200)
            wait_until(lambda: stream_is_seen_at(reader, 20))
            server.stop()
            shutil.rmtree(data)
            shutil.copytree(backup, data)
            server.start()
            reader.read_until(lambda: "restored to an earlier state" in caplog.text)
            reader.await_parts()
            publish_run(config, 20)
            assert reader.reads(220)


def stream_is_seen_at(reader: Reader, last: int) -> bool:
    """Whether the agent of *reader* has seen message *last* of the stream."""
    assert isinstance(reader.stream.fleet, FollowedFleet)
    agent = reader.stream.fleet._rounds
    return agent is not None and agent._facts is not None and agent._facts.last >= last


def test_proven_record_that_is_not_an_event_is_skipped(nats_config: NatsConfig) -> None:
    writer = RunWriter().event()
    writer._write(EVENT, b'{"some":"thing"}', b"{}".ljust(32), 5, 1)
    writer.event()
    publish(nats_config, messages_of(writer.records, run=run_name(), ended=False))

    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(2)
        assert reader.stream.left() == {"unverified": 1}


@pytest.mark.parametrize(
    ("metadata", "told"),
    [({}, "was not made for events"), ({"hv.partitions": "4", "hv.format": "9"}, "format 9")],
)
def test_stream_of_another_kind_is_not_followed(
    nats_config: NatsConfig, metadata: Mapping[str, str], told: str
) -> None:
    async def change(jetstream: JetStreamContext) -> None:
        config = (await jetstream.stream_info(nats_config.stream)).config
        config.metadata = dict(metadata)
        await jetstream.update_stream(config)

    ask_server(nats_config, change)
    with pytest.raises(StreamUnavailableError, match=told), fleet(nats_config, "otel"):
        pass


def test_state_can_be_read_again(nats_config: NatsConfig) -> None:
    run = run_name()
    messages = run_messages(run, 40)
    publish(nats_config, messages[:2])
    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(20)
        publish(nats_config, messages[2:])
        assert reader.reads(40)
    with fleet(nats_config, "otel") as [heir]:
        heir.await_parts()
        heir.terms.clear()  # it has lost what it knew, and begins each part again
        publish_run(nats_config, 5)
        heir.read_until(lambda: len(heir.events) == 5)
        assert heir.state[str(partition_of(run, PARTITIONS))] >= 40
        with pytest.raises(StreamUnavailableError):
            heir.stream.state_of("no part")


def test_reader_that_keeps_no_state_asks_for_none(nats_config: NatsConfig) -> None:
    run = run_name()
    messages = run_messages(run, 40)
    publish(nats_config, messages[:2])
    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(20, most=7)
    with fleet(nats_config, "otel") as [heir]:
        publish(nats_config, messages[2:])
        had: list[str] = []

        def has_all() -> bool:
            try:
                _ = heir.stream.parts
                reading = heir.stream.read(heir.position, 100)
            except StreamUnavailableError:
                return False
            heir.position = reading.next_position
            had.extend(event.event_id for event in reading.events)
            return len(had) >= 20

        wait_until(has_all)
        assert had == [f"{run[-8:]}-{number}" for number in range(20, 40)]


def test_server_that_is_away_for_long_costs_nothing_but_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "GRACE_SECONDS", 0.5)
    with one_server(tmp_path) as server:
        config = config_of(server, lease_seconds=0.4, timeout_seconds=0.5)
        make_stream(config)
        publish_run(config, 30)
        with fleet(config, "otel") as [reader]:
            reader.holds = True
            assert reader.reads(30)
            server.kill()
            wait_until(lambda: not reader.stream.parts)
            reader.stream.commit(reader.position, lambda: {"count": 0}, last=False)
            server.start()
            publish_run(config, 20)
            reader.holds = False
            reader.read_until(lambda: len(set(reader.ids)) == 50)


def test_runs_that_have_ended_are_remembered_up_to_a_bound() -> None:
    known = KnownRuns()
    for number in range(MAX_ENDED + 1):
        known.note(CheckedRun(f"run-{number}", 5, ended=True))

    again = KnownRuns.from_json(json.loads(json.dumps(known.to_json({}))))

    assert again.ended_at("run-0") is None
    assert again.ended_at("run-1") == 5


@pytest.mark.parametrize("values", [{"runs": [5]}, {"ended": {"x": []}}, {"runs": [{"name": 1}]}])
def test_odd_runs_of_a_snapshot_are_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="damaged runs"):
        KnownRuns.from_json(values)


def test_reader_starts_afresh_in_the_child_of_a_fork(nats_config: NatsConfig) -> None:
    with fleet(nats_config, "otel") as [reader]:
        reader.await_parts()
        child = Reader(reader.stream)
        child.stream.begin_anew_after_fork()
        assert child.stream.in_flight == []
        assert child.stream.unfinished == set()
        assert (child.stream.state, list(child.stream.since_state())) == (None, [])
        assert list(child.stream.since_state_by_run()) == []
