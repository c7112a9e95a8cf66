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
    """A line: how many; the CPU seconds of the process until the last."""

    config: Settings
    _events: int = field(default=0, init=False)
    _file: int = field(default=-1, init=False)

    Config = Settings

    @hookimpl
    def start(self) -> None:
        """Open the file."""
        self._file = os.open(self.config.file, os.O_WRONLY | os.O_CREAT, 0o600)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Count them."""
        self._events += len(events)
        line = f"{self._events} {time.process_time():.3f}".ljust(79)
        os.pwrite(self._file, line.encode() + b"\n", 0)

    @hookimpl
    def stop(self) -> None:
        """Close the file."""
        os.close(self._file)
