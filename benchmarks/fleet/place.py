"""A server, a journal of many runs, the stream that it is sent to, and commands over that."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from attrs import define, field, frozen

from benchmarks.rounds import BenchmarkError
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_nats.config import NatsConfig
from hypervisor_observability import EventType, HypervisorEvent
from tests.commands import HVOBS
from tests.configurations import write_config
from tests.plugins.nats.servers import NatsServer, config_of, make_stream, table_of

PARTITIONS = 8
SEGMENT_BYTES = 4 * 1024 * 1024
PLUGINS = Path(__file__).parent / "plugins"
MOST_SECONDS = 900.0
_SESSIONS = 1_000
_AGENTS = 40
_TEXT = "x" * 190  # with it a record has some 500 bytes


@frozen
class Took:
    """What a command took.

    Attributes:
        seconds: On the clock, from its start to its end.
        cpu_seconds: Of its process.
        output: What it wrote.
    """

    seconds: float
    cpu_seconds: float
    output: str


@define(eq=False)
class Place:
    """What the cases share, made on first use.

    Attributes:
        folder: Where everything is.
        server: One, which has each message on its disk before it acknowledges it.
        events: How many there are.
        runs: How many runs recorded them.
    """

    folder: Path
    server: NatsServer
    events: int
    runs: int = 64
    _config: NatsConfig | None = field(default=None, init=False)

    @property
    def journal(self) -> Path:
        """A journal of all events."""
        directory = self.folder / "journal"
        if not directory.exists():
            write_journal(directory, self.events, self.runs)
        return directory

    @property
    def config(self) -> NatsConfig:
        """Of a stream of all events."""
        if self._config is None:
            config = self.new_stream()
            self.ship(self.journal, config)
            self._config = config
        return self._config

    def new_stream(self) -> NatsConfig:
        """Make a stream that holds nothing."""
        config = config_of(self.server)
        make_stream(config, partitions=PARTITIONS)
        return config

    def ship(self, journal: Path, config: NatsConfig) -> Took:
        """Send a journal to a stream, from its beginning."""
        shutil.rmtree(journal / "shipped", ignore_errors=True)
        return self.run(config, "ship", "--once", "--journal", str(journal))

    def run(self, config: NatsConfig, *arguments: str, code: int = 0) -> Took:
        """Run ``hvobs`` with a configuration of *config*, until it ends with *code*.

        Raises:
            BenchmarkError: It failed.
        """
        command = [*HVOBS, *arguments, "--config", str(self.write(config, "asked.toml", ""))]
        before, begun = os.times(), time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
        )
        seconds, after = time.monotonic() - begun, os.times()
        if done.returncode != code:
            raise BenchmarkError(f"hvobs {' '.join(arguments)}: {done.stderr[-1_000:]}")
        cpu_seconds = sum(after[2:4]) - sum(before[2:4])  # user and system, of children
        return Took(seconds, cpu_seconds, done.stdout)

    def write(self, config: NatsConfig, name: str, more: str) -> Path:
        """Write a configuration of a stream."""
        return write_config(
            f'plugins_dir = "{PLUGINS}"\n{table_of(config)}{more}', self.folder / name
        )


def write_journal(directory: Path, events: int, runs: int) -> None:
    """Write a journal of runs that are over."""
    for run in range(runs):
        writer = JournalWriter(directory, segment_bytes=SEGMENT_BYTES)
        for number in range(run, events, runs):
            writer.append(event_of(number), _pass)
        writer.close()


def event_of(number: int) -> HypervisorEvent:
    """Make an event."""
    return HypervisorEvent(
        event_type=EventType.VFS_WRITE,
        session_id=f"s{number % _SESSIONS}",
        agent_did=f"did:mesh:{number % _AGENTS}",
        payload={"path": f"src/{number}.py", "text": _TEXT},
    )


def _pass(_: HypervisorEvent) -> None:
    pass
