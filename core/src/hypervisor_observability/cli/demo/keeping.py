"""What stays of a demonstration: a journal, a report, and what to type next."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import click
from attrs import define, field

from ... import output
from ...config import Config, disabled
from ...events.event import HypervisorEvent
from ...facts.prices import Prices
from ...files.atomic_file import write_where_told
from ...host.discovery import installed_plugins
from ...host.missed import unkept
from ...host.observability import Observability
from ...report import Findings, report_page

JOURNAL = "journal"
"""The plugin that keeps events."""

PAGE = "web"
"""The plugin that shows events on a page."""

# Some forty demonstrations: the oldest go first.
_SEGMENT_BYTES, _MAX_BYTES = 2**18, 2**23


@define(eq=False)
class Keeping:
    """Where the events of a demonstration stay.

    Attributes:
        config_file: The user's own configuration; its store keeps them then, if it has one.
        events_file: Gets them as JSON lines.
        journal: The directory of the journal that gets them where there is no configuration.
        report_file: Gets a report about them.
        kept: How many are in the journal; None: there is none.
    """

    config_file: Path | None
    events_file: IO[str] | None
    journal: Path
    report_file: Path | None
    events: int = field(default=0, init=False)
    kept: int | None = field(default=None, init=False)
    _history: str = field(default="", init=False)

    def check(self) -> None:
        """Refuse a report that could not be written, before any work begins."""
        if self.report_file is not None and not self.report_file.absolute().parent.is_dir():
            raise click.UsageError(f"--report {self.report_file}: there is no such folder")

    def keep(
        self,
        events: Sequence[HypervisorEvent],
        observability: Observability | None,
        prices: Prices | None = None,
    ) -> None:
        """Write *events* wherever they are wanted.

        Args:
            events: All of them.
            observability: The user's own, which has had them; None: they go to a journal.
            prices: What their tokens cost, for the report.
        """
        self.events = len(events)
        for event in events if self.events_file is not None else ():
            cast(IO[str], self.events_file).write(json.dumps(event.to_dict()) + "\n")
        if observability is not None:
            store = observability.status()["store"]
            if store is not None:
                self.kept = self.events - unkept(store, self.events)
                self._history = f"--config {shlex.quote(str(self.config_file))}"
        elif JOURNAL in installed_plugins() and not disabled():
            self.kept = _journal(events, self.journal)
            if self.kept:
                self._history = f"--journal {shlex.quote(str(self.journal))}"
        if self.report_file is not None:
            page = report_page(Findings.of(events, prices=prices), "this demonstration")
            write_where_told(self.report_file, page.encode())

    def line(self) -> str:
        """Say what the journal has; empty where there is none."""
        if self.kept is None:
            return ""
        place = "as configured"
        if self.config_file is None:
            place = f"in the folder {output.harmless(str(self.journal))}"
        return f"journal: kept {self.kept} of {self.events} events {place}"

    def tell_next(self) -> None:
        """Say what to type next."""
        lines = []
        if self.report_file is not None:
            lines.append(f"the report is {self.report_file}: open it in a browser")
        if self._history:
            hvobs = called()
            page = "report.html" if self.report_file is None else "all.html"
            steps = {
                f"{hvobs} tree {self._history}": "draw this tree again",
                f"{hvobs} query {self._history}": "list the events",
                f"{hvobs} report {self._history} --output {page}": "make a page of it",
            }
            if PAGE in installed_plugins():
                steps[f"{hvobs} serve {self._history}"] = "look at it in a browser"
            width = max(map(len, steps))
            lines += [f"{step:{width}}  # {what}" for step, what in steps.items()]
        if lines:
            output.tell("\n".join(["", heading("Next"), *map(output.harmless, lines)]))


def _journal(events: Sequence[HypervisorEvent], directory: Path) -> int:
    """Write *events* into a journal; give how many are in it."""
    table = {"directory": str(directory), "segment_bytes": _SEGMENT_BYTES, "max_bytes": _MAX_BYTES}
    with Observability(Config(service="hvobs-demo", plugins={JOURNAL: table})) as observability:
        for event in events:
            observability.bus.emit(event)
        store = observability.status()["store"]
    return len(events) - unkept(store, len(events))


def note_heading(text: str) -> None:
    """Write a heading for what goes to stderr."""
    output.note(f"== {text} ==")


def heading(text: str) -> str:
    """Make a heading of *text*: bold on a terminal."""
    return click.style(f"== {text} ==", bold=True) if output.coloured() else f"== {text} =="


def called() -> str:
    """Give what the user types for this command: its name, or its path where PATH has it not."""
    typed = Path(sys.argv[0])
    if typed.parts[-2:] == ("hypervisor_observability", "__main__.py"):
        return "python -m hypervisor_observability"
    if typed.name != "hvobs":
        return "hvobs"
    found = shutil.which(typed.name)
    if found is not None and os.path.realpath(found) == os.path.realpath(typed):
        return typed.name
    return min(_paths(typed), key=len)


def _paths(typed: Path) -> Iterator[str]:
    yield str(typed.absolute())
    try:
        yield os.path.relpath(typed)
    except ValueError:  # another drive
        return
