"""``hvobs check``: is the configuration right, and does each backend answer?"""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import asdict, define, frozen

from .. import output
from ..config import Config, disabled
from ..config.lookup import DISABLED_VARIABLE
from ..errors import ConfigError
from ..events import clock
from ..hookspecs import PluginContext
from ..host.kinds import SOURCE, kind_of
from ..host.loading import examine_plugins, opening_fault
from ..host.plugin import Plugin
from ..host.sources.framework import Framework
from ..metrics.families import MetricFamily
from .config_option import config_option, need_file, read_leniently

DEADLINE_SECONDS = 5.0


@config_option
@click.command(short_help="Check the configuration and ask each backend.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check(config_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Check the configuration, then ask each plugin whether its backend answers.

    All that is wrong in the configuration is told at once, with exit code 2. A backend that
    does not answer within 5 seconds has failed; exit code 1.
    """
    path = need_file(config_file)
    config, loaded = load_all(path)
    if disabled():
        output.note(f"{DISABLED_VARIABLE} is true: an application would start no plugin")
    answers = ask(config, loaded)
    if as_json:
        output.tell_json({"config": str(path), "plugins": list(map(asdict, answers))})
    elif answers:
        rows = [(answer.name, answer.state, answer.message) for answer in answers]
        output.tell(output.table(rows, colour=output.coloured()))
    else:
        output.note(f"{path}: no plugin is on: it has no table [plugins.NAME]")
    if any(answer.state == "failed" for answer in answers):
        raise click.exceptions.Exit(1)


def load_all(path: Path) -> tuple[Config, list[Plugin]]:
    """Read the file at *path* and make the plugins that it names.

    Raises:
        ConfigError: With everything that is wrong in it.
    """
    config, problems = read_leniently(path)
    loaded, found = examine_plugins(config)
    if problems or found:
        raise ConfigError(sorted([*problems, *found], key=lambda problem: problem.line or 0))
    return config, loaded


@define(eq=False)
class Answer:
    """What became of a plugin's check.

    Attributes:
        name: The plugin's.
        state: ``ok``, ``failed``, or ``unchecked`` where the plugin has no such hook.
        message: What it said.
    """

    name: str
    state: str = "failed"
    message: str = f"no answer within {DEADLINE_SECONDS:g} s"


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
        or Answer(plugin.name, message=f"no answer within {deadline_seconds:g} s")
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
    context = PluginContext(
        name=plugin.name,
        service=service,
        logger=logging.getLogger(f"hypervisor_observability.plugin.{plugin.name}"),
        metrics=_NoMetrics(),
        clock=clock.now_ns,
    )
    try:
        said = plugin.ask("check", context=context)
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


@frozen
class _NoMetrics:
    """The metrics of a process in which nothing happened."""

    def collect(self) -> Sequence[MetricFamily]:
        return ()
