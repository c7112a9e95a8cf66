"""The processes of the drill: servers, hosts with writers and shippers, agents."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen

from hypervisor_nats.config import NatsConfig
from tests.commands import HVOBS
from tests.configurations import write_config
from tests.plugins.nats.servers import NatsServer, cluster, config_of
from tests.ports import free_ports

_PLUGINS = Path(__file__).parent / "plugins"
_END_SECONDS = 60.0
BATCH_EVENTS = 256
"""Most events handed to the plugin that notes them in one call."""


@define(eq=False)
class Process:
    """A place for a process, which can be started again after a kill.

    Attributes:
        name: For people.
        command: What starts it.
        folder: Where its output goes.
        failures: How it ended otherwise than it should, with what it said.
    """

    name: str
    command: Sequence[str]
    folder: Path
    failures: list[str] = field(factory=list)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> Path:
        """What it writes."""
        return self.folder / f"{self.name}.out"

    def start(self) -> None:
        with self.output.open("ab") as out, (self.folder / f"{self.name}.err").open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                start_new_session=True,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_END_SECONDS)

    def end(self, seconds: float = _END_SECONDS) -> None:
        """Have it end as a service manager does; note how it took that."""
        assert self.process is not None
        self.process.terminate()
        self.await_end(seconds)

    def await_end(self, seconds: float) -> None:
        """Wait until it ends by itself; note whether it said that all is well."""
        assert self.process is not None
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_END_SECONDS)
            code = None
        if code != 0:
            told = (self.folder / f"{self.name}.err").read_text(errors="replace")[-1_000:]
            self.failures.append(f"{self.name} ended with {code}: {told}")


@define(eq=False)
class Writer(Process):
    """Records numbered events; after a kill, another goes on with those that are left.

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

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _done(self) -> int:
        told = self.output.read_text().splitlines(keepends=True) if self.output.exists() else []
        return next((int(line) for line in reversed(told) if line.endswith("\n")), 0)


@frozen
class Fleet:
    """All of it.

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
        """Give the command that ships what a directory has, and ends."""
        return Process(
            f"rest-{journal.name}", [*_ship(self.folder, journal), "--once"], self.folder
        )


@contextmanager
def running(folder: Path, *, writers: int, agents: int, count: int, rate: float) -> Iterator[Fleet]:
    """Run the servers; give the rest, which is to be started. All of it ends with the block.

    :param count: Events of all writers together.
    :param rate: Events a second of all of them together.
    """
    with cluster(folder / "servers") as servers:
        config = config_of(*servers, stream="drill")
        journals = folder / "host-a", folder / "host-b"
        (folder / "notes").mkdir()
        _write_configs(folder, config, journals, ports := free_ports(agents))
        made = Fleet(
            folder,
            config,
            servers,
            journals,
            [Process(f"shipper-{number}", _ship(folder, journals[0]), folder) for number in "12"],
            [
                Writer(
                    f"w{number}", (), folder, count=count // writers, rate=rate / writers,
                    config=folder / f"{journals[number % 2].name}.toml",
                )
                for number in range(writers)
            ],
            [
                Process(
                    f"agent-{port}",
                    [*HVOBS, "agent", "--config", str(folder / f"agent-{port}.toml")],
                    folder,
                )
                for port in ports
            ],
            ports,
        )  # fmt: skip
        try:
            yield made
        finally:
            for process in made.processes:
                if process.process is not None and process.process.poll() is None:
                    process.kill()


def _ship(folder: Path, journal: Path) -> list[str]:
    return [*HVOBS, "ship", "--journal", str(journal), "--config", str(folder / "fleet.toml")]


def _write_configs(
    folder: Path, config: NatsConfig, journals: tuple[Path, Path], ports: Sequence[int]
) -> None:
    servers = ", ".join(f'"{server}"' for server in config.servers)
    table = (
        f"[plugins.nats]\nservers = [{servers}]\n"
        f'stream = "{config.stream}"\nsubject = "{config.subject}"\n'
    )
    first, second = journals
    journal = "max_bytes = 8_589_934_592\n"
    write_config(table, folder / "fleet.toml")
    write_config(
        f'[plugins.journal]\ndirectory = "{first}"\n{journal}', folder / f"{first.name}.toml"
    )
    write_config(
        f'{table}[plugins.nats.journal]\ndirectory = "{second}"\n{journal}',
        folder / f"{second.name}.toml",
    )
    for port in ports:
        write_config(
            f'plugins_dir = "{_PLUGINS}"\nstop_timeout_seconds = 30\n{table}'
            f'[plugins.noting]\ndirectory = "{folder / "notes"}"\n'
            f"max_batch_events = {BATCH_EVENTS}\n"
            f"[plugins.prometheus]\nport = {port}\n",
            folder / f"agent-{port}.toml",
        )
