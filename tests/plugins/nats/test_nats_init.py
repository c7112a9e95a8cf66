"""``hvobs nats init`` makes what a fleet needs, and changes nothing unasked."""

from pathlib import Path
from typing import Any

import pytest
from nats.js.api import KeyValueConfig, StreamConfig
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.upkeep.amounts import read_bytes, read_seconds, told_bytes, told_seconds
from hypervisor_nats.upkeep.hints import hints
from hypervisor_nats.upkeep.making import Found
from hypervisor_observability.config import Secret
from tests.commands import run_hvobs
from tests.plugins.nats.followers import publish_run
from tests.plugins.nats.servers import NatsServer, ask_server, config_of, one_server, write_table
from tests.ports import free_port


@pytest.fixture
def table(nats_server: NatsServer, tmp_path: Path) -> "Table":
    return Table(config_of(nats_server), tmp_path / "hypervisor.toml")


class Table:
    """A configuration's file, of a stream that is not there yet."""

    def __init__(self, config: NatsConfig, file: Path) -> None:
        self.config, self.file = config, write_table(config, file)

    def init(self, *arguments: object, **options: Any) -> tuple[int, str, str]:
        result = run_hvobs("nats", "init", "--config", self.file, *arguments, **options)
        return result.exit_code, result.stdout, result.stderr

    @property
    def stream(self) -> StreamConfig:
        info = ask_server(self.config, lambda stream: stream.stream_info(self.config.stream))
        return info.config


def test_stream_and_bucket_are_made_with_defaults(table: Table) -> None:
    code, told, notes = table.init()

    assert code == 0, notes
    assert f"stream {table.config.stream}: made" in told
    assert f"bucket {table.config.bucket}: made" in told
    made = table.stream
    assert made.subjects == [f"{table.config.subject}.>"]
    assert made.metadata is not None
    assert made.metadata["hv.partitions"] == "8"
    assert (made.max_age, made.num_replicas, made.duplicate_window) == (30 * 86_400, 1, 120)
    assert made.allow_direct
    assert "one server holds the stream alone" in notes
    assert "sync_interval: always" in notes

    async def bucket(jetstream: JetStreamContext) -> int:
        return (await (await jetstream.key_value(table.config.bucket)).status()).history

    assert ask_server(table.config, bucket) == 1


def test_second_time_changes_nothing(table: Table) -> None:
    table.init("--partitions", "3", "--max-bytes", "1G")

    code, told, _ = table.init()

    assert code == 0
    assert "nothing to change" in told
    assert table.stream.max_bytes == 1024**3
    assert table.init("--partitions", "3", "--max-bytes", "1G")[0] == 0


def test_change_is_shown_and_asked_for(table: Table) -> None:
    table.init()
    publish_run(table.config, 5)

    code, told, asked = table.init("--max-age", "2d", "--discard", "new", input="n\n")
    assert code == 1
    assert "max age" in told
    assert "30d  ->  2d" in told
    assert "messages are deleted at once where they exceed this" in asked
    assert table.stream.max_age == 30 * 86_400

    code, told, _ = table.init("--max-age", "2d", "--discard", "new", input="y\n")
    assert code == 0
    assert table.stream.max_age == 2 * 86_400
    assert table.stream.discard == "new"
    assert table.stream.metadata is not None
    assert table.stream.metadata["hv.partitions"] == "8"

    assert table.init("--max-age", "unlimited", "--yes")[0] == 0
    assert not table.stream.max_age


def test_dry_run_does_nothing(table: Table) -> None:
    code, told, _ = table.init("--dry-run")
    assert code == 0
    assert "would be made" in told
    assert table.init()[1].count("made") == 2

    assert "would be changed" in table.init("--max-messages", "10", "--dry-run")[1]
    assert table.stream.max_msgs == -1


def test_partitions_stay_and_it_says_why(table: Table) -> None:
    table.init()

    code, _, said = table.init("--partitions", "16", "--yes")

    assert code == 1
    assert "8 partitions, which cannot become 16" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metadata": None}, "is not a fleet's"),
        ({"metadata": {"hv.partitions": "4", "hv.format": "9"}}, "this release reads 1"),
        ({"retention": "workqueue"}, "which deletes what one reader has read"),
        ({"storage": "memory"}, "lost with its server"),
        ({"subjects": ["other.{name}.>"]}, "set subject to match the stream"),
    ],
)
def test_stream_that_is_not_one_of_a_fleet_is_left(
    table: Table, settings: dict[str, Any], said: str
) -> None:
    config = table.config
    whole: dict[str, Any] = {
        "subjects": [f"{config.subject}.>"],
        "metadata": {"hv.partitions": "4", "hv.format": "1"},
        **settings,
    }
    whole["subjects"] = [subject.format(name=config.stream) for subject in whole["subjects"]]
    stream = StreamConfig(name=config.stream, **whole)
    ask_server(config, lambda jetstream: jetstream.add_stream(stream))

    code, _, told = table.init("--max-age", "2d", "--yes")

    assert code == 1
    assert said in told


def test_missing_bucket_is_recreated(table: Table) -> None:
    table.init()
    ask_server(table.config, lambda stream: stream.delete_key_value(table.config.bucket))

    assert f"bucket {table.config.bucket}: made" in table.init()[1]


def test_server_that_syncs_late_is_reported(table: Table, nats_server: NatsServer) -> None:
    monitor = f"http://127.0.0.1:{nats_server.http_port}"
    assert "sync" not in table.init("--monitor", monitor)[2]

    nobody = f"http://127.0.0.1:{free_port()}"
    assert "does not say whether the server syncs" in table.init("--monitor", nobody)[2]


def test_server_with_weak_settings_is_reported(tmp_path: Path) -> None:
    with one_server(tmp_path, "max_payload: 20000") as server:
        server.stop()
        server.sync = "2m"
        server.start()
        table = Table(config_of(server), tmp_path / "hypervisor.toml")

        _, _, notes = table.init(
            "--monitor", f"http://127.0.0.1:{server.http_port}", "--max-age", "unlimited"
        )

    assert "a power cut loses up to two minutes" in notes
    assert "lower max_message_bytes" in notes
    assert "the stream has no limits" in notes


def test_too_few_servers_for_the_replicas(table: Table) -> None:
    code, _, said = table.init("--replicas", "3")

    assert code == 1
    assert "there are too few servers for so many replicas: lower --replicas" in said


def test_nobody_listens(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text("[plugins.nats]\ntimeout_seconds = 1.5\n")
    server = f"nats://127.0.0.1:{free_port()}"

    result = run_hvobs("nats", "init", "--config", file, "--server", server)

    assert result.exit_code == 1
    assert "nobody listens there" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--server", "http://here"), "--server: expected nats://HOST:PORT"),
        (("--server", "nats://me:hush@here"), "an address holds no user, password or token"),
        (("--stream", "a.b"), "--stream: expected at most 200 letters"),
        (("--max-age", "soon"), "'soon' is not a duration: expected 90s, 5m, 12h, 30d"),
        (("--max-bytes", "much"), "'much' is not an amount of bytes"),
        (("--max-messages", "-1"), "'-1' is not a number"),
        (("--partitions", "0"), "0 is not in the range"),
        (("--credentials", "/nowhere/x.creds"), "expected a .creds file"),
    ],
)
def test_odd_option_is_named(
    nats_server: NatsServer, arguments: tuple[str, ...], said: str
) -> None:
    server = () if "--server" in arguments else ("--server", nats_server.address)
    result = run_hvobs("nats", "init", "--dry-run", *server, *arguments)

    assert result.exit_code in {1, 2}
    assert said in result.stderr
    assert "hush" not in result.stderr


def test_amounts_are_written_as_they_are_read() -> None:
    for text in ("90s", "5m", "12h", "30d"):
        assert told_seconds(read_seconds(text)) == text
    assert told_seconds(0.25) == "0.25s"
    assert read_bytes("3") == 3
    assert read_bytes("20GiB") == read_bytes("20g") == 20 * 1024**3
    assert told_bytes(20 * 1024**3) == "20 GiB"
    assert told_bytes(999) == "999 B"


def test_check_says_what_is_there(table: Table) -> None:
    missing = run_hvobs("check", "--config", table.file)
    assert missing.exit_code == 1
    assert "'hvobs nats init' makes it" in missing.stdout

    table.init()
    found = run_hvobs("check", "--config", table.file)
    assert found.exit_code == 0
    assert f"stream {table.config.stream}: 0 messages, 0 B, 8 partitions" in found.stdout

    ask_server(table.config, lambda stream: stream.delete_key_value(table.config.bucket))
    assert f"there is no bucket {table.config.bucket}" in (
        run_hvobs("check", "--config", table.file).stdout
    )


def test_check_looks_at_the_journal_of_a_process_that_emits(table: Table, tmp_path: Path) -> None:
    table.init()
    with table.file.open("a") as file:
        file.write(f'[plugins.nats.journal]\ndirectory = "{tmp_path / "journal"}"\n')

    told = run_hvobs("check", "--config", table.file).stdout

    assert f"journal in {tmp_path / 'journal'}: made by the first process that starts" in told


def test_bucket_that_is_not_as_the_stream_is_changed(table: Table) -> None:
    table.init()
    config = table.config

    async def make(jetstream: JetStreamContext) -> None:
        await jetstream.delete_key_value(config.bucket)
        await jetstream.create_key_value(KeyValueConfig(bucket=config.bucket, direct=False))

    ask_server(config, make)
    assert "is not as the stream" in run_hvobs("check", "--config", table.file).stdout

    assert f"bucket {config.bucket}: would have direct reads yes" in table.init("--dry-run")[1]
    assert f"bucket {config.bucket}: has direct reads yes" in table.init()[1]
    assert "bucket" not in table.init()[1]


def test_window_of_repeats_is_no_longer_than_messages_are_kept(table: Table) -> None:
    assert table.init("--max-age", "60s")[0] == 0
    assert table.stream.duplicate_window == 60


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"user": "a", "token": Secret("hush")}, "user and token are different ways"),
        ({"password": Secret("hush")}, "a password goes with a user"),
        ({"tls_key": Path("/key.pem")}, "tls_certificate and tls_key go together"),
        ({"servers": ("nats://a:hush@b",)}, "an address holds no user, password or token"),
        ({"servers": ("http://b",)}, "expected nats://HOST:PORT or tls://HOST:PORT"),
        ({"servers": ("nats://:4222",)}, "expected nats://HOST:PORT or tls://HOST:PORT"),
        ({"servers": ("tls://b:99999",)}, "expected a port from 1 to 65535, got 'tls://b:99999'"),
        ({"stream": "a b"}, "expected at most 200 letters"),
    ],
)
def test_odd_table_is_refused_and_no_secret_is_repeated(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        NatsConfig(**values)

    assert "hush" not in str(caught.value)


def test_server_that_is_too_old_is_reported() -> None:
    def told(version: str) -> str:
        found = Found(
            stream=None, bucket=None, state={}, servers=1, max_payload=2**23, version=version
        )
        return "\n".join(hints(NatsConfig(), found, {"num_replicas": 3, "max_age": 1}))

    assert "agents need 2.12 or later" in told("2.9.10")
    assert told("2.15.1") == told("a build of our own") == ""
