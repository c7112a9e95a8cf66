"""``hvobs status``: what processes tell of their plugins, and of every loss."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from .. import output
from ..delivery.counts import NO_LOSS
from ..errors import ConfigError
from ..host.status import (
    DamagedStatusError,
    NoStatusError,
    Statuses,
    is_running,
    read_statuses,
)
from ..host.status_files import STALE_SECONDS
from .config_option import config_option, find_file, read_leniently

_NUMBERS = ("delivered", "rejected", "in_flight", "pending")


@config_option
@click.command(
    short_help="Say how running processes deliver.",
    epilog=output.examples("hvobs status", "hvobs status --json"),
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The state directory; else [state] directory of the configuration.",
)
@click.option("--pid", type=click.IntRange(min=0), help="Only this process, running or ended.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def status(
    config_file: Path | None,
    directory: Path | None,
    pid: int | None,
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Say how each running process delivers to its plugins, and what was lost.

    Reads the files that processes write each second into [state] directory, one each. A process
    that has ended counts for a day, with what it lost. Exit code 1 if a plugin is down, events
    were lost, a process writes no more, or the configuration was changed since it started; also
    if no process has written yet.
    """
    now = time.time()
    statuses = read_statuses(state_directory(config_file, directory))
    if pid is not None:
        statuses = _of_process(statuses, pid)
    path = find_file(config_file) if directory is None else None
    worries = worries_of(statuses, path, now)
    if as_json:
        first, *_ = statuses.found
        output.tell_json({**first, "problems": worries, "processes": statuses.found})
    else:
        _show(statuses, now, everything=pid is not None)
        for worry in worries:
            output.tell(f"problem: {output.one_line(worry)}")
    if worries:
        raise click.exceptions.Exit(1)


def state_directory(config_file: Path | None, directory: Path | None) -> Path:
    """Find the state directory.

    Raises:
        ConfigError: The configuration cannot be used.
        UsageError: Neither the command nor the configuration names one.
    """
    if directory is not None:
        return directory
    named, why = _configured_directory(config_file)
    if named is None:
        raise click.UsageError(f"{why}: name the state directory with --directory")
    return named


def _configured_directory(config_file: Path | None) -> tuple[Path | None, str]:
    """Give the configuration's state directory, or say why there is none.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    path = find_file(config_file)
    if path is None:
        return None, "there is no configuration"
    config, problems = read_leniently(path)
    if config.state.directory is None and problems:
        raise ConfigError(problems)
    return config.state.directory, f"{path} has no [state] directory"


def _of_process(statuses: Statuses, pid: int) -> Statuses:
    found = statuses.of_process(pid)
    if not found:
        known = ", ".join(str(one["pid"]) for one in statuses.found)
        raise click.UsageError(f"--pid: no process {pid} has a status here; there are: {known}")
    return Statuses(found, ())


def _show(statuses: Statuses, now: float, *, everything: bool) -> None:
    """Write a table for each process that runs; of one that has ended, if it is the only one."""
    running = [one for one in statuses.found if is_running(one, now)]
    shown = list(statuses.found) if everything else running or list(statuses.found[:1])
    for place, one in enumerate(shown):
        if len(shown) > 1:
            output.tell(f"{'' if place == 0 else chr(10)}{described(one)}")
        output.tell(output.table(_rows(one)))
    rest = [one for one in statuses.found if one not in shown]
    if rest:
        pids = ", ".join(str(one["pid"]) for one in rest)
        output.note(f"ended within a day: {pids} (--pid shows one)")


def described(status: Mapping[str, Any]) -> str:
    """Name a process in a line."""
    role = output.one_line(str(status.get("role", "application")))
    service = output.one_line(str(status.get("service", "?")))
    told = f"process {status['pid']}, {role} of {service}, {output.one_line(status['state'])}"
    return f"{told}, {status['emitted']} events emitted"


def worries_of(statuses: Statuses, config_file: Path | None, now: float) -> list[str]:
    """Give what is wrong with any process, a line each.

    Args:
        statuses: What they tell.
        config_file: The configuration that they have read; None: it is not known.
        now: Seconds since the epoch.
    """
    worries = list(statuses.damaged)
    for place, one in enumerate(statuses.found):
        found = [*_worries_of_process(one, statuses, now, is_first=place == 0)]
        if config_file is not None:
            found += _changes_of(config_file, one, now)
        prefix = f"process {one['pid']}: " if len(statuses.found) > 1 else ""
        worries += [f"{prefix}{worry}" for worry in found]
    return worries


def _worries_of_process(
    found: Mapping[str, Any], statuses: Statuses, now: float, *, is_first: bool
) -> Iterable[str]:
    """Give what is wrong with a process; of one that others have followed, its losses alone."""
    age = now - found["written_at"]
    stale = found["state"] == "running" and age > STALE_SECONDS
    if stale and not any(map(_follows(found), statuses.found)):
        yield f"written {age:.0f} s ago: process {found['pid']} has ended without a stop, or hangs"
    if stale and found.get("store") is None:
        yield from _worries_of_what_waited(found)
    if is_first or is_running(found, now):
        yield from _worries_of_now(found)
    yield from _losses_of(found)


def _follows(found: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Tell of processes whether they were started in the place of one that is there no more."""

    def follows(other: Mapping[str, Any]) -> bool:
        same = other is not found and all(
            other.get(key) == found.get(key) for key in ("service", "role")
        )
        return same and other["started_at"] > found["written_at"]

    return follows


def _worries_of_what_waited(found: Mapping[str, Any]) -> Iterable[str]:
    for name, plugin in found["plugins"].items():
        waited = plugin["in_flight"] + plugin["pending"]
        if waited:
            yield f"{name}: {waited} events waited when it last wrote, and no store has them"


def _worries_of_now(found: Mapping[str, Any]) -> Iterable[str]:
    store = found.get("store") or {}
    name, state = _store_name(store), str(store.get("state", ""))
    if state.startswith("down"):
        yield f"{name} is {state}: events are not kept"
    elif store.get("degraded"):
        yield f"{name}: events are not kept at present: see the log"
    if store.get("problem"):
        yield f"{name} is behind: {output.one_line(store['problem'])}"
    for name, plugin in found["plugins"].items():
        if plugin["state"].startswith("down"):
            yield f"{name} is {plugin['state']}"
        if plugin["breaker"] not in (None, "closed"):
            yield f"{name}: the backend accepts nothing (breaker {plugin['breaker']})"
    for name, source in found["sources"].items():
        if source["state"].startswith("down"):
            yield f"{name} is {source['state']}"


def _losses_of(found: Mapping[str, Any]) -> Iterable[str]:
    store = found.get("store") or {}
    if store.get("lost"):
        yield f"{_store_name(store)}: {store['lost']} events are not in it"
    for name, plugin in found["plugins"].items():
        if plugin["rejected"]:
            yield f"{name}: {plugin['rejected']} events were refused (see dead letters)"
        for reason, events in plugin["dropped"].items():
            if events and reason not in NO_LOSS:
                yield f"{name}: {events} events were dropped ({reason})"
    for name, source in found["sources"].items():
        if source["errors"]:
            yield f"{name}: {source['errors']} of its callbacks raised: see the log"


def _store_name(store: Mapping[str, Any]) -> str:
    return output.one_line(str(store.get("name", "the store")))


def told_statuses(config_file: Path | None) -> dict[str, Any]:
    """Give what processes tell as ``CommandContext.statuses`` describes it."""
    now = time.time()
    try:
        directory, reason = _configured_directory(config_file)
        statuses = None if directory is None else read_statuses(directory)
    except (NoStatusError, ConfigError) as error:
        statuses, reason = None, str(error)
    if statuses is None:
        return {"processes": [], "problems": [], "reason": reason}
    found = [{**one, "running": is_running(one, now)} for one in statuses.found]
    problems = worries_of(statuses, find_file(config_file), now)
    return {"processes": found, "problems": problems, "reason": None}


def examine_state(config_file: Path | None, now: float) -> tuple[Statuses | None, list[str]]:
    """Give the statuses in the configuration's state directory and what is wrong with them.

    None where there is no such directory, nothing in it yet, or something else.
    """
    try:
        found = read_statuses(state_directory(config_file, None))
    except DamagedStatusError as error:
        return None, [str(error)]
    except (NoStatusError, ConfigError, click.UsageError):
        return None, []
    return found, worries_of(found, find_file(config_file), now)


def _changes_of(path: Path, found: Mapping[str, Any], now: float) -> Iterable[str]:
    """Tell of a configuration that the running process has not read."""
    if not is_running(found, now):
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
