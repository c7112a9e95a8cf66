"""Whatever happens on the way, the stream has each event that the journal has, once."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from hypervisor_journal.runs.runs import new_run
from hypervisor_nats.commands import ship as ship_command_module
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.messages import ID_HEADER
from hypervisor_nats.names import FORMAT, FORMAT_KEY, PARTITIONS_KEY, partition_of, subject_of
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_nats.shipping import shipping_lock
from hypervisor_nats.shipping.shipping import Shipping
from tests.commands import HVOBS, run_hvobs
from tests.plugins.journal.journals import append, damage_second_record, write_run
from tests.plugins.nats.arrivals import events, messages_of
from tests.plugins.nats.servers import NatsServer, ask_server, config_of, make_stream, one_server
from tests.plugins.nats.shipments import (
    PATIENCE_SECONDS,
    Stored,
    await_problem,
    numbers_in,
    ship,
    shipping,
    stored,
    write_shipping,
)
from tests.ports import free_port
from tests.waiting import wait_until

TEXT = "x" * 1_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of its own, which may be stopped."""
    with one_server(tmp_path / "server") as server:
        yield server


def checked(messages: list[Stored]) -> int:
    """Check each run as a reader does; give how many numbers never came."""
    runs: dict[str, CheckedRun] = {}
    missing = 0
    for one in messages:
        answer = runs.setdefault(one.head.run, CheckedRun(one.head.run)).take(one.head, one.data)
        assert answer.problem is None
        missing += answer.missing
    return missing


def change_stream(config: NatsConfig, **changes: object) -> None:
    async def change(jetstream: JetStreamContext) -> None:
        found = (await jetstream.stream_info(config.stream)).config
        await jetstream.update_stream(found.evolve(**changes))

    ask_server(config, change)


def delete_stream(config: NatsConfig) -> None:
    async def delete(jetstream: JetStreamContext) -> None:
        await jetstream.delete_stream(config.stream)
        await jetstream.delete_key_value(config.bucket)

    ask_server(config, delete)


def positions_file(directory: Path, config: NatsConfig) -> Path:
    return directory / "shipped" / f"{config.stream}.json"


def test_sender_that_is_killed_again_and_again_sends_each_event_once(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    for first in range(0, 4_000, 1_000):
        write_run(tmp_path / "journal", range(first, first + 1_000))
    file = write_shipping(nats_config, tmp_path / "journal", max_message_events=10)
    for least in (1, 100, 200):
        with subprocess.Popen(
            [*HVOBS, "ship", "--config", file], stderr=subprocess.DEVNULL
        ) as process:
            try:
                wait_until(partial(has_more_than, nats_config, least), PATIENCE_SECONDS)
            finally:
                process.kill()

    ship(tmp_path / "journal", nats_config)

    messages = stored(nats_config)
    assert sorted(numbers_in(messages)) == list(range(4_000))
    assert checked(messages) == 0


def has_more_than(config: NatsConfig, messages: int) -> bool:
    return len(stored_state(config)) > messages


def stored_state(config: NatsConfig) -> range:
    async def count(jetstream: JetStreamContext) -> int:
        return (await jetstream.stream_info(config.stream)).state.messages

    return range(ask_server(config, count))


@pytest.mark.fault("N7")
@pytest.mark.parametrize("left", ["nothing", "damage", "an earlier state"])
def test_positions_that_are_lost_cost_no_event_and_repeat_none(
    left: str, nats_config: NatsConfig, tmp_path: Path
) -> None:
    """Long after the window in which the server knows repeats."""
    change_stream(nats_config, duplicate_window=0.1)
    _, writer = write_run(tmp_path, range(150), end="living")
    ship(tmp_path, nats_config)
    file = positions_file(tmp_path, nats_config)
    earlier = file.read_bytes()
    append(writer, *range(150, 300))
    ship(tmp_path, nats_config)
    append(writer, *range(300, 400))
    if left == "nothing":
        file.unlink()
    else:
        file.write_bytes(b"{" if left == "damage" else earlier)
    time.sleep(0.2)

    ship(tmp_path, nats_config)
    writer.close()

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(400))
    assert checked(messages) == 0


@pytest.mark.fault("N7")
def test_answer_that_was_lost_within_the_window_costs_nothing_that_was_written_since(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    """The server refuses a repeat by its name, though it holds more than what it repeats."""
    _, writer = write_run(tmp_path, range(50), end="living")
    ship(tmp_path, nats_config)
    positions_file(tmp_path, nats_config).unlink()
    append(writer, *range(50, 80))

    ship(tmp_path, nats_config)
    writer.close()

    assert numbers_in(stored(nats_config)) == list(range(80))


@pytest.mark.fault("N7")
def test_two_senders_of_one_run_send_it_once(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a file system whose locks do not hold.
    monkeypatch.setattr(shipping_lock, "try_lock", lambda _: True)
    config = evolve(nats_config, max_message_events=5)
    _, writer = write_run(tmp_path, range(500), end="living")
    with shipping(tmp_path, config) as first:
        wait_until(lambda: first.standing.ships, PATIENCE_SECONDS)
        with shipping(tmp_path, config) as second:
            wait_until(lambda: second.standing.ships, PATIENCE_SECONDS)
            append(writer, *range(500, 1_000))
            writer.close()
            wait_until(lambda: stored(config)[-1:] != [] and stored(config)[-1].head.ended, 60)
            wait_until(lambda: not first.standing.waiting and not second.standing.waiting, 60)

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(1_000))
    assert checked(messages) == 0


def test_next_sender_takes_over_when_the_one_before_has_ended(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    _, writer = write_run(tmp_path, range(10), end="living")
    with shipping(tmp_path, nats_config) as second:
        with shipping(tmp_path, nats_config) as first:
            wait_until(lambda: first.standing.ships or second.standing.ships, PATIENCE_SECONDS)
            one, other = (first, second) if first.standing.ships else (second, first)
            wait_until(lambda: one.standing.shipped == 10, PATIENCE_SECONDS)
            me = f"process {os.getpid()}"  # "another" until its number is in the file
            wait_until(lambda: other.standing.sender == me, PATIENCE_SECONDS)
            one.stop(0.0)
            wait_until(lambda: other.standing.ships, PATIENCE_SECONDS)
            append(writer, *range(10, 20))
            writer.close()
            wait_until(lambda: other.standing.shipped == 10, PATIENCE_SECONDS)

    assert numbers_in(stored(nats_config)) == list(range(20))


@pytest.mark.fault("N6")
def test_server_that_is_away_is_waited_for(
    server: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(server, timeout_seconds=0.5)
    make_stream(config)
    _, writer = write_run(tmp_path / "journal", range(10), end="living")
    with shipping(tmp_path / "journal", config) as sending:
        wait_until(lambda: sending.standing.shipped == 10, PATIENCE_SECONDS)
        server.kill()
        append(writer, *range(10, 20))
        wait_until(lambda: sending.standing.waiting == 10, PATIENCE_SECONDS)
        wait_until(lambda: sending.standing.problem is not None, PATIENCE_SECONDS)
        assert sending.standing.behind_seconds > 0
        server.start()
        append(writer, *range(20, 30))
        wait_until(lambda: sending.standing.shipped == 30, PATIENCE_SECONDS)
        wait_until(lambda: sending.standing.problem is None, PATIENCE_SECONDS)
    writer.close()

    assert numbers_in(stored(config)) == list(range(30))
    told = [record for record in caplog.records if "is not sent" in record.getMessage()]
    assert 1 <= len(told) <= 2  # no answer first, perhaps, then nobody who listens


@pytest.mark.fault("N7")
def test_events_that_the_server_has_lost_after_all_are_sent_again(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    """As one that does not sync what it acknowledges does in a power cut."""
    config = evolve(nats_config, max_message_events=10)
    _, writer = write_run(tmp_path, range(100), end="living")
    ship(tmp_path, config)

    async def lose(jetstream: JetStreamContext) -> None:
        for sequence in (8, 9, 10):
            await jetstream.delete_msg(config.stream, sequence)

    ask_server(config, lose)
    append(writer, 100)
    ship(tmp_path, config)
    writer.close()

    messages = stored(config)
    assert numbers_in(messages) == list(range(101))
    assert checked(messages) == 0


def test_messages_that_expired_are_not_sent_again(nats_config: NatsConfig, tmp_path: Path) -> None:
    _, writer = write_run(tmp_path, range(100), end="living")
    ship(tmp_path, nats_config)

    async def purge(jetstream: JetStreamContext) -> None:
        await jetstream.purge_stream(nats_config.stream)

    ask_server(nats_config, purge)
    append(writer, *range(100, 110))
    ship(tmp_path, nats_config)
    writer.close()

    assert numbers_in(stored(nats_config)) == list(range(100, 110))


@pytest.mark.fault("N6")
def test_stream_that_is_full_is_waited_for(nats_config: NatsConfig, tmp_path: Path) -> None:
    change_stream(nats_config, max_msgs=2, discard="new")
    write_run(tmp_path, range(500))
    with shipping(tmp_path, nats_config) as sending:
        await_problem(sending, "the stream is full")
        change_stream(nats_config, max_msgs=-1)
        wait_until(lambda: sending.standing.shipped == 500, PATIENCE_SECONDS)

    assert numbers_in(stored(nats_config)) == list(range(500))


@pytest.mark.fault("N6")
def test_missing_stream_is_reported_with_the_command_that_makes_it_and_waited_for(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    config = config_of(nats_server)
    write_run(tmp_path, range(10))
    with shipping(tmp_path, config) as sending:
        await_problem(sending, "'hvobs nats init' makes it")
        wait_until(lambda: sending.standing.waiting == 10, PATIENCE_SECONDS)
        make_stream(config)
        wait_until(lambda: sending.standing.shipped == 10, PATIENCE_SECONDS)


@pytest.mark.fault("N6")
def test_recreated_stream_gets_all_that_the_journal_has(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    write_run(tmp_path, range(250))
    _, writer = write_run(tmp_path, range(1_000, 1_010), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 260, PATIENCE_SECONDS)
        delete_stream(nats_config)
        make_stream(nats_config)
        append(writer, 1_010)
        wait_until(lambda: sending.standing.shipped == 521, PATIENCE_SECONDS)
    writer.close()

    messages = stored(nats_config)
    assert sorted(numbers_in(messages)) == [*range(250), *range(1_000, 1_011)]
    assert checked(messages) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metadata": {}}, "is not a fleet's"),
        ({"metadata": {PARTITIONS_KEY: "0", FORMAT_KEY: FORMAT}}, "no number of partitions"),
        ({"metadata": {PARTITIONS_KEY: "4", FORMAT_KEY: "7"}}, "format 7"),
    ],
)
@pytest.mark.fault("N8")
def test_foreign_stream_gets_nothing(
    changes: dict[str, object], told: str, nats_config: NatsConfig, tmp_path: Path
) -> None:
    change_stream(nats_config, **changes)
    write_run(tmp_path, range(10))
    with shipping(tmp_path, nats_config) as sending:
        await_problem(sending, told)

    assert len(stored_state(nats_config)) == 0


def test_stream_with_other_subjects_gets_nothing(nats_server: NatsServer, tmp_path: Path) -> None:
    config = config_of(nats_server)

    async def make(jetstream: JetStreamContext) -> None:
        kept = {PARTITIONS_KEY: "4", FORMAT_KEY: FORMAT}
        subjects = [f"other.{config.stream}.>"]
        stream = StreamConfig(name=config.stream, subjects=subjects, metadata=kept)
        await jetstream.add_stream(stream)

    ask_server(config, make)
    write_run(tmp_path, range(10))
    with shipping(tmp_path, config) as sending:
        await_problem(sending, "set subject to match the stream")


def test_run_keeps_its_partition_as_long_as_there_is_one_of_that_number(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    writers = [write_run(tmp_path, [number], end="living")[1] for number in range(8)]
    names = [writer.run.path.name for writer in writers if writer.run is not None]
    ship(tmp_path, nats_config)
    for partitions in (16, 2):
        kept = {PARTITIONS_KEY: str(partitions), FORMAT_KEY: FORMAT}
        change_stream(nats_config, metadata=kept)
        for number, writer in enumerate(writers):
            append(writer, number)
        ship(tmp_path, nats_config)
    for writer in writers:
        writer.close()

    found: dict[str, list[int]] = {name: [] for name in names}
    for one in stored(nats_config):
        found[one.head.run].append(int(one.subject.rsplit(".", 2)[1]))
    for name, partitions_of_run in found.items():
        four, two = partition_of(name, 4), partition_of(name, 2)
        assert partitions_of_run == [four, four, four if four < 2 else two]
    assert checked(stored(nats_config)) == 0


@pytest.mark.fault("N10")
def test_event_too_large_for_the_stream_is_reported_counted_and_skipped(
    nats_config: NatsConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_stream(nats_config, max_msg_size=20_000)
    _, writer = write_run(tmp_path, range(10), end="living")
    append(writer, 10, text="x" * 30_000)
    append(writer, *range(11, 20), text=TEXT)
    writer.close()

    sending = ship(tmp_path, nats_config)

    messages = stored(nats_config)
    assert numbers_in(messages) == [*range(10), *range(11, 20)]
    assert (sending.standing.too_large, sending.standing.shipped) == (1, 19)
    assert checked(messages) == 1
    assert "1 events that the server refuses" in caplog.text


@pytest.mark.fault("N10")
def test_what_the_bounds_took_before_it_was_sent_is_counted(
    nats_config: NatsConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, _ = write_run(tmp_path, range(150), text=TEXT)
    run.segment_path(0).unlink()

    sending = ship(tmp_path, nats_config)

    left = numbers_in(stored(nats_config))
    assert left == list(range(left[0], 150))
    assert sending.standing.gone == left[0] > 0
    assert f"lost {left[0]} events" in caplog.text


def test_damage_is_skipped_and_counted(nats_config: NatsConfig, tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(150), text=TEXT)
    damage_second_record(run)

    sending = ship(tmp_path, nats_config)

    messages = stored(nats_config)
    left = numbers_in(messages)
    assert left == [0, *range(left[1], 150)]
    assert sending.standing.gone == checked(messages) == left[1] - 1


def test_run_that_is_removed_while_it_is_sent_ends_in_the_stream(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    run, writer = write_run(tmp_path, range(50), end="living")
    ship(tmp_path, nats_config)
    append(writer, *range(50, 60))
    writer.close()
    run.remove()

    ship(tmp_path, nats_config)

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(50))
    assert messages[-1].head.ended


def test_run_without_an_event_leaves_no_message(nats_config: NatsConfig, tmp_path: Path) -> None:
    _, lock = new_run(tmp_path)
    lock.close()

    ship(tmp_path, nats_config)

    assert stored(nats_config) == []


def test_many_runs_are_sent_side_by_side_each_in_its_order(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    config = evolve(nats_config, max_message_events=5)
    for first in range(0, 1_000, 25):
        write_run(tmp_path, range(first, first + 25))

    ship(tmp_path, config)

    messages = stored(config)
    assert sorted(numbers_in(messages)) == list(range(1_000))
    assert checked(messages) == 0
    assert any(one.head.run != other.head.run for one, other in pairwise(messages[:9]))


CHILD = """
import os, sys
from hypervisor_observability import EventType, Observability

with Observability.from_config(sys.argv[1]) as observability:
    observability.bus.record(EventType.VFS_WRITE, payload={"number": 0})
    child = os.fork()
    observability.bus.record(EventType.VFS_WRITE, payload={"number": 1 if child else 2})
    if child:
        os.waitpid(child, 0)
"""


def test_child_of_a_fork_leaves_the_sending_to_its_parent_or_does_it_itself(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    file = write_shipping(nats_config, tmp_path / "journal")

    subprocess.run([sys.executable, "-W", "ignore", "-c", CHILD, file], check=True, timeout=120)

    messages = stored(nats_config)
    assert sorted(numbers_in(messages)) == [0, 1, 2]
    assert len({one.head.run for one in messages}) == 2


def test_service_that_was_renamed_changes_no_run_that_is_on_its_way(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    _, writer = write_run(tmp_path, range(10), end="living")
    ship(tmp_path, nats_config)
    positions_file(tmp_path, nats_config).unlink()
    append(writer, *range(10, 20))

    ship(tmp_path, nats_config, service="basket")
    writer.close()

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(20))
    assert len({one.subject for one in messages}) == 1


def test_signal_ends_the_command_in_order(nats_config: NatsConfig, tmp_path: Path) -> None:
    _, writer = write_run(tmp_path / "journal", range(20), end="living")
    file = write_shipping(nats_config, tmp_path / "journal")
    with subprocess.Popen(
        [*HVOBS, "ship", "--config", file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: len(stored_state(nats_config)) > 0, PATIENCE_SECONDS)
        assert process.stderr is not None
        progress = next(line for line in process.stderr if "caught up" in line)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    writer.close()

    assert process.returncode == 0
    assert progress == "caught up: 20 events sent\n"
    assert told == "20 events sent\n"


def forge(config: NatsConfig, run: str, headers: dict[str, str], data: bytes) -> None:
    async def publish(jetstream: JetStreamContext) -> None:
        subject = subject_of(config.subject, "checkout", run, 4)
        await jetstream.publish(subject, data, headers=headers)

    ask_server(config, publish)


def test_foreign_message_under_a_runs_subject_keeps_nothing_from_being_sent(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    run, _ = write_run(tmp_path, range(150))
    forge(nats_config, run.path.name, {}, b"hello")

    ship(tmp_path, nats_config)

    assert ship(tmp_path, nats_config).standing.shipped == 0
    assert numbers_in(stored(nats_config, first=2)) == list(range(150))


@pytest.mark.fault("N8")
def test_message_that_was_forged_in_a_runs_name_keeps_nothing_from_being_sent(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    """Not even where the server takes what is sent for a repeat of it."""
    run, _ = write_run(tmp_path, range(150))
    head, data = messages_of(events(150), [100], run=run.path.name, ended=True)[0]
    forge(nats_config, run.path.name, head.to_headers(), data)

    ship(tmp_path, nats_config)

    assert numbers_in(stored(nats_config, first=2)) == list(range(150))


@pytest.mark.parametrize("sent_since", [False, True])
def test_run_whose_partition_and_positions_are_gone_continues_where_it_was(
    sent_since: bool,
    nats_config: NatsConfig,
    tmp_path: Path,
) -> None:
    writer = write_run(tmp_path, [0], end="living")[1]
    while writer.run is None or partition_of(writer.run.path.name, 4) < 2:
        writer.close()
        ship(tmp_path, nats_config)
        writer = write_run(tmp_path, [0], end="living")[1]
    ship(tmp_path, nats_config)
    change_stream(nats_config, metadata={PARTITIONS_KEY: "2", FORMAT_KEY: FORMAT})
    if sent_since:
        append(writer, 1)
        ship(tmp_path, nats_config)
        name = writer.run.path.name
        message = next(one for one in stored(nats_config) if one.head.run == name)
        forge(nats_config, name, {**message.head.to_headers(), ID_HEADER: "late"}, message.data)
    append(writer, 2)
    positions_file(tmp_path, nats_config).unlink()

    ship(tmp_path, nats_config)
    writer.close()

    messages = [one for one in stored(nats_config) if one.head.run == writer.run.path.name]
    assert checked(messages) == 0
    assert {*numbers_in(messages)} == ({0, 1, 2} if sent_since else {0, 2})


@pytest.mark.fault("N6")
def test_end_of_a_process_does_not_wait_for_a_server_that_is_away(tmp_path: Path) -> None:
    write_run(tmp_path, range(10))
    config = NatsConfig(servers=(f"nats://127.0.0.1:{free_port()}",), timeout_seconds=60)
    sending = Shipping(tmp_path, config, "checkout")
    sending.start()

    began = time.monotonic()
    assert not sending.stop(120.0)

    assert time.monotonic() - began < 60
    assert sending.standing.waiting == 10
    assert "nobody listens there" in (sending.standing.problem or "")


def test_stream_that_is_deleted_while_a_run_is_sent_is_reported(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    _, writer = write_run(tmp_path, range(10), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 10, PATIENCE_SECONDS)
        delete_stream(nats_config)
        append(writer, 10)
        await_problem(sending, "'hvobs nats init' makes it")
        wait_until(lambda: sending.standing.waiting == 1, PATIENCE_SECONDS)
    writer.close()


def test_backlog_is_reported_while_it_is_sent(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_command_module, "_TELL_SECONDS", 0.0)
    monkeypatch.setattr(ship_command_module, "_LOOK_SECONDS", 0.001)
    write_run(tmp_path / "journal", range(2_000))
    file = write_shipping(nats_config, tmp_path / "journal", max_message_events=10)

    result = run_hvobs("ship", "--once", "--config", file)

    assert result.exit_code == 0
    assert re.search(r"[\d,]+ events sent, [\d,]+ wait \([\d,]+ events/s\)", result.stderr)
    assert "caught up" not in result.stderr  # the last line says it
    assert result.stdout == "2,000 events sent\n"


def test_answers_of_a_server_that_was_paused_are_neither_lost_nor_counted_twice(
    server: NatsServer, tmp_path: Path
) -> None:
    config = config_of(server, timeout_seconds=0.5)
    make_stream(config)
    _, writer = write_run(tmp_path / "journal", range(10), end="living")
    with shipping(tmp_path / "journal", config) as sending:
        wait_until(lambda: sending.standing.shipped == 10, PATIENCE_SECONDS)
        server.send(signal.SIGSTOP)
        append(writer, *range(10, 20))
        wait_until(lambda: sending.standing.problem is not None, PATIENCE_SECONDS)
        append(writer, *range(20, 30))
        server.send(signal.SIGCONT)
        wait_until(lambda: sending.standing.shipped == 30, PATIENCE_SECONDS)
    writer.close()

    ship(tmp_path / "journal", config)
    assert numbers_in(stored(config)) == list(range(30))
