"""The journal that a command is about: the one that it is told, or that of the configuration."""

from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.locks import HAS_LOCKS, NO_LOCKS
from hypervisor_journal.runs.directory import require_journal
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.hookspecs import CommandContext

Command = Callable[..., Any]


@frozen
class AskedJournal:
    """What a command was told of the journal that it is about.

    Attributes:
        context: Gives the configuration.
        directory: What stands behind ``--journal``; None: the configuration has it.
        config_file: What stands behind the command's own ``--config``.
    """

    context: CommandContext
    directory: Path | None
    config_file: Path | None

    def place(self, *, may_be_empty: bool = False) -> Path:
        """Give its directory.

        Args:
            may_be_empty: Whether the runs may be gone, or still to come.

        Raises:
            ConfigError: There is a table, and it cannot be used.
            UsageError: No journal is named, or there is none; or this system can have none.
        """
        if not HAS_LOCKS:
            raise click.UsageError(NO_LOCKS)
        directory = self.directory
        if directory is None:
            settings = self._settings()
            if settings is None:
                text = "no journal: name its directory with --journal, or in [plugins.journal]"
                raise click.UsageError(text)
            directory = settings.directory
        try:
            require_journal(directory, may_be_empty=may_be_empty)
        except NoHistoryError as error:
            raise click.UsageError(str(error)) from error
        return directory

    def anchor_file(self) -> Path | None:
        """Give the file of the configuration's journal in which its anchors are; None: in none.

        It says nothing of a journal that was named beside it.
        """
        settings = None if self.directory is not None else self._settings()
        return None if settings is None else settings.anchor_file

    def dead_letters(self) -> Path | None:
        """Give the folder in which the configuration has dead letters kept; None: in none."""
        directory = self.context.state_directory(self.config_file)
        return None if directory is None else directory / "dead"

    def _settings(self) -> JournalConfig | None:
        found: JournalConfig | None = self.context.settings(self.config_file)
        return found


_journal_option = click.option(
    "--journal",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The journal's directory; else directory of [plugins.journal].",
)
_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; else that of 'hvobs journal'.",
)


def about_a_journal(command: Command) -> Command:
    """Give *command* the options ``--journal`` and ``--config``: its first argument."""

    def with_asked(
        context: CommandContext, /, directory: Path | None, config_file: Path | None, **options: Any
    ) -> Any:
        return command(AskedJournal(context, directory, config_file), **options)

    update_wrapper(with_asked, command)
    return _journal_option(_config_option(click.pass_obj(with_asked)))


def runs_called(directory: Path, name: str | None) -> list[Run]:
    """Give the runs of a journal, or the one that is called *name* (a part of it will do).

    Raises:
        UsageError: There is none of this name, or more than one.
    """
    found = [run for run in runs_of(directory) if name is None or name in run.path.name]
    if name is not None and len(found) != 1:
        raise click.UsageError(f"{len(found)} runs are called {name!r} in {directory}")
    return found
