"""The option by which commands estimate costs, where the configuration does not ask for it."""

from pathlib import Path

import click

from .. import output
from ..config import UsageConfig
from ..facts.prices import Prices
from .config_option import find_file, read_leniently

_KEY = "usage.estimate_cost"

prices_option = click.option(
    "--estimate-cost",
    "estimates",
    is_flag=True,
    help="Estimate the cost of tokens where none was recorded; else the configuration decides.",
)
"""Becomes the argument ``estimates`` of a command."""


def prices_of(config_file: Path | None, *, estimates: bool) -> Prices | None:
    """Give the prices by which a command estimates costs; None: it does not.

    Raises:
        UsageError: Its user asks for it, and the package is not there.
    """
    if estimates:
        try:
            UsageConfig(estimate_cost=True)
        except ValueError as error:
            raise click.UsageError(f"--estimate-cost {error}") from error
        return Prices()
    path = find_file(config_file)
    if path is None:
        return None
    config, problems = read_leniently(path)
    for problem in problems:
        if problem.key == _KEY:
            output.note(str(problem))
    return Prices() if config.usage.estimate_cost else None
