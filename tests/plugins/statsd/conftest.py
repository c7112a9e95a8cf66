"""A UDP socket that keeps what it gets, and plugins that send to it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import define

from hypervisor_observability import PluginContext
from tests.plugin_contexts import context_for
from tests.plugins.statsd.plugins import MakePlugin, making_plugins
from tests.plugins.statsd.stream_servers import Serve, StreamServer

ABOUT_ITSELF = "agent_hypervisor_observability_statsd_"


@define(eq=False)
class Receiver:
    """A loopback socket; what was sent to it before is there at once."""

    socket: socket.socket

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def datagrams(self) -> list[str]:
        """Everything that has come since the last call."""
        received = []
        self.socket.setblocking(False)
        while True:
            try:
                received.append(self.socket.recv(65_536).decode("ascii"))
            except BlockingIOError:
                return received

    def lines(self) -> list[str]:
        """Every line that has come since the last call, but those that tell of losses."""
        lines = [line for datagram in self.datagrams() for line in datagram.split("\n")]
        return [line for line in lines if ABOUT_ITSELF not in line]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        bound.bind(("127.0.0.1", 0))
        yield Receiver(bound)


@pytest.fixture
def context() -> PluginContext:
    return context_for("statsd")


@pytest.fixture
def make_plugin(receiver: Receiver) -> Iterator[MakePlugin]:
    """Make started plugins that send to the receiver unless told otherwise."""
    with making_plugins(port=receiver.port) as make:
        yield make


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket's path."""
    with TemporaryDirectory(prefix="hv", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(address: str | tuple[str, int]) -> StreamServer:
            server = StreamServer(address)
            stack.callback(server.close)
            return server

        yield start
