"""The ledger of a journal's directory: what is known of runs that nobody writes any more.

A dead run never changes but by the bounds of the directory. So whoever finds one dead notes where
it ends and what it holds, once for all who come later: nobody opens ten thousand runs to learn
that there is nothing to do. A line that is missing, torn or overtaken costs a look at its run, and
nothing else.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attrs import define, field

from hypervisor_observability.files.atomic_file import replace_file
from hypervisor_observability.files.regular_file import open_regular

LEDGER_NAME = "ended"
_SPARE_LINES = 256
_TOTAL = ""  # no run has this name
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class EndedSegment(NamedTuple):
    """A segment of a run that nobody writes.

    Attributes:
        number: In its run.
        size: Bytes that it takes on the disk.
        time: When it was last written to, in seconds since the epoch.
    """

    number: int
    size: int
    time: float


class EndedRun(NamedTuple):
    """A run that nobody writes.

    Attributes:
        end: Sequence number behind its last event.
        other_bytes: What its folder takes on the disk beside the segments.
        segments: The first one first.
    """

    end: int
    other_bytes: int
    segments: Sequence[EndedSegment]


@define(eq=False)
class RunLedger:
    """The ledger, as far as this process has read it. No lock is needed: lines are appended whole.

    Attributes:
        directory: The journal's.
    """

    directory: Path
    runs: dict[str, EndedRun] = field(factory=dict, init=False)
    """By the name of the run."""
    total: int = field(default=0, init=False)
    """Bytes in the directory, when they were last counted."""
    _lines: int = field(default=0, init=False)
    _read_to: int = field(default=0, init=False)
    _inode: int = field(default=-1, init=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / LEDGER_NAME

    def look(self) -> bool:
        """Read what was noted since the last look; tell whether there was anything.

        Raises:
            OSError: It cannot be read; what was known stays known.
        """
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            self._forget(-1)
            return False
        with file:
            descriptor = file.fileno()
            status = os.fstat(descriptor)
            if status.st_ino != self._inode or status.st_size < self._read_to:
                self._forget(status.st_ino)
            if status.st_size == self._read_to:
                return False
            data = os.pread(descriptor, status.st_size - self._read_to, self._read_to)
        whole = data[: data.rfind(b"\n") + 1]  # the rest is being written
        self._read_to += len(whole)
        for document in _documents(whole):
            self._lines += 1
            try:
                name, end, other_bytes, segments = document
                held = [EndedSegment._make(one) for one in segments]
                self._take(name, EndedRun(end, other_bytes, held))
            except (ValueError, TypeError):
                continue  # of another release
        return True

    def _take(self, name: str, run: EndedRun) -> None:
        if name == _TOTAL:
            self.total = run.other_bytes
        else:
            self.runs[name] = run

    def note(self, name: str, run: EndedRun, *, to_all: bool = True) -> None:
        """Note *run*; tell all others, or nobody. What cannot be written is found out again."""
        self.runs[name] = run
        if to_all:
            self._append(_line(name, run))

    def note_total(self, total: int) -> None:
        """Note how many bytes there are in the directory."""
        if total != self.total:
            self.total = total
            self._append(_line(_TOTAL, EndedRun(0, total, ())))

    def compact(self, names: Collection[str]) -> None:
        """Leave out runs that are not among *names*, if there are many lines too many.

        Raises:
            OSError: It cannot be written; it is then what it was.
        """
        if not names:
            self.path.unlink(missing_ok=True)
        elif self._lines > 2 * len(names) + _SPARE_LINES:
            # A line that is appended meanwhile is lost: that run is looked at again.
            lines = [_line(name, run) for name, run in self.runs.items() if name in names]
            replace_file(self.path, b"".join([*lines, _line(_TOTAL, EndedRun(0, self.total, ()))]))

    def _append(self, line: bytes) -> None:
        with contextlib.suppress(OSError), open_regular(self.path, _APPEND) as file:
            descriptor = file.fileno()
            # It begins with an end of line: the one before may have been torn.
            os.write(descriptor, b"\n" + line)

    def _forget(self, inode: int) -> None:
        self.runs.clear()
        self._lines = self._read_to = self.total = 0
        self._inode = inode


def _line(name: str, run: EndedRun) -> bytes:
    segments = [(one.number, one.size, one.time) for one in run.segments]
    body = json.dumps([name, run.end, run.other_bytes, segments], separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _documents(data: bytes) -> list[Any]:
    bodies = []
    for line in data.split(b"\n"):
        body = line[9:]
        if b"%08x" % zlib.crc32(body) == line[:8] and body:
            bodies.append(body)
    # What has the right checksum was written by us. All at once: there may be very many.
    return list(json.loads(b"[" + b",".join(bodies) + b"]"))
