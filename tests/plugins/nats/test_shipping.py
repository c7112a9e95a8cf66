"""What a journal holds comes into the stream: all of it, in its order, once."""

from itertools import pairwise
from pathlib import Path

import pytest

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.names import subject_of
from hypervisor_observability import EventType, Observability
from hypervisor_observability.config.lookup import FILE_VARIABLE
from tests.commands import run_hvobs
from tests.plugins.journal.journals import append, write_run
from tests.plugins.nats.shipments import numbers_in, ship, shipping, stored, table
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
    file = tmp_path / "hypervisor.toml"
    file.write_text(table(nats_config, tmp_path / "journal"))

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
    file = tmp_path / "hypervisor.toml"
    file.write_text(table(nats_config, tmp_path / "journal"))

    result = run_hvobs("ship", "--once", "--config", file)

    assert result.exit_code == 0, result.output
    assert "300 events sent" in result.stdout
    assert numbers_in(stored(nats_config)) == list(range(300))
