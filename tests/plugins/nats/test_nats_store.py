"""The stream of a fleet holds what every store must that agents share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from hypervisor_journal import JournalConfig
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.plugin import NatsPlugin
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.testing import SharedStoreContract
from tests.plugins.nats.servers import NatsServer, config_of, make_stream
from tests.plugins.nats.wires import Wire

LEASE_SECONDS = 2.0
"""As usual: on a busy machine an agent may be late by much of a shorter one."""


class TestNatsStore(SharedStoreContract):
    """Each place is a stream; what reads or writes it has a wire of its own to the server."""

    @pytest.fixture(autouse=True)
    def _wires(self, nats_server: NatsServer) -> Iterator[None]:
        self.server = nats_server
        self.configs: dict[Path, NatsConfig] = {}
        self.wires: dict[str, tuple[Path, Wire]] = {}
        self.cuts: dict[Path, ExitStack] = {}
        yield
        for _, wire in self.wires.values():
            wire.close()

    def plugin(self, place: Path) -> NatsPlugin:
        if place not in self.configs:
            self.configs[place] = config_of(
                self.server, lease_seconds=LEASE_SECONDS, timeout_seconds=2.0
            )
            make_stream(self.configs[place])
        wire = Wire(self.server.port)
        self.wires[wire.address] = place, wire
        if place in self.cuts:
            self.cuts[place].enter_context(wire.cut())
        journal = JournalConfig(directory=place / "journal")
        return NatsPlugin(evolve(self.configs[place], servers=(wire.address,), journal=journal))

    @contextmanager
    def unreadable(self, place: Path) -> Iterator[None]:
        with ExitStack() as self.cuts[place]:
            for of, wire in self.wires.values():
                if of == place:
                    self.cuts[place].enter_context(wire.cut())
            try:
                yield
            finally:
                self.cuts.pop(place)

    def cut_off(self, place: Path, agent: Agent) -> AbstractContextManager[None]:
        (address,) = agent.followed.config.servers  # type: ignore[attr-defined] # of this store
        return self.wires[address][1].silent()
