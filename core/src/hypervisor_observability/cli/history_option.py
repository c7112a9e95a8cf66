"""The options by which commands choose whose past they ask, and how they ask it.

It is that of the store that the configuration names, or of the journal in a directory.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
from attrs import define, evolve, field, frozen

from .. import output
from ..config import Config, PluginTable
from ..config.lookup import FILE_NAME
from ..config.structuring import Origin
from ..errors import ConfigError, NoHistoryError, SettingError
from ..host.kinds import SOURCE, STORE, Kind
from ..host.loading import setting_problem, store_tables, tables_of, two_stores
from ..host.store_parts import StorePartError, ask_store
from ..stores import History, HistoryContext
from .config_option import config_option, find_file, read_leniently
from .own_table import OwnTable

_JOURNAL = "journal"
_QUIET_SECONDS = 1.0
_BESIDE_COLUMNS = 24  # of click's bar: brackets, "100%", and a time such as "1d 00:00:00"


def journal_option(command: click.Command) -> click.Command:
    """Give *command* the options ``--journal`` and ``--config``."""
    command.params.insert(
        0,
        click.Option(
            ["--journal", "directory"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="The directory of a journal, in place of the configuration's store.",
        ),
    )
    return config_option(command)


def history_options(command: click.Command) -> click.Command:
    """Give *command* the options by which it is told whose past to read: the argument ``past``."""
    callback = command.callback

    def with_past(
        config_file: Path | None,
        directory: Path | None,
        no_index: bool,  # noqa: FBT001 - click's flag
        **others: Any,
    ) -> Any:
        past = Past(config_file, directory, indexed=not no_index)
        return callback(past=past, **others)  # type: ignore[misc]  # no group: it has one

    command.callback = with_past
    without_index = "Read everything; neither use nor make the store's index."
    command.params.append(click.Option(["--no-index"], is_flag=True, help=without_index))
    return journal_option(command)


@frozen
class Past:
    """What a command is told to read, and how.

    Attributes:
        config_file: The configuration.
        directory: Of the journal that the command was given; None: the configuration names a
            store.
        indexed: Whether to use an index.
    """

    config_file: Path | None
    directory: Path | None
    indexed: bool = False
    _told: set[str] = field(factory=set, init=False, eq=False, repr=False)

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
        if self.directory is None:
            return _asked_table(self.config_file)
        values = {"directory": self.directory.absolute()}
        return OwnTable.of(PluginTable(_JOURNAL, values, Origin("--journal")), Config(), ())


def with_journal(config: Config, directory: Path) -> Config:
    """Have the journal in *directory* be the store, in place of the one that is on."""
    table = config.plugins.get(_JOURNAL, PluginTable(_JOURNAL))
    table = evolve(table, values={**table.values, "directory": directory.absolute()})
    return evolve(config, plugins={**_without(config, STORE).plugins, _JOURNAL: table})


def readers_alone(config: Config) -> Config:
    """Have no store on, and no source: it would have more to tell than what was recorded."""
    return _without(config, STORE, SOURCE)


def _without(config: Config, *kinds: Kind) -> Config:
    stores = {table.name for table in tables_of(config, *kinds)[0]} | {_JOURNAL}
    others = {name: table for name, table in config.plugins.items() if name not in stores}
    return evolve(config, plugins=others)


def nothing_named(*, files: bool = False) -> str:
    """Say that there is no configuration, and what to name; *files*: also a file of events."""
    events = "a file of events, " if files else ""
    return (
        f"there is no {FILE_NAME} in this directory: change to the one that has it, or name"
        f" {events}a journal with --journal, or a configuration with --config"
    )


def _asked_table(config_file: Path | None) -> OwnTable:
    path = find_file(config_file)
    if path is None:
        raise click.UsageError(nothing_named())
    config, problems = read_leniently(path)
    stores, unknown = store_tables(config)
    if len(stores) > 1:
        message = two_stores(table.name for table in stores)
        raise ConfigError(table.problem(message) for table in stores)
    if not stores and (problems or unknown):
        raise ConfigError([*problems, *unknown])  # one of these is why
    if not stores:
        raise click.UsageError(
            f"{path} turns on no store: add a table such as [plugins.{_JOURNAL}],"
            " or name a journal with --journal"
        )
    return OwnTable.of(stores[0], config, problems)


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
