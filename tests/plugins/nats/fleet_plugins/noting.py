"""A plugin that notes what it is handed, and when, in a file that outlives a kill."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypervisor_observability import EventType, FinishedSpan, HypervisorEvent, hookimpl

NUMBERED = EventType.RING_BREACH_DETECTED


@dataclass
class Settings:
    """Where the notes are."""

    directory: Path


@dataclass
class Noting:
    """A line a call: the moment on the machine's monotonic clock, what was handed over, its ids."""

    config: Settings
    _file: int = field(default=-1, init=False)

    Config = Settings

    @hookimpl
    def start(self, context: object) -> None:
        """Begin a file of this process."""
        path = self.config.directory / str(os.getpid())
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Note the numbered ones."""
        self._note("events", [one.event_id for one in events if one.event_type is NUMBERED])

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Note by which events they ended."""
        self._note("spans", [str(span.closed_by) for span in spans])

    @hookimpl
    def stop(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _note(self, kind: str, ids: list[str]) -> None:
        if ids:
            os.write(self._file, f"{time.monotonic():.4f} {kind} {' '.join(ids)}\n".encode())
