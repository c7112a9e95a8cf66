"""What a journal holds comes into the stream: all of it, in its order, once."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import subject_of
from hypervisor_nats.shipping.metrics import shipping_metrics
from hypervisor_observability import EventType, Observability
from hypervisor_observability.config.lookup import FILE_VARIABLE
from tests.commands import HVOBS, run_hvobs
from tests.plugins.journal.journals import append, write_run
from tests.plugins.nats.servers import NatsServer, config_of
from tests.plugins.nats.shipments import numbers_in, ship, shipping, stored, write_shipping
from tests.waiting import wait_until


def test_dead_run_is_sent_as_it_stands_and_ends(nats_config: NatsConfig, tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, range(250))

    ship(tmp_path, nats_config)

    messages = stored(nats_config)
    assert [one.head.first for one in messages] == [0, 100, 200]
    assert [one.head.ended for one in messages] == [False, False, True]
    assert {one.subject for one in messages} == {
        subject_of(nats_config.subject, "checkout", run.path.name, 4)
    }
    assert numbers_in(messages) == list(range(250))
    segment = run.segment_path(0).read_bytes()
    assert b"".join(one.data for one in messages) in segment
    for before, after in pairwise(messages):
        assert before.head.then == after.head.chain


def test_living_run_is_followed_and_nothing_is_sent_twice(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    _, writer = write_run(tmp_path, range(10), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.shipped == 10)
        append(writer, *range(10, 30))
        wait_until(lambda: sending.standing.shipped == 30)
    append(writer, *range(30, 40))
    writer.close()

    ship(tmp_path, nats_config)
    ship(tmp_path, nats_config)

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(40))
    assert [one.head.ended for one in messages].count(True) == 1


def test_process_sends_what_it_emits_until_its_end(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    file = write_shipping(nats_config, tmp_path / "journal")

    with Observability.from_config(file) as observability:
        for number in range(500):
            observability.bus.record(EventType.VFS_WRITE, payload={"number": number})

    messages = stored(nats_config)
    assert numbers_in(messages) == list(range(500))
    assert messages[-1].head.ended
    status = observability.status()["store"]
    assert (status["shipped"], status["waiting"], status["unshipped"]) == (500, 0, 0)


def test_command_sends_a_journal_once_and_ends(nats_config: NatsConfig, tmp_path: Path) -> None:
    write_run(tmp_path / "journal", range(300))
    file = write_shipping(nats_config, tmp_path / "journal")

    result = run_hvobs("ship", "--once", "--config", file)

    assert result.exit_code == 0, result.output
    assert "300 events sent" in result.stdout
    assert numbers_in(stored(nats_config)) == list(range(300))


def test_erased_records_are_sent_as_they_stand(nats_config: NatsConfig, tmp_path: Path) -> None:
    write_run(tmp_path, range(10))
    erased = run_hvobs(
        "journal", "erase", "--journal", tmp_path, "--subject", "did:mesh:a", "--yes"
    )
    assert erased.exit_code == 0, erased.output

    ship(tmp_path, nats_config)

    (message,) = stored(nats_config)
    assert len(message.records) == 10
    assert all(record.erased for record in message.records)


def test_process_that_only_journals_leaves_the_sending_to_the_command(
    nats_config: NatsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    file = write_shipping(nats_config, tmp_path / "journal", ship="false")
    with Observability.from_config(file) as observability:
        observability.bus.record(EventType.VFS_WRITE, payload={"number": 0})
    assert stored(nats_config) == []

    assert run_hvobs("ship", "--once", "--config", file).exit_code == 0

    assert numbers_in(stored(nats_config)) == [0]


def test_metrics_tell_how_sending_stands(nats_config: NatsConfig, tmp_path: Path) -> None:
    write_run(tmp_path, range(10))

    sending = ship(tmp_path, nats_config)

    told = {
        family.name.rsplit("_nats_", 1)[1]: family.series[()]
        for family in shipping_metrics(sending.standing)
    }
    assert told == {
        "shipping": 0,
        "connected": 0,
        "shipped_events_total": 10,
        "unshipped_events": 0,
        "unshipped_seconds": 0,
        "gone_events_total": 0,
        "too_large_events_total": 0,
    }


def test_once_says_once_what_kept_it_from_sending(
    nats_server: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path, range(10))
    server = config_of(nats_server).servers[0]
    arguments = ("--server", server, "--stream", "nowhere", "--journal", tmp_path, "--once")

    result = run_hvobs("ship", *arguments)

    assert result.exit_code == 1
    assert "there is no stream nowhere: 'hvobs nats init' makes it" in result.stderr
    assert result.stdout == "0 events sent\n"
    assert "there is no stream" not in caplog.text


def test_once_leaves_a_journal_alone_that_another_process_sends(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    _, writer = write_run(tmp_path, range(10), end="living")
    with shipping(tmp_path, nats_config) as sending:
        wait_until(lambda: sending.standing.ships)
        arguments = ("--server", nats_config.servers[0], "--journal", tmp_path, "--once")
        result = run_hvobs("ship", *arguments)
    writer.close()

    assert result.exit_code == 1
    assert f"process {os.getpid()} already sends this journal" in result.stderr


def test_once_fails_where_events_could_not_be_sent(nats_config: NatsConfig, tmp_path: Path) -> None:
    run, _ = write_run(tmp_path / "journal", range(150), text="x" * 1_000)
    run.segment_path(0).unlink()
    file = write_shipping(nats_config, tmp_path / "journal")

    result = run_hvobs("ship", "--once", "--config", file)

    assert result.exit_code == 1
    assert "events could not be sent: see above" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no journal: name its directory with --journal, or in [plugins.nats.journal]"),
        (("--journal", "missing", "--once"), "there is no journal in missing"),
        (("--journal", "strange"), "there is no journal in strange, but 'file'"),
    ],
)
def test_directory_without_a_journal_is_refused(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "file").touch()

    result = run_hvobs("ship", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr


def test_command_waits_for_a_journal_that_is_still_to_come(
    nats_config: NatsConfig, tmp_path: Path
) -> None:
    file = write_shipping(nats_config, tmp_path / "journal")
    command = [*HVOBS, "ship", "--config", str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stderr is not None
        try:
            assert "waiting for" in one.stderr.readline()
            write_run(tmp_path / "journal", range(10))
            wait_until(lambda: numbers_in(stored(nats_config)) == list(range(10)), 60)
        finally:
            one.terminate()
        told, _ = one.communicate(timeout=60)

    assert (one.returncode, told) == (0, "10 events sent\n")
