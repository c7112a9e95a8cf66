"""Receivers, servers of streams, and plugins that send to them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hypervisor_observability import PluginContext
from hypervisor_observability.testing import context_for
from tests.plugins.statsd.plugins import MakePlugin, making_plugins
from tests.plugins.statsd.receivers import Receiver
from tests.plugins.statsd.stream_servers import Serve, StreamServer


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
