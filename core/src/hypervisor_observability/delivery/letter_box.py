"""The dead letters of one plugin as who looks into them needs them: to read, and to take out.

Who takes them out renames the file to ``<plugin>.sending.jsonl`` under its lock; a process that
delivers then begins a new one. What stays is written to ``<plugin>.again.jsonl``, gets what was
written meanwhile behind it, and takes the place of the file. So no letter is ever without a file:
a process that is killed in between leaves all of them in ``sending``, and the next one puts them
back. It may send some a second time.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from attrs import frozen

from ..events.event import HypervisorEvent
from ..files.locked_file import lock, open_locked
from ..files.regular_file import open_regular
from .dead_letters import MAX_BYTES, DeadLetters

_ENDING = ".jsonl"
_SENDING = f".sending{_ENDING}"
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, the last that Python's dates know."""

_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND


class BusyError(OSError):
    """Another process sends these letters at present."""


@frozen(kw_only=True)
class Letter:
    """A line of the file.

    Attributes:
        line: As it stands there.
        time: When the event was refused, in seconds since the epoch.
        reason: Why.
        event: None if the line cannot be read, as after a full disk.
    """

    line: bytes
    time: float = 0.0
    reason: str = "this line cannot be read"
    event: HypervisorEvent | None = None

    @classmethod
    def of(cls, line: bytes) -> "Letter":
        """Read *line*."""
        try:
            found: Any = json.loads(line)
            if not 0 <= found["time"] <= _LAST_SECOND:
                return cls(line=line)
            return cls(
                line=line,
                time=float(found["time"]),
                reason=str(found["reason"]),
                event=HypervisorEvent.from_dict(found["event"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(line=line)


@frozen
class LetterBox:
    """The dead letters of a plugin.

    Attributes:
        path: The file that processes write.
    """

    path: Path

    @classmethod
    def all_in(cls, directory: Path) -> list["LetterBox"]:
        """Find those of all plugins in a state *directory*, by name.

        Raises:
            OSError: The directory cannot be read.
        """
        try:
            names = [one.name for one in (directory / "dead").iterdir()]
        except FileNotFoundError:
            return []
        plugins = {
            name.removesuffix(_SENDING).removesuffix(_ENDING)
            for name in names
            if name.endswith(_ENDING) and not name.startswith(".")
        }
        return [
            cls(directory / "dead" / f"{one}{_ENDING}")
            for one in sorted(plugins)
            if "." not in one  # what somebody has moved away
        ]

    @classmethod
    def of(cls, directory: Path, plugin: str) -> "LetterBox":
        """Find that of *plugin* in a state *directory*."""
        return cls(DeadLetters.of(directory, plugin).path)

    @property
    def plugin(self) -> str:
        """The name in the file's name: of the plugin's, letters, digits, ``-`` and ``_``."""
        return self.path.stem

    def letters(self) -> Iterator[Letter]:
        """Read them one by one, the oldest first.

        Raises:
            OSError: A file cannot be read, or is no regular file.
        """
        for path in (self._beside("sending"), self.path):
            with (
                suppress(FileNotFoundError),
                open_regular(path) as file,
                open(file.fileno(), "rb", closefd=False) as lines,
            ):
                yield from _letters(lines)

    @contextmanager
    def taken(self) -> Iterator["Taken"]:
        """Take all letters out, and put back those that were not sent.

        Raises:
            BusyError: Another process does.
            OSError: A file cannot be read or written.
        """
        with open_regular(self._beside("lock", ""), os.O_RDWR | os.O_CREAT) as held:
            if not lock(held.fileno()):
                raise BusyError("another process sends these dead letters at present")
            sending, again = self._beside("sending"), self._beside("again")
            again.unlink(missing_ok=True)
            if sending.exists():  # of a process that was killed
                self._put_back(sending, sending)
            with suppress(FileNotFoundError), open_locked(self.path, os.O_RDWR):
                self.path.rename(sending)
            if not sending.exists():
                yield Taken(iter(()), None)
                return
            with (
                open_regular(sending) as file,
                open_regular(again, _APPEND) as made,
                open(made.fileno(), "ab", closefd=False) as kept,
                open(file.fileno(), "rb", closefd=False) as lines,
            ):
                taken = Taken(_letters(lines), kept)
                try:
                    yield taken
                finally:
                    taken.keep_rest()
                    kept.flush()
                    self._put_back(again, sending)

    def _put_back(self, kept: Path, sending: Path) -> None:
        """Put *kept* before what was written meanwhile, and remove what was taken out."""
        with open_locked(self.path, _APPEND):
            again = self._beside("again")
            with (
                open_regular(again, _APPEND) as made,
                open(made.fileno(), "ab", closefd=False) as file,
            ):
                if kept != again:
                    with open_regular(kept) as old:
                        shutil.copyfileobj(old, file)
                with open_regular(self.path) as since:
                    shutil.copyfileobj(since, file)
                file.flush()
                os.fsync(file.fileno())
                empty = not os.fstat(file.fileno()).st_size
            if empty:
                again.unlink()
                self.path.unlink()
            else:
                again.replace(self.path)
        sending.unlink(missing_ok=True)

    def _beside(self, word: str, ending: str = _ENDING) -> Path:
        return self.path.with_name(f"{self.path.stem}.{word}{ending}")


class Taken:
    """Letters that were taken out of their file."""

    def __init__(self, letters: Iterator[Letter], kept: Any) -> None:
        self._letters, self._kept = letters, kept
        self._open: Letter | None = None

    def __iter__(self) -> Iterator[Letter]:
        """Give each; what is not settled with ``sent`` when the next is asked for is kept."""
        for letter in self._letters:
            self._open = letter
            yield letter
            self._keep_open()

    def sent(self) -> None:
        """Have the present letter go: the backend has its event."""
        self._open = None

    def keep_rest(self) -> int:
        """Keep the present letter unless it was sent, and all after it; give how many are after."""
        self._keep_open()
        count = 0
        for letter in self._letters:
            self._open = letter
            self._keep_open()
            count += 1
        return count

    def _keep_open(self) -> None:
        if self._open is not None:
            line = self._open.line
            self._kept.write(line if line.endswith(b"\n") else line + b"\n")
            self._open = None


def _letters(file: BinaryIO) -> Iterator[Letter]:
    while line := file.readline(MAX_BYTES + 1):
        yield Letter.of(line)
