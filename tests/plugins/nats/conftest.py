"""A real server for all tests of a process, and a stream for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor_nats.config import NatsConfig
from tests.plugins.nats.servers import NatsServer, config_of, make_stream, one_server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that many tests share: none stops it, or looks at streams that are not its own."""
    with one_server(tmp_path_factory.mktemp("nats") / "server") as server:
        yield server


@pytest.fixture
def nats_config(nats_server: NatsServer, tmp_path: Path) -> NatsConfig:
    """Of a stream of its own, of four partitions, that is there."""
    config = config_of(nats_server)
    make_stream(config)
    return config
