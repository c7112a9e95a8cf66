"""Agents that deliver all that a stream has."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from nats.js.client import JetStreamContext

from benchmarks.fleet.place import MOST_SECONDS, Place
from benchmarks.rounds import BenchmarkError
from hypervisor_nats.config import NatsConfig
from tests.commands import HVOBS
from tests.plugins.nats.servers import ask_server, make_bucket
from tests.ports import free_ports

_LOOK_SECONDS = 0.05
_END_SECONDS = 60.0


@frozen
class Counted:
    """What an agent delivered.

    Attributes:
        events: How many.
        seconds: From the start of all agents until everything was delivered.
        cpu_seconds: Of its process until then, its start and its metrics with it.
    """

    events: int
    cpu_seconds: float
    seconds: float


def deliver(place: Place, agents: int, more: str = "") -> list[Counted]:
    """Have agents deliver all events, from the beginning of the stream.

    :param more: Further tables of their configuration.

    Raises:
        BenchmarkError: One ended, or they took too long.
    """
    config = place.config
    ask_server(config, lambda jetstream: _forget(jetstream, config))
    make_bucket(config)
    files = [place.folder / f"counted-{number}" for number in range(agents)]
    processes: list[subprocess.Popen[bytes]] = []
    begun = time.monotonic()
    try:
        for file, port in zip(files, free_ports(agents), strict=True):
            file.unlink(missing_ok=True)
            path = place.write(
                config,
                f"{file.name}.toml",
                f'[plugins.counting]\nfile = "{file}"\n[plugins.prometheus]\nport = {port}\n{more}',
            )
            processes.append(_start(path))
        _await(processes, files, place.events)
        seconds = time.monotonic() - begun
        return [Counted(*_counted(file), seconds=seconds) for file in files]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*HVOBS, "agent", "--config", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await(
    processes: Sequence["subprocess.Popen[bytes]"], files: Sequence[Path], events: int
) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while sum(_counted(file)[0] for file in files) < events:
        if any(process.poll() is not None for process in processes):
            raise BenchmarkError("hvobs agent ended before it had delivered everything")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"hvobs agent took more than {MOST_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _counted(file: Path) -> tuple[int, float]:
    words = file.read_text().split() if file.exists() else []
    return (int(words[0]), float(words[1])) if words else (0, 0.0)


async def _forget(jetstream: JetStreamContext, config: NatsConfig) -> None:
    """Remove the positions and the consumers of all agents."""
    for consumer in await jetstream.consumers_info(config.stream):
        await jetstream.delete_consumer(config.stream, consumer.name)
    await jetstream.delete_key_value(config.bucket)
