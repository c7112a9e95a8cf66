"""The options by which commands are told whose history to read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_journal_option = click.option(
    "--journal",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The directory of a journal, in place of the configuration's store.",
)
_store_option = click.option(
    "--store",
    metavar="NAME",
    help="The store of this plugin, such as nats, in place of the configuration's.",
)
_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; else that of the folder.",
)


def history_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the arguments ``directory``, ``store`` and ``config_file``."""
    return _journal_option(_store_option(_config_option(command)))
