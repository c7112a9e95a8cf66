"""A link says what is wrong and what would be right, comes back by itself, and is over at once."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from nats.aio.client import Client
from nats.errors import AuthorizationError, ConnectionClosedError
from nats.js.client import JetStreamContext

from hypervisor_nats import link as link_module
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.connecting import connect
from hypervisor_nats.link import Link, end_tasks
from hypervisor_nats.reasons import reason
from hypervisor_observability.config import Secret
from hypervisor_observability.errors import StreamUnavailableError
from tests.certificates import Certificate, make_certificate
from tests.plugins.nats.keys import USER, Key, Operator
from tests.plugins.nats.servers import NatsServer, config_of, one_server
from tests.ports import free_port
from tests.waiting import wait_until

_NKEY = Key.made(USER)
_USERS = """
accounts {
  fleet {
    jetstream: enabled
    users: [
      { user: "all", password: "hush" }
      { nkey: %s }
      { user: "mute", password: "hush"
        permissions: { publish: { deny: "$JS.API.STREAM.INFO.>" } } }
      { user: "deaf", password: "hush", permissions: { subscribe: { deny: "_INBOX.>" } } }
    ]
  }
  poor { users: [ { user: "poor", password: "hush" } ] }
}
"""


async def _account(jetstream: JetStreamContext) -> int:
    return (await jetstream.account_info()).streams


def said_by(link: Link) -> str:
    """Give what a call says; empty where all is well."""
    try:
        link.call(_account)
    except StreamUnavailableError as error:
        return error.reason
    return ""


@contextlib.contextmanager
def linked(config: NatsConfig) -> Iterator[Link]:
    link = Link(config, "test")
    try:
        yield link
    finally:
        link.close()


def refusal(config: NatsConfig) -> str:
    """Give what a call says that fails."""
    with linked(config) as link, pytest.raises(StreamUnavailableError) as caught:
        link.call(lambda jetstream: jetstream.stream_info(config.stream))
    assert "hush" not in str(caught.value)
    return caught.value.reason


@pytest.fixture(scope="module")
def users_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("users")
    with one_server(folder, _USERS % _NKEY.public) as server:
        yield server


def of_user(server: NatsServer, user: str) -> NatsConfig:
    return config_of(server, user=user, password=Secret("hush"))


def test_nobody_listens() -> None:
    config = NatsConfig(servers=(f"nats://127.0.0.1:{free_port()}",), timeout_seconds=1.5)

    assert refusal(config) == "nobody listens there: start the server, or name another in servers"


def test_name_of_a_host_is_not_known() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    said = reason(error, NatsConfig())

    assert said == ("its host name is not known (Name or service not known): correct it in servers")


def test_server_of_another_kind_is_called_that() -> None:
    def greet() -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                with listening.accept()[0] as other:
                    other.sendall(b"220 ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=greet, daemon=True).start()
        address = f"nats://127.0.0.1:{listening.getsockname()[1]}"

        said = refusal(NatsConfig(servers=(address,), timeout_seconds=2.0))
        listening.shutdown(socket.SHUT_RDWR)

    assert said == "what listens there is not a NATS server: name the port of one in servers"


def test_stream_is_not_there(nats_server: NatsServer) -> None:
    config = config_of(nats_server)

    assert refusal(config) == f"there is no stream {config.stream}: 'hvobs nats init' makes it"


def test_no_stream_takes_a_subject(nats_server: NatsServer) -> None:
    config = config_of(nats_server)

    with linked(config) as link, pytest.raises(StreamUnavailableError, match="hvobs nats init"):
        link.call(lambda jetstream: jetstream.publish(f"{config.subject}.a.1.b", b""))


@pytest.mark.fault("N11")
@pytest.mark.parametrize("user", ["all", "stranger"])
def test_wrong_password_is_reported_immediately(users_server: NatsServer, user: str) -> None:
    config = evolve(of_user(users_server, user), password=Secret("wrong"), timeout_seconds=60.0)

    assert refusal(config) == (
        f"it refuses the password of user {user}: Authorization Violation."
        " They are wrong, or were revoked"
    )


def test_refusal_says_more_than_the_end_of_the_connection_behind_it() -> None:
    """A server may end it so hard that the client finds that out when it closes its own side."""

    class HardEnd(Client):
        async def connect(self, *_: Any, **options: Any) -> None:
            await options["error_cb"](AuthorizationError())
            await options["error_cb"](ConnectionResetError(104, "Connection reset by peer"))
            await asyncio.sleep(60)

        async def close(self) -> None:
            """Nothing is open."""

    heard: list[Exception | None] = []

    async def refused() -> None:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(AuthorizationError):
            patch.setattr(Client, "connect", HardEnd.connect)
            patch.setattr(Client, "close", HardEnd.close)
            await connect(NatsConfig(timeout_seconds=60.0), "test", heard.append)

    asyncio.run(refused())
    assert [type(one) for one in heard] == [AuthorizationError]


def test_client_without_credentials_learns_what_it_could_set(users_server: NatsServer) -> None:
    said = refusal(config_of(users_server))

    assert said.endswith(
        "Set user and password, token, nkey_file or credentials_file in [plugins.nats]"
    )


def test_account_without_jetstream(users_server: NatsServer) -> None:
    assert refusal(of_user(users_server, "poor")).startswith("JetStream is not enabled there")


@pytest.mark.fault("N11")
def test_denied_subject_is_reported_immediately_and_by_name(users_server: NatsServer) -> None:
    config = evolve(of_user(users_server, "mute"), timeout_seconds=60.0)

    said = refusal(config)

    assert said == (
        f"it is not allowed to publish to $JS.API.STREAM.INFO.{config.stream}:"
        " the server's configuration must allow it to this user"
    )


def test_denied_answers_are_reported_immediately(users_server: NatsServer) -> None:
    config = evolve(of_user(users_server, "deaf"), timeout_seconds=60.0)

    assert "permissions violation for subscription" in refusal(config).lower()


def test_denial_of_one_subject_ends_no_other_call(users_server: NatsServer) -> None:
    config = of_user(users_server, "mute")
    with linked(config) as link:
        with pytest.raises(StreamUnavailableError):
            link.call(lambda jetstream: jetstream.stream_info("s"))
        assert link.call(_account) == 0


def test_nkey_is_sent_and_a_wrong_one_is_reported(users_server: NatsServer, tmp_path: Path) -> None:
    file = tmp_path / "key.nk"
    file.write_bytes(_NKEY.seed + b"\n")
    with linked(config_of(users_server, nkey_file=file)) as link:
        assert link.call(_account) == 0

    file.write_bytes(_NKEY.seed[:20] + bytes(reversed(_NKEY.seed[20:])))
    assert "its checksum is wrong" in refusal(config_of(users_server, nkey_file=file))
    file.write_bytes(b"nothing")
    assert "begins with SU" in refusal(config_of(users_server, nkey_file=file))
    file.write_bytes(Key.made(USER).seed)
    assert f"NKey of {file}" in refusal(config_of(users_server, nkey_file=file))
    file.unlink()
    assert "No such file" in refusal(config_of(users_server, nkey_file=file))


def test_token_is_sent_and_a_wrong_one_is_reported(tmp_path: Path) -> None:
    with one_server(tmp_path, 'authorization { token: "hush" }') as server:
        with linked(config_of(server, token=Secret("hush"))) as link:
            assert link.call(_account) == 0
        assert "refuses the token" in refusal(config_of(server, token=Secret("wrong")))


@pytest.mark.fault("N11")
def test_credentials_are_sent_and_expired_ones_are_reported(tmp_path: Path) -> None:
    operator = Operator.made()
    file = tmp_path / "fleet.creds"
    with one_server(tmp_path / "server", operator.server_lines()) as server:
        config = config_of(server, credentials_file=file)
        operator.write_credentials(file, expires=time.time() - 5)
        assert f"credentials of {file}" in refusal(config)

        operator.write_credentials(file)
        with linked(config) as link:
            assert link.call(_account) == 0

        Operator.made().write_credentials(file)
        assert f"credentials of {file}" in refusal(config)
        file.write_text("-----BEGIN NATS USER JWT-----\n")
        assert refusal(config).startswith(f"{file}: expected a .creds file")


@pytest.mark.fault("N11")
def test_credentials_that_expire_are_read_again(tmp_path: Path) -> None:
    operator = Operator.made()
    file = tmp_path / "fleet.creds"
    with one_server(tmp_path / "server", operator.server_lines()) as server:
        config = config_of(server, credentials_file=file, timeout_seconds=2.0)
        with linked(config) as link:

            def is_connected() -> bool:
                operator.write_credentials(file, expires=time.time() + 3)
                return said_by(link) == ""

            wait_until(is_connected, 60)
            wait_until(lambda: f"refuses the credentials of {file}" in said_by(link), 60)
            operator.write_credentials(file)
            wait_until(lambda: said_by(link) == "", 60)


def certificate_in(folder: Path, name: str, *names: str) -> Certificate:
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    make_certificate(made.file, made.key, *names)
    return made


@pytest.mark.fault("N11")
def test_tls_is_spoken_with_servers_that_are_trusted(tmp_path: Path) -> None:
    own = certificate_in(tmp_path, "server", "IP:127.0.0.1")
    client = certificate_in(tmp_path, "client", "DNS:client")
    stranger = certificate_in(tmp_path, "stranger", "IP:127.0.0.1")
    lines = (
        f'tls {{ cert_file: "{own.file}", key_file: "{own.key}",'
        f' ca_file: "{client.file}", verify: true }}'
    )
    with one_server(tmp_path / "server", lines) as server:
        trusted = config_of(
            server, tls_authority=own.file, tls_certificate=client.file, tls_key=client.key,
            timeout_seconds=20.0,
        )  # fmt: skip
        with linked(trusted) as link:
            assert link.call(_account) == 0
        other = evolve(trusted, tls_authority=stranger.file)
        assert "name the file of its authority as tls_authority" in refusal(other)
        unknown = evolve(trusted, tls_certificate=stranger.file, tls_key=stranger.key)
        assert refusal(evolve(unknown, timeout_seconds=2.0))
        mixed = evolve(trusted, tls_key=stranger.key)
        assert f"tls_certificate {client.file}" in refusal(mixed)
        missing = evolve(trusted, tls_authority=tmp_path / "none.pem")
        assert (
            refusal(missing) == f"tls_authority {tmp_path / 'none.pem'}: No such file or directory"
        )


def test_no_secret_is_sent_to_a_server_without_tls(nats_server: NatsServer) -> None:
    address = nats_server.address.replace("nats://", "tls://")
    config = NatsConfig(servers=(address,), token=Secret("hush"), timeout_seconds=60.0)

    assert refusal(config).startswith("it does not require TLS, and nothing is sent without")


def test_server_that_restarts_is_found_again(tmp_path: Path) -> None:
    with one_server(tmp_path) as server, linked(config_of(server, timeout_seconds=60.0)) as link:
        assert link.call(_account) == 0
        server.kill()
        threading.Timer(0.5, server.start).start()
        assert link.call(_account) == 0


def test_server_that_is_away_for_long_is_found_again(tmp_path: Path) -> None:
    with one_server(tmp_path) as server, linked(config_of(server, timeout_seconds=0.3)) as link:
        wait_until(lambda: said_by(link) == "", 60)
        server.kill()
        for _ in range(4):
            wait_until(lambda: "nobody listens there" in said_by(link), 60)
        server.start()
        wait_until(lambda: said_by(link) == "", 60)


def test_close_waits_for_no_server_and_ends_pending_calls(tmp_path: Path) -> None:
    with one_server(tmp_path) as server:
        config = config_of(server, timeout_seconds=60.0)
        link = Link(config, "test")
        assert link.call(_account) == 0
        server.send(signal.SIGSTOP)
        failures: list[StreamUnavailableError] = []

        def ask() -> None:
            try:
                link.call(_account)
            except StreamUnavailableError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        began = time.monotonic()
        link.close()
        asking.join(20)

        assert failures
        assert time.monotonic() - began < 20
        with pytest.raises(StreamUnavailableError, match="connection closed"):
            link.call(_account)


def test_call_that_is_begun_while_the_link_is_closed_ends(
    nats_config: NatsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, begins = asyncio.run_coroutine_threadsafe, threading.Event()

    def begin_late(*args: Any) -> Any:
        if threading.current_thread() is asking:
            begins.set()
            time.sleep(0.3)
        return begin(*args)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", begin_late)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            link.run(asyncio.sleep(60), 60)
        except ConnectionClosedError as error:
            failures.append(error)

    link = Link(nats_config, "test")
    asking = threading.Thread(target=ask)
    asking.start()
    assert begins.wait(30)
    link.close()
    asking.join(30)

    assert failures


def test_call_that_the_end_of_the_loop_has_left_ends(
    nats_config: NatsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_tasks: object, _seconds: float) -> None: ...

    monkeypatch.setattr(link_module, "end_tasks", nothing)
    link = Link(nats_config, "test")
    failures: list[BaseException] = []

    async def wait() -> None:
        task: Any = asyncio.current_task()
        task._log_destroy_pending = False  # as it is meant to be
        await asyncio.sleep(60)

    def ask() -> None:
        try:
            link.run(wait(), 60)
        except ConnectionClosedError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: link._thread is not None and asyncio.all_tasks(link.loop))
    link.close()
    asking.join(30)

    assert failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on Windows")
def test_child_of_a_fork_has_a_connection_of_its_own(nats_server: NatsServer) -> None:
    with linked(config_of(nats_server)) as link:
        before = link.call(_account)
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = 0 if link.call(_account) >= 0 else 2
                link.close()
            os._exit(code)
        _, status = os.waitpid(child, 0)

        assert status == 0
        assert link.call(_account) >= before


def test_link_whose_loop_was_held_up_ends_with_nothing_left(nats_config: NatsConfig) -> None:
    link = Link(nats_config, "test")
    link.call(lambda jetstream: jetstream.stream_info(nats_config.stream))
    left = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), link.loop)
    link.loop.call_soon_threadsafe(time.sleep, 2.5)  # longer than it waits for the end of all

    link.close()

    assert left.done()


def test_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    swallowed: list[BaseException] = []

    async def stubborn() -> None:
        while len(swallowed) < 2:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError as error:
                swallowed.append(error)

    async def end() -> bool:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await end_tasks([task, None], 5.0)
        return task.done()

    assert asyncio.run(end())
    assert len(swallowed) == 2
