"""Dead letters: the events that a backend refused, kept as lines of JSON for who looks into it.

The file is ``dead/<plugin>.jsonl`` in the state directory. Each line has the time, the reason
and the event as ``to_dict`` gives it, as it passed the gate.
"""

import json
import os
import time
from pathlib import Path

from attrs import define, field

from ..events.event import HypervisorEvent
from ..files.locked_file import open_locked
from ..text.limited_log import LimitedLog

MAX_BYTES = 16 * 1024 * 1024
"""Most bytes of a file; beyond it, dead letters are counted only."""

_MAX_REASON_CHARACTERS = 1_000


@define(eq=False)
class DeadLetters:
    """The dead letters of one plugin. Writing them never raises.

    Attributes:
        path: The file, made with the first letter.
        lost: Letters that could not be written.
    """

    path: Path
    lost: int = field(default=0, init=False)
    _log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    @classmethod
    def of(cls, directory: Path, plugin: str) -> "DeadLetters":
        """Keep those of *plugin* under the state *directory*."""
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in plugin) or "_"
        return cls(directory / "dead" / f"{safe}.jsonl")

    def write(self, event: HypervisorEvent, reason: str) -> None:
        """Append *event* and why it was refused."""
        try:
            letter = {
                "time": round(time.time(), 3),
                "reason": reason[:_MAX_REASON_CHARACTERS],
                "event": event.to_dict(),
            }
            self._append(json.dumps(letter).encode("ascii") + b"\n")
        except Exception as error:  # noqa: BLE001 - a full disk is no reason to stop delivering
            self.lost += 1
            self._log.warning("write", "dead letter not written to %s: %s", self.path, error)

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_locked(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
            descriptor = file.fileno()
            if os.fstat(descriptor).st_size + len(line) > MAX_BYTES:
                raise OSError(f"it has {MAX_BYTES >> 20} MiB: look into it and move it away")
            if os.write(descriptor, line) < len(line):
                raise OSError("written in part")
