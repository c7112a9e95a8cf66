"""How commands ask a journal for its past: with its index, and with a bar for who waits."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from ..journal.event_index import EventIndex
from ..journal.history import History, Notice
from ..journal.runs import Run, runs_of
from ..journal.segment_reader import Damage
from . import output

Command = TypeVar("Command", bound=Callable[..., Any])


def index_option(command: Command) -> Command:
    """Give *command* the option ``--no-index``."""
    return click.option(
        "--no-index",
        is_flag=True,
        help="Read everything; neither use nor make the journal's index.",
    )(command)


@contextmanager
def history_of(
    directory: Path,
    notice: Notice,
    *,
    no_index: bool = True,
    runs: Sequence[Run] | None = None,
    bar: str | None = None,
) -> Iterator[History]:
    """Open what a journal tells of the past.

    Args:
        directory: Of the journal.
        notice: Told of what cannot be read.
        no_index: Whether to do without the index.
        runs: Those that will be read; None: all.
        bar: What a bar says on stderr, where that is a terminal; None: no bar.
    """
    index = None if no_index else EventIndex.of(directory)
    try:
        with _progress(directory, runs, bar) as on_segment:
            history = History(directory, notice, index, on_segment)
            yield history
        if history.torn:
            output.note(_torn(history.torn))
    finally:
        if index is not None:
            index.close()


def _torn(places: Sequence[Damage]) -> str:
    many = len(places) > 1
    what = f"{len(places)} runs end" if many else "a run ends"
    return (
        f"{what} in the middle of a record, because the process was killed while writing it;"
        f" that event was never accepted{', the first one' if many else ''}: {places[0].path}"
    )


@contextmanager
def _progress(
    directory: Path, runs: Sequence[Run] | None, label: str | None
) -> Iterator[Callable[[], object]]:
    if label is None or not sys.stderr.isatty():
        yield lambda: None
        return
    chosen = runs_of(directory) if runs is None else runs
    count = 0
    for run in chosen:
        with suppress(FileNotFoundError):  # the bounds of the directory removed it meanwhile
            count += len(run.segments())
    with click.progressbar(length=count, label=label, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
