"""A plugin that counts what it is handed, where others can see it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypervisor_observability import HypervisorEvent, hookimpl


@dataclass
class Settings:
    """Where it writes."""

    file: Path


@dataclass
class Counting:
    """A line: how many; the seconds, and those of CPU, from the first to the last."""

    config: Settings
    _events: int = field(default=0, init=False)
    _begun: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    _file: int = field(default=-1, init=False)

    Config = Settings

    @hookimpl
    def start(self) -> None:
        """Begin."""
        self._file = os.open(self.config.file, os.O_WRONLY | os.O_CREAT, 0o600)
        self._begun = time.monotonic(), time.process_time()

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Count them."""
        if not self._events:
            self._begun = time.monotonic(), time.process_time()
        self._events += len(events)
        wall, cpu = time.monotonic() - self._begun[0], time.process_time() - self._begun[1]
        os.pwrite(self._file, f"{self._events} {wall:.3f} {cpu:.3f}".ljust(79).encode() + b"\n", 0)

    @hookimpl
    def stop(self) -> None:
        """Close the file."""
        os.close(self._file)
