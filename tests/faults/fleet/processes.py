"""The processes of the drill: servers, hosts with writers and shippers, agents."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen

from hypervisor_nats.config import NatsConfig
from tests.configurations import write_config
from tests.plugins.nats.notes import PLUGINS
from tests.plugins.nats.processes import Process, agent_of, shipper_of
from tests.plugins.nats.servers import NatsServer, cluster, config_of, table_of
from tests.ports import free_ports

BATCH_EVENTS = 256
"""Most events handed to the plugin that notes them in one call."""


@define(eq=False)
class Writer(Process):
    """Records numbered events; after a kill, the next process records the rest.

    Attributes:
        config: Its configuration.
        count: How many events it is to record.
        rate: How many a second.
        starts: How often it was started.
    """

    config: Path = field(kw_only=True)
    count: int = field(kw_only=True)
    rate: float = field(kw_only=True)
    starts: int = field(default=0, init=False)

    def start(self) -> None:
        self.count -= self._done()
        self.output.unlink(missing_ok=True)
        self.command = [
            *(sys.executable, "-m", "tests.faults.fleet.writer", str(self.config)),
            *(f"{self.name}.{self.starts}", str(self.count), str(self.rate)),
        ]
        self.starts += 1
        super().start()

    def _done(self) -> int:
        told = self.output.read_text().splitlines(keepends=True) if self.output.exists() else []
        return next((int(line) for line in reversed(told) if line.endswith("\n")), 0)


@frozen
class Fleet:
    """A fleet, and what it works on.

    Attributes:
        folder: Where everything is kept.
        config: Of the stream.
        servers: A cluster of three.
        journals: A directory for each host.
        shippers: Of the first host, the one that ships first; the other one waits for its end.
        writers: Half of them on each host; those of the second ship themselves.
        agents: They share the partitions.
        ports: Where each agent's metrics are.
    """

    folder: Path
    config: NatsConfig
    servers: list[NatsServer]
    journals: tuple[Path, Path]
    shippers: list[Process]
    writers: list[Writer]
    agents: list[Process]
    ports: list[int]

    @property
    def processes(self) -> list[Process]:
        return [*self.writers, *self.shippers, *self.agents]

    @property
    def notes(self) -> Path:
        """Where agents note what they deliver."""
        return self.folder / "notes"

    def shipping_rest(self, journal: Path) -> Process:
        """Give a process that ships all that a directory has, and ends."""
        return shipper_of(self.config, self.folder, f"rest-{journal.name}", journal, "--once")


@contextmanager
def running(folder: Path, *, writers: int, agents: int, count: int, rate: float) -> Iterator[Fleet]:
    """Run the servers; give the fleet, to be started. All of it ends with the block.

    :param count: Events of all writers together.
    :param rate: Events a second of all of them together.
    """
    with cluster(folder / "servers") as servers:
        config = config_of(*servers, stream="drill")
        journals = folder / "host-a", folder / "host-b"
        (folder / "notes").mkdir()
        _write_configs(config, journals)
        ports = free_ports(agents)
        made = Fleet(
            folder,
            config,
            servers,
            journals,
            [shipper_of(config, folder, f"shipper-{name}", journals[0]) for name in "12"],
            [
                Writer(
                    f"w{number}", (), folder, count=count // writers, rate=rate / writers,
                    config=journals[number % 2].with_suffix(".toml"),
                )
                for number in range(writers)
            ],
            [_agent(folder, config, port) for port in ports],
            ports,
        )  # fmt: skip
        try:
            yield made
        finally:
            for process in made.processes:
                if process.lives:
                    process.kill()


def _agent(folder: Path, config: NatsConfig, port: int) -> Process:
    return agent_of(
        config,
        folder,
        f"agent-{port}",
        f'plugins_dir = "{PLUGINS}"\nstop_timeout_seconds = 30',
        f'[plugins.noting]\ndirectory = "{folder / "notes"}"\n'
        f"max_batch_events = {BATCH_EVENTS}\n"
        f"[plugins.prometheus]\nport = {port}\n",
    )


def _write_configs(config: NatsConfig, journals: tuple[Path, Path]) -> None:
    """Those of the writers: the first host only journals, those of the second ship, too."""
    first, second = journals
    bounds = "max_bytes = 8_589_934_592\n"
    write_config(f'[plugins.journal]\ndirectory = "{first}"\n{bounds}', first.with_suffix(".toml"))
    write_config(
        f'{table_of(config)}[plugins.nats.journal]\ndirectory = "{second}"\n{bounds}',
        second.with_suffix(".toml"),
    )
