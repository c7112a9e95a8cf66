"""Faults outside the stream keep nothing from being sent, and are reported."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.shipping import shipper
from hypervisor_nats.shipping.shipping import Shipping
from hypervisor_nats.shipping.shipping_lock import ShippingLock
from hypervisor_nats.shipping.turns import Turns
from tests.commands import run_hvobs
from tests.plugins.journal.journals import append, write_run
from tests.plugins.nats.servers import NatsServer, config_of, make_stream, one_server
from tests.plugins.nats.shipments import (
    PATIENCE_SECONDS,
    await_problem,
    numbers_in,
    ship,
    shipping,
    stored,
    write_shipping,
)
from tests.ports import free_port
from tests.waiting import wait_until


def make_unreadable(run: Path) -> None:
    """Have it fail to tell whether the run is written, as a file of another user does."""
    (run / "lock").unlink()
    os.mkfifo(run / "lock")


def test_run_that_cannot_be_read_keeps_no_other_from_being_sent(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    bad, _ = write_run(tmp_path, range(5))
    make_unreadable(bad.path)
    write_run(tmp_path, range(100, 110))
    _, writer = write_run(tmp_path, range(200, 210), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 20, PATIENCE_SECONDS)
        append(writer, 210)
        wait_until(lambda: sending.standing.shipped == 21, PATIENCE_SECONDS)
        assert sending.standing.connected
        await_problem(sending, f"{bad.path.name} cannot be read")
        writer.close()
        assert not sending.stop(PATIENCE_SECONDS)

    assert sorted(numbers_in(stored(nats_config))) == [*range(100, 110), *range(200, 211)]


def test_once_sends_all_runs_but_one_that_cannot_be_read(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    bad, _ = write_run(tmp_path / "journal", range(5))
    make_unreadable(bad.path)
    for first in range(10, 50, 10):
        write_run(tmp_path / "journal", range(first, first + 10))
    file = write_shipping(nats_config, tmp_path / "journal")

    result = run_hvobs("ship", "--once", "--config", file)

    assert result.exit_code == 1
    assert f"{bad.path.name} cannot be read" in result.stderr
    assert sorted(numbers_in(stored(nats_config))) == list(range(10, 50))


def test_positions_that_cannot_be_saved_or_read_keep_nothing_from_being_sent(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "shipped" / f"{nats_config.stream}.json"
    in_the_way.mkdir(parents=True)
    write_run(tmp_path, range(10))
    _, writer = write_run(tmp_path, range(10, 20), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 20, PATIENCE_SECONDS)
        append(writer, *range(20, 30))
        writer.close()
        assert sending.stop(PATIENCE_SECONDS)
        assert str(in_the_way) in (sending.standing.problem or "")

    file = write_shipping(nats_config, tmp_path, tmp_path)
    assert run_hvobs("ship", "--once", "--config", file).exit_code == 0  # all is there
    assert sorted(numbers_in(stored(nats_config))) == list(range(30))


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "..", ""])
def test_positions_of_anything_but_a_run_are_skipped(
    nats_config: NatsConfig, tmp_path: Path, name: str
) -> None:
    write_run(tmp_path, range(5))
    ship(tmp_path, nats_config)
    path = tmp_path / "shipped" / f"{nats_config.stream}.json"
    document = json.loads(path.read_bytes())
    document["runs"] = {name: [3, "00" * 32, 0, "", 9]}
    path.write_text(json.dumps(document))
    write_run(tmp_path, range(5, 10))

    sending = ship(tmp_path, nats_config)

    assert sending.standing.gone == 0
    assert numbers_in(stored(nats_config)) == list(range(10))


def test_fault_of_its_own_is_reported_and_survived(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writer = write_run(tmp_path, range(5), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 5, PATIENCE_SECONDS)
        with monkeypatch.context() as patch:
            patch.setattr(Turns, "count", lambda *_, **__: int("no number"))
            wait_until(lambda: sending.standing.problem is not None, PATIENCE_SECONDS)
        append(writer, *range(5, 10))
        wait_until(lambda: sending.standing.problem is None, PATIENCE_SECONDS)
        wait_until(lambda: len(numbers_in(stored(nats_config))) == 10, PATIENCE_SECONDS)
    writer.close()

    assert numbers_in(stored(nats_config)) == list(range(10))


def test_last_sender_leaves_nothing_that_an_earlier_one_left_to_it(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that ends leaves its run to another that sends, even at the last moment."""
    write_run(tmp_path, range(5))
    sending = Shipping(tmp_path, nats_config, "checkout")
    lock = sending._shipper.lock
    release = type(lock).release
    begun: list[None] = []
    left: list[bool] = []

    def release_late(self: object) -> None:
        if self is lock and lock.held and not left and not begun:
            begun.append(None)
            write_run(tmp_path, range(5, 10))
            other = Shipping(tmp_path, nats_config, "checkout")
            other.start()
            left.append(other.stop(PATIENCE_SECONDS))
        release(self)  # type: ignore[arg-type]  # the one that it is called on

    monkeypatch.setattr(type(lock), "release", release_late)
    sending.start()
    assert sending.caught_up.wait(PATIENCE_SECONDS)

    assert sending.stop(PATIENCE_SECONDS)
    assert left == [False]  # the other one left it
    assert numbers_in(stored(nats_config)) == list(range(10))


def test_recreated_journal_is_sent_by_one_process(nats_config: NatsConfig, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    write_run(directory, range(5))
    with shipping(directory, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 5, PATIENCE_SECONDS)
        wait_until(sending.caught_up.is_set, PATIENCE_SECONDS)
        directory.rename(tmp_path / "former")
        write_run(directory, range(5, 10))
        wait_until(lambda: sending.standing.shipped == 10, PATIENCE_SECONDS)
        wait_until((directory / "shipped" / "lock").exists, PATIENCE_SECONDS)
        assert sending.standing.problem is None


def test_one_server_that_is_away_ends_no_shipping_that_another_may_take(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    there = config_of(nats_server)
    make_stream(there)
    for number in range(6):
        config = NatsConfig(
            servers=(*(f"nats://127.0.0.1:{free_port()}" for _ in range(5)), *there.servers),
            stream=there.stream,
            subject=there.subject,
        )
        write_run(tmp_path / str(number), [number])
        sending = Shipping(tmp_path / str(number), config, "checkout")
        sending.start()
        assert sending.stop(PATIENCE_SECONDS), sending.standing.status()

    assert numbers_in(stored(there)) == list(range(6))


def test_what_the_bounds_took_while_nobody_could_send_is_counted(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    away = NatsConfig(servers=(f"nats://127.0.0.1:{free_port()}",), stream=nats_config.stream)
    run, _ = write_run(tmp_path, range(10))
    with shipping(tmp_path, away) as sending:
        wait_until(lambda: sending.standing.waiting == 10, PATIENCE_SECONDS)
        wait_until(lambda: sending.standing.problem is not None, PATIENCE_SECONDS)
    run.remove()  # as the bounds do
    (tmp_path / "ended").unlink()  # the same

    sending = ship(tmp_path, nats_config)

    assert sending.standing.gone == 10


def test_sender_that_waits_for_another_counts_what_that_one_leaves(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "_WATCH_SECONDS", 0.1)
    run, writer = write_run(tmp_path, range(10), end="living")
    ship(tmp_path, nats_config)
    paused = ShippingLock(tmp_path)
    assert paused.take()
    with shipping(tmp_path, nats_config) as waiting:
        append(writer, *range(10, 13))
        wait_until(lambda: waiting.standing.waiting == 3, PATIENCE_SECONDS)
        assert waiting.standing.behind_seconds > 0
        paused.release()
        wait_until(lambda: waiting.standing.ships, PATIENCE_SECONDS)
        wait_until(lambda: waiting.standing.waiting == 0, PATIENCE_SECONDS)
    writer.close()

    assert waiting.standing.shipped == 3
    assert waiting.waiting_of(run.path.name) == 0


def test_server_that_hangs_holds_no_process_beyond_its_time(tmp_path: Path) -> None:
    write_run(tmp_path, range(10))
    with one_server(tmp_path / "server") as server:
        config = config_of(server, timeout_seconds=60)
        make_stream(config)
        server.send(signal.SIGSTOP)
        sending = Shipping(tmp_path, config, "checkout")
        sending.start()
        began = time.monotonic()
        assert not sending.stop(4.0)
        assert time.monotonic() - began < 30

    assert "it did not answer" in (sending.standing.problem or "")
