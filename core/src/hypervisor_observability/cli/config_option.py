"""The option ``--config``, and the configuration that it leads to."""

from pathlib import Path

import click

from ..config import Config, read_config
from ..config.lookup import FILE_NAME, FILE_VARIABLE, find_config
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


def config_option(command: click.Command) -> click.Command:
    """Give *command* the option."""
    command.params.insert(0, config_parameter())
    return command


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
