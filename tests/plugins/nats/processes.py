"""The commands of a fleet as processes, and their configurations."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import define, field

from hypervisor_nats.config import NatsConfig
from tests.commands import HVOBS
from tests.configurations import write_config
from tests.plugins.nats.servers import table_of

_END_SECONDS = 60.0


@define(eq=False)
class Process:
    """A process that can be restarted after a kill.

    Attributes:
        name: For people.
        command: What starts it.
        folder: Where its output goes.
        failures: Its unexpected ends, with its last messages.
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
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def output(self) -> Path:
        """What it writes."""
        return self.folder / f"{self.name}.out"

    def start(self) -> None:
        with self.output.open("ab") as out, (self.folder / f"{self.name}.err").open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )

    def ensure_running(self) -> None:
        """Start it unless it runs; resume it if it was paused."""
        if self.lives:
            self.send(signal.SIGCONT)
        else:
            self.start()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_END_SECONDS)

    def end(self, seconds: float = _END_SECONDS) -> None:
        """End it as a service manager does; note a failure."""
        assert self.process is not None
        self.process.terminate()
        self.await_end(seconds)

    def await_end(self, seconds: float) -> None:
        """Wait until it ends by itself; note a failure."""
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


def agent_of(config: NatsConfig, folder: Path, name: str, before: str, tables: str) -> Process:
    """Give an agent that shares a stream with others.

    :param before: Lines of its configuration before the first table.
    :param tables: Tables of plugins.
    """
    file = write_config(f"{before}\n{table_of(config)}{tables}", folder / f"{name}.toml")
    return Process(name, [*HVOBS, "agent", "--config", str(file)], folder)


def shipper_of(config: NatsConfig, folder: Path, name: str, journal: Path, *more: str) -> Process:
    """Give a process that ships a journal."""
    file = write_config(table_of(config), folder / f"{name}.toml")
    command = [*HVOBS, "ship", "--journal", str(journal), "--config", str(file), *more]
    return Process(name, command, folder)
