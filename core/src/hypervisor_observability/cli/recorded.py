"""What a command about traces reads: a store's history, or a file of events."""

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import click
from attrs import define, field

from .. import output
from ..events.event import HypervisorEvent
from ..stores import Wanted, trace_of
from .chosen_store import nothing_named
from .config_option import find_file
from .event_lines import EventLines
from .history_option import Past

STDIN = "-"


class Recorded(Protocol):
    """Recorded events, which may be read several times.

    Attributes:
        is_file: Whether it is a file: what is in it was chosen by hand.
    """

    is_file: bool

    @property
    def events(self) -> int:
        """How many events were found, when most were read."""

    @property
    def bad_lines(self) -> int:
        """How many places could not be read."""

    def each(self, trace: str | None = None) -> Iterator[HypervisorEvent]:
        """Give all events, by time if the store knows it, or those of the trace with this key."""

    def tell_bad(self) -> None:
        """Say on stderr what could not be read."""


@define(eq=False)
class StoredEvents:
    """The events of a store."""

    past: Past
    events: int = 0
    bad_lines: int = 0
    is_file: bool = False
    _notices: list[str] = field(factory=list, init=False)

    def each(self, trace: str | None = None) -> Iterator[HypervisorEvent]:
        """Read the store."""
        count = 0
        with self.past.history(self._notices.append, bar="reading") as history:
            for entry in history.events(Wanted(trace=trace)):
                count += 1
                yield entry.event
        self.events = max(self.events, count)
        self.bad_lines = len(self._notices)

    def tell_bad(self) -> None:
        """Name each place."""
        for notice in self._notices:
            output.note(notice)


@define(eq=False)
class FileEvents:
    """The events of a file, which is read once."""

    lines: EventLines
    is_file: bool = True
    _found: list[HypervisorEvent] | None = field(default=None, init=False)

    @property
    def events(self) -> int:
        """How many there are."""
        return self.lines.events

    @property
    def bad_lines(self) -> int:
        """How many lines are not events."""
        return self.lines.bad_lines

    def each(self, trace: str | None = None) -> Iterator[HypervisorEvent]:
        """Give them, in the file's order."""
        if self._found is None:
            self._found = list(self.lines)
        return (one for one in self._found if trace is None or trace_of(one) == trace)

    def tell_bad(self) -> None:
        """Say how many, and why the first."""
        if self.lines.first_bad is not None:
            number, why = self.lines.first_bad
            output.note(f"skipped: {counted(self.bad_lines, 'line')} (line {number}: {why})")


def recorded(past: Past, file: IO[bytes] | None) -> Recorded:
    """Choose what to read: *file*, else what the options name.

    Raises:
        UsageError: Nothing is named, or both are.
    """
    if file is not None:
        if past.is_named:
            raise click.UsageError("name a file of events, or a journal or store, not both")
        return FileEvents(EventLines(file))
    if not past.is_named and find_file(past.config_file) is None:
        raise click.UsageError(nothing_named(files=True))
    return StoredEvents(past)


def open_file(text: str) -> IO[bytes] | None:
    """Open what *text* names if it is a file; ``-`` is stdin. It is closed with the command.

    Raises:
        UsageError: It is one, and cannot be opened.
    """
    try:
        if text == STDIN:
            return sys.stdin.buffer
        if not Path(text).exists():
            return None
        file = Path(text).open("rb")  # noqa: SIM115 - click closes it
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise click.UsageError(f"{text}: {output.reason(error)}") from error
        return None  # text that no file could be called
    click.get_current_context().call_on_close(file.close)
    return file


def counted(number: int, noun: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
