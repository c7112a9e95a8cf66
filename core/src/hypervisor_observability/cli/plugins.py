"""``hvobs plugins``: what is installed, by metadata alone."""

from pathlib import Path
from typing import Any

import click
from attrs import asdict, frozen

from .. import output
from ..config import Config
from ..errors import ConfigError
from ..host.discovery import found_plugins
from ..host.plugins import SHIPPED
from .config_option import config_option, find_file, read_leniently

_ON = {True: "on", False: "off", None: "?"}


@frozen(kw_only=True)
class Listed:
    """A plugin as the list shows it.

    Attributes:
        name: What its table is called.
        distribution: Which one provides it; None if none that is installed does.
        version: Of the distribution.
        module: What would be imported.
        on: Whether the configuration has its table; None if that is not known.
        conflict: What makes it impossible to turn on, if anything.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    on: bool | None = None
    conflict: str | None = None


@config_option
@click.command(short_help="List the installed plugins.", epilog=output.examples("hvobs plugins"))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def plugins(config_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List the plugins that can be turned on: installed ones, and files of the plugins directory.

    The list shows conflicts, and whether the configuration turns a plugin on. It imports none.
    """
    path, config, error = None, None, None
    try:
        path = find_file(config_file)
        config = Config() if path is None else read_leniently(path)[0]
    except ConfigError as unusable:
        error = unusable
    listed = list_plugins(config)
    if as_json:
        output.tell_json(
            {
                "config": None if path is None else str(path),
                "plugins": [asdict(one) for one in listed],
            }
        )
    elif listed:
        output.tell(output.table(_rows(listed), colour=output.coloured()))
    else:
        output.note("no plugin is installed")
    if error is not None:
        raise error


def list_plugins(config: Config | None) -> list[Listed]:
    """List what is installed, and what *config* names beyond that.

    Args:
        config: None if it is not known.
    """
    installed = found_plugins(None if config is None else config.plugins_dir)
    listed = []
    for name, found in installed.items():
        for one in found:
            others = [other.distribution or other.origin for other in found if other is not one]
            listed.append(
                Listed(
                    name=name,
                    distribution=one.distribution,
                    version=one.version,
                    module=one.module,
                    on=None if config is None else name in config.plugins,
                    conflict=f"also claimed by {' and '.join(others)}" if others else None,
                )
            )
    for name in () if config is None else config.plugins:
        if name not in installed:
            hint = f": it comes with {SHIPPED[name]}" if name in SHIPPED else ""
            listed.append(Listed(name=name, on=True, conflict=f"not installed{hint}"))
    return listed


def _rows(listed: list[Listed]) -> list[tuple[Any, ...]]:
    return [
        ("NAME", "STATE", "DISTRIBUTION", "VERSION", "MODULE", "CONFLICT"),
        *(
            (
                one.name,
                _ON[one.on],
                one.distribution or "-",
                one.version or "-",
                one.module or "-",
                one.conflict or "",
            )
            for one in listed
        ),
    ]
