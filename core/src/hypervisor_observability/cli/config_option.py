"""The options ``--config`` and ``--plugins-dir``, and the configuration that they lead to."""

import os
from pathlib import Path

import click

from ..config import Config, read_config
from ..config.lookup import FILE_NAME, FILE_VARIABLE, PLUGINS_DIR_VARIABLE, find_config
from ..errors import ConfigError, ConfigProblem


def config_parameter() -> click.Option:
    """Make the option ``--config FILE``, which becomes the argument ``config_file``."""
    return click.Option(
        ["--config", "config_file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        # A group lists its commands for --help: what stands before that must be known.
        is_eager=True,
        help=f"The configuration; else {FILE_VARIABLE} names it, else it is ./{FILE_NAME}.",
    )


def plugins_dir_parameter() -> click.Option:
    """Make the option ``--plugins-dir DIR``. It sets the variable while the command runs, which is
    how the processes that ``hvobs run`` and the program start know of the directory too.
    """
    return click.Option(
        ["--plugins-dir"],
        type=click.Path(path_type=Path),
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_set_plugins_dir,
        help=(
            f"Plugins without a package: a file NAME.py for each. Else {PLUGINS_DIR_VARIABLE}"
            " names it, else the configuration's plugins_dir."
        ),
    )


def _set_plugins_dir(ctx: click.Context, _: click.Parameter, directory: Path | None) -> None:
    if directory is None:
        return
    before = os.environ.get(PLUGINS_DIR_VARIABLE)

    def restore() -> None:
        if before is None:
            os.environ.pop(PLUGINS_DIR_VARIABLE, None)
        else:
            os.environ[PLUGINS_DIR_VARIABLE] = before

    os.environ[PLUGINS_DIR_VARIABLE] = str(directory.absolute())
    ctx.call_on_close(restore)


def config_option(command: click.Command) -> click.Command:
    """Give *command* both options."""
    command.params[:0] = [config_parameter(), plugins_dir_parameter()]
    return command


def configured_plugins_dir(config_file: Path | None = None) -> Path | None:
    """Give ``plugins_dir`` of the configuration, if there is one that can be read."""
    try:
        path = find_file(config_file)
        return None if path is None else read_leniently(path)[0].plugins_dir
    except ConfigError:
        return None


def find_file(config_file: Path | None) -> Path | None:
    """Find the configuration for a command that can do without.

    Raises:
        ConfigError: There is a file, and it cannot be used.
    """
    return find_config(config_file, working_directory=Path())


def need_file(config_file: Path | None) -> Path:
    """Find the configuration for a command that cannot do without.

    Raises:
        ConfigError: There is a file, and it cannot be used.
        UsageError: There is none.
    """
    path = find_file(config_file)
    if path is None:
        raise click.UsageError(
            f"no configuration: name a file with --config or {FILE_VARIABLE}, "
            f"or have {FILE_NAME} in the working directory"
        )
    return path


def read_leniently(path: Path) -> tuple[Config, list[ConfigProblem]]:
    """Read a configuration, and what is wrong in it.

    Raises:
        ConfigError: It cannot be read as TOML.
    """
    config, problems = read_config(path)
    if config is None:
        raise ConfigError(problems)
    return config, problems
