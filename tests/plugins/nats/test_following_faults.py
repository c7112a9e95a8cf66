"""Faults of agents, the stream and its bucket lose nothing, and are reported."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from nats.aio.client import Client
from nats.js.api import KeyValueConfig
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.keeping import consumer_name, entry_key
from hypervisor_nats.following.membership import Membership, Sign, now
from hypervisor_nats.following.server import Found, Server
from hypervisor_nats.messages import ID_HEADER, Head
from hypervisor_nats.names import partition_of, subject_of
from hypervisor_observability.errors import StreamUnavailableError
from tests.plugins.nats.arrivals import forged
from tests.plugins.nats.followers import (
    PARTITIONS,
    Reader,
    await_events,
    await_sharing,
    await_state,
    fleet,
    publish,
    publish_run,
    run_messages,
    run_name,
)
from tests.plugins.nats.servers import ask_server, config_of, make_stream, one_server
from tests.waiting import wait_until

LEASE_SECONDS = 1.0


@pytest.fixture
def quick(nats_config: NatsConfig) -> NatsConfig:
    """With a lease that ends soon."""
    return evolve(nats_config, lease_seconds=LEASE_SECONDS)


def kill(reader: Reader) -> None:
    """Stop the agent of *reader* from giving signs of life; it gives nothing up."""
    store = reader.stream.fleet
    store._rounds, store._going = None, store._going.cancel()  # type: ignore[attr-defined]  # of this store
    store._link.close()  # type: ignore[attr-defined]  # of this store


def test_killed_agent_is_replaced_and_only_what_it_had_in_its_hands_comes_twice(
    quick: NatsConfig,
) -> None:
    with fleet(quick, "otel") as [killed]:
        killed.await_parts()
        for _ in range(6):
            publish_run(quick, 20)
        assert killed.reads(120, most=7)
        killed.holds = True  # it has the next batch in its hands, for ever
        publish_run(quick, 5)
        assert killed.reads(125)
        kill(killed)
        with fleet(quick, "otel") as [heir]:
            heir.await_parts()
            assert heir.reads(5)
            assert set(heir.ids) == set(killed.ids[-5:])
            await_state(heir, count=125)
            assert heir.end() == 5


def test_agent_that_was_paused_loses_what_it_had_before_it_reads_again(quick: NatsConfig) -> None:
    run = run_name()
    messages = run_messages(run, 40)
    publish(quick, messages[:2])
    with fleet(quick, "otel") as [paused]:
        paused.holds = True  # it delivers them, and is paused before it says so
        paused.await_parts()
        assert paused.reads(20)
        resumes = threading.Event()
        paused.stream.fleet._link.loop.call_soon_threadsafe(resumes.wait)  # type: ignore[attr-defined]  # of this store
        with fleet(quick, "otel") as [heir]:
            heir.await_parts()
            publish(quick, messages[2:])
            assert heir.reads(40)
            with pytest.raises(StreamUnavailableError):
                paused.stream.read(paused.position, 100)
            resumes.set()
            paused.stream.commit(paused.position, dict, last=False)
            paused.holds = False
            for _ in range(8):
                publish_run(quick, 10)
            await_events(paused, heir, count=120)
            await_state(heir, paused, count=120)
            assert Counter(Counter(paused.ids + heir.ids).values()) == {1: 100, 2: 20}


def test_agent_is_not_dead_before_the_lease_that_it_has_itself() -> None:
    patient, hasty = Membership(60.0), Membership(0.05)
    patient.note_sign(now(), 1, is_late=True)
    hasty.note_sign(now(), 2, is_late=True)
    at = "2026-11-28T10:11:12Z"
    hasty.look([Found(patient.key, 1, at, patient.value()), Found(hasty.key, 2, at, None)])
    time.sleep(0.1)
    assert hasty.live() == [patient.id, hasty.id]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"begun": "x", "lease": -1, "readers": 7}'])
def test_empty_sign_of_life_belongs_to_an_agent_without_a_place(data: bytes) -> None:
    sign = Sign.from_bytes(data)
    assert (sign.begun, sign.lease_seconds, sign.readers) == (0, None, None)


def test_plugin_that_one_agent_has_gets_all_partitions_beside_an_agent_without_it(
    quick: NatsConfig,
) -> None:
    with fleet(quick, "otel") as [other], fleet(quick, "otel", "audit") as [otel, audit]:

        def is_shared() -> bool:
            for reader in (other, otel, audit):
                reader.step()
            return len(other.stream.parts) == len(otel.stream.parts) == 2

        wait_until(is_shared)
        for _ in range(8):
            publish_run(quick, 10)
        assert audit.reads(80)
        await_events(other, otel, count=80)
        assert len(other.ids) + len(otel.ids) == 80
        assert len(audit.stream.parts) == PARTITIONS


def test_agents_that_begin_at_one_moment_share_everything(quick: NatsConfig) -> None:
    for _ in range(8):
        publish_run(quick, 10)
    with fleet(quick, "otel") as [one], fleet(quick, "otel") as [two]:
        await_events(one, two, count=80)
        await_sharing(one, two)
        assert len(one.ids) + len(two.ids) == 80
        await_state(one, two, count=80)


@pytest.mark.fault("N8")
def test_foreign_messages_are_skipped_and_reported(
    nats_config: NatsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_name()
    good = run_messages(run, 10)
    subject = subject_of(nats_config.subject, "tests", run, PARTITIONS)
    other = (partition_of(run, PARTITIONS) + 1) % PARTITIONS

    async def intrude(jetstream: JetStreamContext) -> None:
        await jetstream.publish(subject, b"hello")
        await jetstream.publish(subject, b"hello", headers={"Hv-Format": "99"})
        await jetstream.publish(subject, b"", headers={"Hv-Format": "1", "Hv-Run": "x"})
        head, data = good[0]
        headers = {**head.to_headers(), ID_HEADER: "copy"}
        await jetstream.publish(f"{nats_config.subject}.tests.{other}.copy", data, headers=headers)

    ask_server(nats_config, intrude)
    publish(nats_config, good)
    with fleet(nats_config, "otel") as [reader], caplog.at_level(logging.WARNING):
        assert reader.reads(10)
        assert reader.end() == 10
        assert metric(reader, "strange_messages_total") == 4
    assert "is not from a shipper" in caplog.text
    with fleet(nats_config, "otel") as [heir]:
        heir.await_parts()
        assert heir.end() == 0  # the strangers are behind, too


def metric(reader: Reader, name: str) -> float:
    store = reader.stream.fleet
    families = {one.name: one for one in store.metrics()}  # type: ignore[attr-defined]  # of this store
    return float(sum(families[f"agent_hypervisor_observability_nats_{name}"].series.values()))


@pytest.mark.fault("N9")
def test_run_that_does_not_verify_is_reported_and_kept_apart_for_good(
    nats_config: NatsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = run_name(), run_name()
    first, second, third, fourth = run_messages(bad, 40)
    publish(nats_config, [first, forged(second, 3, b'{"number":99}')])
    publish(nats_config, run_messages(good, 20))
    with fleet(nats_config, "otel") as [reader], caplog.at_level(logging.WARNING):
        assert reader.reads(33)  # up to the record that was changed
        reader.read_until(lambda: reader.skipped == 7)
        assert reader.stream.left() == {"unverified": 7}
        assert reader.end() == 40
        assert reader.stream.damaged
        wait_until(lambda: not any(term.is_dirty for term in reader.stream.terms.values()))
    assert "does not verify" in caplog.text
    publish(nats_config, [third, fourth])
    with fleet(nats_config, "otel") as [heir]:
        heir.read_until(lambda: metric(heir, "unverified_events_total") == 27)
        assert (heir.skipped, heir.events) == (20, [])


@pytest.mark.fault("N10")
def test_what_retention_took_unread_is_counted_by_the_numbers(nats_config: NatsConfig) -> None:
    known = run_name()
    messages = run_messages(known, 50)
    publish(nats_config, messages[:1])
    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(10)
    new = run_name()
    rest = run_messages(new, 30)
    publish(nats_config, [messages[1], messages[2], rest[0]])
    ask_server(nats_config, lambda jetstream: jetstream.purge_stream(nats_config.stream))
    publish(nats_config, [messages[3], messages[4], rest[1], rest[2]])
    with fleet(nats_config, "otel") as [heir]:
        assert heir.reads(40)
        assert heir.skipped == 30
        assert heir.stream.left() == {}
        assert metric(heir, "expired_events_total") == 30
        assert heir.end() == 70


def test_reader_that_does_not_defer_begins_at_the_present(nats_config: NatsConfig) -> None:
    publish_run(nats_config, 30)
    for _ in range(2):
        with fleet(nats_config, "statsd", defers=False) as [reader]:
            reader.read_until(lambda: reader.skipped == 30)
            assert reader.stream.left() == {"not_replayed": 30}
            publish_run(nats_config, 10)
            assert reader.reads(10)
            assert reader.end() == 40
        publish_run(nats_config, 20)
        publish_run(nats_config, 10)


@pytest.mark.fault("N6")
def test_recreated_stream_is_read_from_its_beginning(
    quick: NatsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    publish_run(quick, 30)
    with fleet(quick, "otel") as [reader], caplog.at_level(logging.WARNING):
        assert reader.reads(30)

        async def remove(jetstream: JetStreamContext) -> None:
            await jetstream.delete_stream(quick.stream)
            await jetstream.delete_key_value(quick.bucket)

        ask_server(quick, remove)
        make_stream(quick)
        publish_run(quick, 20)
        assert reader.reads(50)
    assert "was recreated" in caplog.text


@pytest.mark.fault("N12")
def test_recreated_bucket_costs_running_agents_nothing(quick: NatsConfig) -> None:
    publish_run(quick, 30)
    with fleet(quick, "otel") as [reader]:
        assert reader.reads(30)

        async def renew(jetstream: JetStreamContext) -> None:
            await jetstream.delete_key_value(quick.bucket)
            await jetstream.create_key_value(
                KeyValueConfig(bucket=quick.bucket, history=1, direct=True)
            )

        ask_server(quick, renew)
        publish_run(quick, 20)
        assert reader.reads(50)
    with fleet(quick, "otel") as [heir]:
        heir.await_parts()
        publish_run(quick, 5)
        assert heir.reads(5)


@pytest.mark.fault("N12")
def test_consumer_that_is_deleted_by_hand_is_recreated(nats_config: NatsConfig) -> None:
    with fleet(nats_config, "otel") as [reader]:
        reader.await_parts()
        publish_run(nats_config, 30)
        assert reader.reads(30)

        async def delete(jetstream: JetStreamContext) -> None:
            for partition in range(PARTITIONS):
                name = consumer_name("otel", partition)
                await jetstream.delete_consumer(nats_config.stream, name)

        ask_server(nats_config, delete)
        publish_run(nats_config, 20)
        assert reader.reads(50)


@pytest.mark.fault("N12")
def test_other_number_of_partitions_is_followed(quick: NatsConfig) -> None:
    publish_run(quick, 10)
    with fleet(quick, "otel") as [reader]:
        assert reader.reads(10)

        async def change(jetstream: JetStreamContext) -> None:
            config = (await jetstream.stream_info(quick.stream)).config
            assert config.metadata is not None
            config.metadata["hv.partitions"] = "6"
            await jetstream.update_stream(config)

        ask_server(quick, change)
        reader.await_parts(6)
        for _ in range(6):
            publish(quick, run_messages(run_name(), 10), partitions=6)
        assert reader.reads(70)


def test_slow_reader_holds_little_and_keeps_what_it_has(quick: NatsConfig) -> None:
    run = run_name()
    with fleet(quick, "slow", "quick") as [slow, other]:
        slow.await_parts()
        other.await_parts()
        publish(quick, run_messages(run, 400, each=2))
        assert other.reads(400)
        term = slow.stream.terms[partition_of(run, PARTITIONS)]
        time.sleep(2 * LEASE_SECONDS)
        assert len(term.inbox._waiting) <= 33
        assert slow.stream.terms[term.partition] is term
        assert slow.end() == 400
        assert slow.reads(400)


@pytest.mark.parametrize("size", [100, 40_000, 2_000_000])
def test_state_of_any_size_is_there_for_the_next_agent(nats_config: NatsConfig, size: int) -> None:
    text = "".join(f"{number * number:x}" for number in range(size // 5))

    def big(reader: Reader, mark: str) -> None:
        reader.stream.terms[int(reader.stream.part or 0)].snapshot_due = 0.0
        reader.stream.commit(reader.position, lambda: {"mark": mark, "text": text}, last=False)

    run = run_name()
    messages = run_messages(run, 40)
    publish(nats_config, messages[:2])
    with fleet(nats_config, "otel") as [reader]:
        reader.holds = True
        reader.read_until(lambda: len(reader.events) == 20)
        big(reader, "first")
        publish(nats_config, messages[2:])
        reader.read_until(lambda: len(reader.events) == 40)
        big(reader, "second")
        part = reader.stream.part
        assert part is not None
    keys = ask_server(nats_config, lambda jetstream: _keys(jetstream, nats_config))
    blobs = {key.split(".")[3] for key in keys if key.startswith("blob.")}
    assert len(blobs) == (size > 1_000)
    with fleet(nats_config, "otel") as [heir]:
        wait_until(lambda: not _is_away(heir) and part in heir.stream.parts)
        assert heir.stream.state_of(part) == {"mark": "second", "text": text}
        assert list(heir.stream.since_state_of(part)) == []


async def _keys(jetstream: JetStreamContext, config: NatsConfig) -> Sequence[str]:
    return await (await jetstream.key_value(config.bucket)).keys()


@pytest.mark.fault("N12")
@pytest.mark.parametrize("damage", [b"", b"{", b'{"owner":5}', b"[]"])
def test_damaged_entry_has_its_partition_read_again(
    nats_config: NatsConfig, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    run = publish_run(nats_config, 10)

    async def spoil(jetstream: JetStreamContext) -> None:
        bucket = await jetstream.key_value(nats_config.bucket)
        await bucket.put(entry_key("otel", partition_of(run, PARTITIONS)), damage)

    ask_server(nats_config, spoil)
    with fleet(nats_config, "otel") as [reader], caplog.at_level(logging.WARNING):
        assert reader.reads(10)
    assert "entry is damaged" in caplog.text


@pytest.mark.fault("N12")
def test_server_that_restarts_costs_a_pause_alone_and_a_line_or_two(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with one_server(tmp_path) as server, caplog.at_level(logging.WARNING, "hypervisor_nats"):
        config = config_of(server, lease_seconds=LEASE_SECONDS, timeout_seconds=1.0)
        make_stream(config)
        publish_run(config, 30)
        with fleet(config, "otel") as [reader]:
            assert reader.reads(30)
            server.kill()
            wait_until(lambda: _is_away(reader) and "nobody listens there" in caplog.text)
            time.sleep(2 * config.timeout_seconds)  # all that asks has had no answer meanwhile
            server.start()
            publish_run(config, 20)
            assert reader.reads(50)
            assert reader.end() == 50
    _assert_told_briefly(config, caplog)


def test_lease_runs_from_the_moment_the_connection_is_back(
    quick: NatsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects, waits = Server.client, [1.0]
    signing: list[asyncio.Task[Any] | None] = []  # others connect meanwhile

    async def client(server: Server) -> Client:
        if waits and asyncio.current_task() in signing:
            await asyncio.sleep(waits.pop())
        return await connects(server)

    async def give_sign() -> None:
        signing.append(asyncio.current_task())
        await rounds._give_sign()

    with fleet(quick, "otel") as [reader]:
        store = reader.stream.fleet
        store._going.cancel()  # type: ignore[attr-defined]  # of this store
        rounds = store._rounds  # type: ignore[attr-defined]  # of this store
        monkeypatch.setattr(Server, "client", client)
        begun = now()
        store._link.run(give_sign(), 30)  # type: ignore[attr-defined]  # of this store
        assert not waits
        assert rounds.membership.until >= begun + 1.0 + LEASE_SECONDS


def test_agent_whose_sign_was_under_way_while_its_lease_ended_reads_nothing(
    nats_config: NatsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = evolve(nats_config, lease_seconds=2.0)
    puts, signing = Server.put, list[asyncio.Task[Any] | None]()
    inherited = threading.Event()

    async def put(server: Server, key: str, value: bytes, last: int | None = None) -> int:
        if asyncio.current_task() in signing:
            await asyncio.to_thread(inherited.wait, 30)
        return await puts(server, key, value, last)

    async def give_sign() -> None:
        signing.append(asyncio.current_task())
        await rounds._give_sign()

    with fleet(config, "otel") as [late]:
        publish_run(config, 10)
        assert late.reads(10)
        store = late.stream.fleet
        store._going.cancel()  # type: ignore[attr-defined]  # of this store
        rounds = store._rounds  # type: ignore[attr-defined]  # of this store
        monkeypatch.setattr(Server, "put", put)
        time.sleep(0.7 * config.lease_seconds)
        loop = store._link.loop  # type: ignore[attr-defined]  # of this store
        given = asyncio.run_coroutine_threadsafe(give_sign(), loop)
        with fleet(config, "otel") as [heir]:
            publish_run(config, 10)
            assert heir.reads(10)
            inherited.set()
            given.result(30)
            assert not rounds.tenures.terms


@pytest.mark.fault("N6")
def test_stream_that_is_away_is_reported_once_for_all_partitions(
    quick: NatsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = evolve(quick, timeout_seconds=1.0)
    with (
        fleet(config, "otel", "metrics") as [reader, _],
        caplog.at_level(logging.WARNING, "hypervisor_nats"),
    ):
        publish_run(config, 10)
        assert reader.reads(10)
        ask_server(config, lambda jetstream: jetstream.delete_stream(config.stream))
        wait_until(lambda: "there is no stream" in caplog.text)
        time.sleep(3 * config.timeout_seconds)  # all that asks was refused meanwhile
        make_stream(config, partitions=PARTITIONS)
        wait_until(lambda: "is read again" in caplog.text)
        publish_run(config, 10)
        assert reader.reads(20)
    _assert_told_briefly(config, caplog)


def _assert_told_briefly(config: NatsConfig, caplog: pytest.LogCaptureFixture) -> None:
    place = f"{config.servers[0]} stream {config.stream}"
    told = [record.getMessage() for record in caplog.records if place in record.getMessage()]
    assert told[-1] == f"{place} is read again"
    assert 2 <= len(told) <= 5
    assert "consumer" not in caplog.text
    assert "Error" not in caplog.text


def _is_away(reader: Reader) -> bool:
    try:
        reader.stream.read(reader.position, 1)
    except StreamUnavailableError:
        return True
    return False


@pytest.mark.fault("N7")
def test_repeats_of_a_run_that_has_ended_are_skipped(nats_config: NatsConfig) -> None:
    run = run_name()
    messages = run_messages(run, 30, ended=True)
    publish(nats_config, messages)
    with fleet(nats_config, "otel") as [reader]:
        assert reader.reads(30)
    again: list[tuple[Head, bytes]] = [*messages[1:], messages[0]]
    with fleet(nats_config, "otel") as [heir]:
        publish(nats_config, again, identified=False)
        publish_run(nats_config, 5)
        assert heir.reads(5)
        assert heir.end() == 5
        assert heir.stream.left() == {}
