"""``hvobs status``: what a running process tells of its plugins, and of every loss."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from .. import output
from ..delivery.counts import NO_LOSS
from ..errors import ConfigError
from ..host.status import STALE_SECONDS, DamagedStatusError, NoStatusError, read_status
from .config_option import config_option, find_file, read_leniently

_NUMBERS = ("delivered", "rejected", "in_flight", "pending")


@config_option
@click.command(short_help="Say how a running process delivers.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The state directory; else [state] directory of the configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def status(
    config_file: Path | None,
    directory: Path | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Say how a running process delivers to its plugins, and what was lost.

    Reads status.json, which a process writes each second into [state] directory. Exit code 1
    if a plugin is down, events were lost, the process writes no more, or the configuration was
    changed since it started.
    """
    found = read_status(state_directory(config_file, directory))
    worries = list(worries_of(found, time.time()))
    if directory is None:
        worries += _changes_of(find_file(config_file), found)
    if as_json:
        output.tell_json({**found, "problems": worries})
    else:
        output.tell(output.table(_rows(found)))
        for worry in worries:
            output.tell(f"problem: {output.one_line(worry)}")
    if worries:
        raise click.exceptions.Exit(1)


def state_directory(config_file: Path | None, directory: Path | None) -> Path:
    """Find the state directory.

    Raises:
        ConfigError: The configuration cannot be used.
        NoStatusError: Neither the command nor the configuration names one.
    """
    if directory is not None:
        return directory
    path = find_file(config_file)
    named = None if path is None else read_leniently(path)[0].state.directory
    if named is None:
        where = "there is no configuration" if path is None else f"{path} has no [state] directory"
        raise NoStatusError(f"{where}: name the state directory with --directory")
    return named


def worries_of(found: Mapping[str, Any], now: float) -> Iterable[str]:
    """Give what is wrong with a status, a line each.

    Args:
        found: The status.
        now: Seconds since the epoch.
    """
    age = now - found["written_at"]
    if found["state"] == "running" and age > STALE_SECONDS:
        yield f"written {age:.0f} s ago: process {found['pid']} has ended without a stop, or hangs"
    yield from _worries_of_store(found.get("store") or {})
    for name, plugin in found["plugins"].items():
        if plugin["state"].startswith("down"):
            yield f"{name} is {plugin['state']}"
        if plugin["breaker"] not in (None, "closed"):
            yield f"{name}: the backend accepts nothing (breaker {plugin['breaker']})"
        if plugin["rejected"]:
            yield f"{name}: {plugin['rejected']} events were refused (see dead letters)"
        for reason, events in plugin["dropped"].items():
            if events and reason not in NO_LOSS:
                yield f"{name}: {events} events were dropped ({reason})"
    yield from _worries_of_sources(found.get("sources", {}))


def _worries_of_sources(sources: Mapping[str, Any]) -> Iterable[str]:
    for name, source in sources.items():
        if source["state"].startswith("down"):
            yield f"{name} is {source['state']}"
        if source["errors"]:
            yield f"{name}: {source['errors']} of its callbacks raised: see the log"


def _worries_of_store(store: Mapping[str, Any]) -> Iterable[str]:
    name = output.one_line(str(store.get("name", "the store")))
    state = str(store.get("state", ""))
    if state.startswith("down"):
        yield f"{name} is {state}: events are not kept"
    elif store.get("degraded"):
        yield f"{name}: events are not kept at present: see the log"
    if store.get("lost"):
        yield f"{name}: {store['lost']} events are not in it"


def examine_state(
    config_file: Path | None, now: float
) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Give the status of the configuration's state directory and what is wrong with it.

    None where there is no such directory, nothing in it yet, or something else.
    """
    try:
        found = read_status(state_directory(config_file, None))
    except DamagedStatusError as error:
        return None, [str(error)]
    except (NoStatusError, ConfigError):
        return None, []
    return found, [*worries_of(found, now), *_changes_of(find_file(config_file), found)]


def _changes_of(path: Path | None, found: Mapping[str, Any]) -> Iterable[str]:
    """Tell of a configuration that the running process has not read."""
    if path is None or found["state"] != "running":
        return
    try:
        changed_at = path.stat().st_mtime
    except OSError:
        return
    if changed_at > found["started_at"]:
        yield f"{path} was changed after process {found['pid']} started: restart it to apply that"


def _rows(found: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    yield ("READER", "STATE", "BREAKER", *(name.upper() for name in _NUMBERS), "DROPPED")
    readers = {**found["plugins"], "(metrics)": found["metrics"]}
    for name, reader in readers.items():
        dropped = ", ".join(f"{reason} {events}" for reason, events in reader["dropped"].items())
        yield (
            name,
            reader["state"],
            reader["breaker"] or "-",
            *(str(reader[number]) for number in _NUMBERS),
            dropped or "0",
        )
    for name, source in found["sources"].items():
        yield (f"{name} (source)", source["state"], *["-"] * (len(_NUMBERS) + 2))
