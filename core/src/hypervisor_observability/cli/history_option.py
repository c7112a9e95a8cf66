"""The options that say which history a command reads, and how.

It is that of the store in the configuration, of a store named on the command line, or of the
journal in a directory.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
from attrs import define, field, frozen

from .. import output
from ..errors import ConfigError, NoHistoryError, SettingError
from ..host.loading import setting_problem
from ..host.store_parts import StorePartError, ask_store
from ..stores import History, HistoryContext
from .chosen_store import asked_table, journal_table, named_table
from .config_option import config_option
from .own_table import OwnTable

_QUIET_SECONDS = 1.0
_BESIDE_COLUMNS = 24  # of click's bar: brackets, "100%", and a time such as "1d 00:00:00"


def store_options(command: click.Command) -> click.Command:
    """Give *command* the options ``--journal``, ``--store`` and ``--config``."""
    return _with_options(command, "--store")


def followed_options(command: click.Command) -> click.Command:
    """Give *command* the same options; ``--store`` may also be written ``--from``."""
    return _with_options(command, "--from", "--store")


def _with_options(command: click.Command, *names: str) -> click.Command:
    command.params[:0] = [
        click.Option(
            ["--journal", "directory"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="The directory of a journal, in place of the configuration's store.",
        ),
        click.Option(
            [*names, "store"],
            metavar="NAME",
            help="The store of this plugin, such as nats, in place of the configuration's.",
        ),
    ]
    return config_option(command)


def history_options(command: click.Command) -> click.Command:
    """Give *command* the options by which it is told whose past to read: the argument ``past``."""
    callback = command.callback

    def with_past(
        config_file: Path | None,
        directory: Path | None,
        store: str | None,
        no_index: bool,  # noqa: FBT001 - click's flag
        **others: Any,
    ) -> Any:
        past = Past(config_file, directory, store, indexed=not no_index)
        return callback(past=past, **others)  # type: ignore[misc]  # no group: it has one

    command.callback = with_past
    without_index = "Read everything; neither use nor make the store's index."
    command.params.append(click.Option(["--no-index"], is_flag=True, help=without_index))
    return store_options(command)


@frozen
class Past:
    """What a command is told to read, and how.

    Attributes:
        config_file: The configuration.
        directory: Directory of the journal named on the command line; None: none is.
        store: Name of the store's plugin on the command line; None: none is. Without either, the
            configuration names the store.
        indexed: Whether to use an index.

    Raises:
        UsageError: The command line names both.
    """

    config_file: Path | None
    directory: Path | None
    store: str | None = None
    indexed: bool = field(default=False, kw_only=True)
    _told: set[str] = field(factory=set, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.directory is not None and self.store is not None:
            raise click.UsageError(
                "name a journal with --journal or a store with --store, not both"
            )

    @property
    def is_named(self) -> bool:
        """Whether the command line names a journal or a store."""
        return self.directory is not None or self.store is not None

    @contextmanager
    def history(
        self,
        notice: Callable[[str], object],
        *,
        may_be_empty: bool = False,
        bar: str | None = None,
        step: Callable[[], object] | None = None,
    ) -> Iterator[History]:
        """Open it.

        Args:
            notice: Told of what cannot be read.
            may_be_empty: Whether the events may be still to come.
            bar: What a bar says on stderr, where that is a terminal; None: no bar.
            step: Called for each step of a long reading, in place of the bar.

        Raises:
            ConfigError: The store's table cannot be used, or there are two.
            UsageError: No store is named, or nothing was recorded.
        """
        remarks: list[str] = []
        with _Bar(bar) as shown:
            context = HistoryContext(
                notice=lambda text: self._tell_once(text, notice),
                remark=remarks.append,
                indexed=self.indexed,
                may_be_empty=may_be_empty and not self._is_mistyped(),
                expect=shown.expect if shown.is_wanted else None,
                step=step or shown.step,
            )
            history = _open(self._table(), context)
            try:
                yield history
            finally:
                history.close()
        for remark in remarks:
            self._tell_once(remark, output.note)

    def _is_mistyped(self) -> bool:
        """Tell whether a directory was named that is not there. A configured one may yet come."""
        return self.directory is not None and not self.directory.exists()

    def _tell_once(self, text: str, tell: Callable[[str], object]) -> None:
        """Say *text*, unless that was done: a command may read several times."""
        if text not in self._told:
            self._told.add(text)
            tell(text)

    def _table(self) -> OwnTable:
        if self.store is not None:
            return named_table(self.store, self.config_file)
        if self.directory is not None:
            return journal_table(self.directory)
        return asked_table(self.config_file)


def _open(own: OwnTable, context: HistoryContext) -> History:
    plugin = own.plugin()
    try:
        history: History | None = ask_store(plugin, "open_history", context)
    except NoHistoryError as error:
        raise click.UsageError(str(error)) from error
    except SettingError as error:
        raise ConfigError([setting_problem(plugin, own.config, error)]) from error
    except StorePartError as error:
        raise ConfigError([own.table.problem(str(error))]) from error
    if history is None:
        raise ConfigError(
            [own.table.problem("this store cannot be asked for what it has recorded")]
        )
    return history


@define(eq=False)
class _Bar:
    """Shows the progress of a reading that takes longer than a second, on a terminal."""

    label: str | None
    _begun: float = field(factory=time.monotonic, init=False)
    _steps: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _bar: Any = field(default=None, init=False)

    @property
    def is_wanted(self) -> bool:
        return self.label is not None and sys.stderr.isatty()

    def expect(self, steps: int) -> None:
        # A command may read several times; the first time takes longest, and is shown.
        self._steps = self._steps or steps

    def step(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update(1)
        elif self._steps and self.is_wanted and time.monotonic() - self._begun >= _QUIET_SECONDS:
            self._bar = click.progressbar(
                length=self._steps, label=self.label, file=sys.stderr, width=_bar_width(self.label)
            )
            self._bar.__enter__()
            self._bar.update(self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*raised)


def _bar_width(label: str | None) -> int:
    """Give the columns of a bar that leave a line its label, the share and the time left."""
    columns = shutil.get_terminal_size().columns
    return max(4, min(36, columns - len(label or "") - _BESIDE_COLUMNS))


def chosen_runs(history: History, name: str | None) -> Sequence[str] | None:
    """Give the run that is called *name* (a part of its name will do); None: all of them.

    Raises:
        UsageError: There is none of this name, or more than one.
    """
    if name is None:
        return None
    found = [run for run in history.runs() if name in run]
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} runs are called {name!r} in {history.place}")
    return found
