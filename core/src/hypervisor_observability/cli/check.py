"""``hvobs check``: is the configuration right, and does each backend answer?"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import asdict

from .. import output
from ..config import Config, disabled
from ..config.lookup import DISABLED_VARIABLE
from ..errors import ConfigError
from ..host.kinds import SOURCE, kind_of
from ..host.loading import examine_plugins, opening_fault
from ..host.plugin import Plugin
from ..host.sources.framework import Framework
from .answers import Answer
from .config_option import config_option, need_file, read_leniently
from .surroundings import missing_in, pattern_warnings, state_directory_fault
from .trial_start import context_of, try_starts

DEADLINE_SECONDS = 5.0
FAILED = 1


@config_option
@click.command(
    short_help="Check the configuration and ask each backend.",
    epilog=output.examples("hvobs check", "hvobs check --start --config staging.toml"),
)
@click.option("--start", is_flag=True, help="Start each plugin for real, then stop it.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check(
    config_file: Path | None,
    start: bool,  # noqa: FBT001 - click's flag
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Check the configuration, then ask each plugin whether its backend answers.

    All that is wrong in the configuration is reported at once, with exit code 2. A backend that
    does not answer within 5 seconds has failed; exit code 1. So has a directory that no process
    could write, and a key whose extra is not installed. A pattern for events that matches no
    known type is a warning.

    With --start each plugin is also started as in an application, and stopped: ports are taken,
    frameworks imported and instrumented. No event is exported. 30 seconds for all of them.
    """
    path = need_file(config_file)
    config, loaded = load_all(path)
    if disabled():
        output.note(f"{DISABLED_VARIABLE} is true: an application would start no plugin")
    warnings = list(map(str, pattern_warnings(config, path)))
    answers = ask(config, loaded)
    if start:
        answers = _worse(answers, try_starts(config, loaded))
    around = _of_surroundings(config, path)
    if as_json:
        told = {"plugins": list(map(asdict, answers)), "surroundings": list(map(asdict, around))}
        output.tell_json({"config": str(path), **told, "warnings": warnings})
    elif answers or around:
        rows = [(one.name, one.state, one.message) for one in [*answers, *around]]
        output.tell(output.table(rows, colour=output.coloured(), prose=True))
    else:
        output.note(f"{path}: no plugin is on: it has no table [plugins.NAME]")
    for warning in warnings:
        output.note(f"warning: {output.one_line(warning)}")
    failed = any(answer.state == "failed" for answer in [*answers, *around])
    if start:
        _leave_no_thread(FAILED if failed else 0)
    if failed:
        raise click.exceptions.Exit(FAILED)


def _worse(asked: Sequence[Answer], started: Sequence[Answer]) -> list[Answer]:
    """Give of each plugin what it said when it was asked, or what became of its start."""
    said = {answer.name: answer for answer in asked}
    answers = []
    for trial in started:
        one = said.get(trial.name)
        if one is None or one.state == "unchecked" or trial.state == "failed":
            answers.append(trial)
        else:
            answers.append(Answer(one.name, one.state, f"{one.message}; {trial.message}"))
    return answers


def _of_surroundings(config: Config, path: Path) -> list[Answer]:
    """Say of the directories and packages that are no plugin's own to ask for."""
    found = [Answer("[extras]", "failed", str(one)) for one in missing_in(config, path)]
    if config.state.directory is not None:
        fault = state_directory_fault(config)
        state = "ok" if fault is None else "failed"
        found.append(Answer("[state]", state, fault or f"{config.state.directory} can be written"))
    return found


def _leave_no_thread(code: int) -> None:
    """End the process where a plugin has left a thread for which its end would wait for ever."""
    waited_for = [
        one
        for one in threading.enumerate()
        if not one.daemon and one is not threading.main_thread()
    ]
    if waited_for:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or FAILED)


def load_all(path: Path) -> tuple[Config, list[Plugin]]:
    """Read the file at *path* and make the plugins that it names.

    Raises:
        ConfigError: With everything that is wrong in it.
    """
    config, problems = read_leniently(path)
    loaded, found = examine_plugins(config)
    if problems or found:
        raise ConfigError([*problems, *found])
    return config, loaded


def ask(
    config: Config, loaded: Sequence[Plugin], *, deadline_seconds: float = DEADLINE_SECONDS
) -> list[Answer]:
    """Call the hook ``check`` of all plugins, each in a thread of its own.

    A plugin that hangs keeps its thread, which ends with the process.
    """
    answers: dict[str, Answer] = {}

    def keep(plugin: Plugin) -> None:
        answers[plugin.name] = _ask(plugin, config.service)

    threads = [
        threading.Thread(target=keep, args=[plugin], name=f"hvobs-{plugin.name}", daemon=True)
        for plugin in loaded
    ]
    end = time.monotonic() + deadline_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [
        answers.get(plugin.name)
        or Answer(plugin.name, "failed", f"no answer within {deadline_seconds:g} s")
        for plugin in loaded
    ]


def _ask(plugin: Plugin, service: str) -> Answer:
    fault = opening_fault(plugin, service)
    if fault is not None:
        return Answer(plugin.name, "failed", f"it cannot be opened: {output.reason(fault)}")
    if "check" not in plugin.hooks and kind_of(plugin) is SOURCE:
        return _framework_of(plugin)
    if "check" not in plugin.hooks:
        return Answer(plugin.name, "unchecked", "its table is right; it cannot ask its backend")
    try:
        said = plugin.ask("check", context=context_of(plugin, service))
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit too
        return Answer(plugin.name, "failed", output.reason(error))
    return Answer(plugin.name, "ok", "it answers" if said is None else str(said))


def _framework_of(source: Plugin) -> Answer:
    """Say whether the framework of a source fits, as its metadata tell; it is not imported."""
    framework = Framework.of(source.instance)
    found = [(one, framework.version(one)) for one in framework.targets]
    there = [(target, version) for target, version in found if version is not None]
    if not there:
        waits = " or ".join(framework.targets) or "nothing"
        return Answer(source.name, "unchecked", f"its table is right; it waits for {waits}")
    misfits = {target: framework.misfit(target, version) for target, version in there}
    odd = [misfit for misfit in misfits.values() if misfit is not None]
    if odd and not (framework.each and len(odd) < len(there)):
        return Answer(source.name, "failed", odd[0])
    fitting = [
        f"{framework.name_of(target)} {version}"
        for target, version in there
        if misfits[target] is None
    ]
    told = ", ".join(dict.fromkeys(fitting))  # several targets may come from one distribution
    return Answer(source.name, "ok", "; ".join([f"{told} is installed", *odd]))
