"""``hvobs doctor``: what is installed, whether it fits, and what an application would find."""

import difflib
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from attrs import asdict, define, field

from .. import __version__, output
from ..config import Config, disabled
from ..config.lookup import DISABLED_VARIABLE, VARIABLES
from ..errors import ConfigError
from ..host.kinds import STORE, kind_of
from .alias_owner import ALIAS, OURS, find_alias_owner
from .check import ask, load_all
from .config_option import config_option, find_file, read_leniently
from .plugins import list_plugins
from .requirements import misfits, version_of
from .status import described, examine_state
from .surroundings import missing_in, pattern_warnings, state_directory_fault

_PREFIX = "HYPERVISOR_OBSERVABILITY_"
_NEEDED = ("attrs", "cattrs", "pluggy", "click")
_OPTIONAL = ("msgspec", "genai-prices")
_MOST_PROCESSES = 8


@define(eq=False)
class Examination:
    """What was found.

    Attributes:
        facts: Plain values by section, as ``--json`` gives them.
        problems: What is wrong, a line each.
        notes: What is worth knowing and not wrong.
    """

    facts: dict[str, Any] = field(factory=dict)
    problems: list[str] = field(factory=list)
    notes: list[str] = field(factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        verdict = {"healthy": not self.problems, "problems": self.problems, "notes": self.notes}
        return self.facts | verdict


@config_option
@click.command(
    short_help="Say what is installed and whether it fits.",
    epilog=output.examples("hvobs doctor", "hvobs doctor --json"),
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def doctor(config_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Say what is installed, whether it fits together, and what an application would find.

    Only plugins that the configuration turns on are imported. Exit code 1 if something is
    wrong.
    """
    examination = examine(config_file, os.environ)
    if as_json:
        output.tell_json(examination.to_dict())
    else:
        output.tell(output.table(_rows(examination.facts), prose=True))
        for text in examination.notes:
            output.tell(f"note: {output.one_line(text)}")
        for text in examination.problems:
            output.tell(f"problem: {output.one_line(text)}")
        if not examination.problems:
            output.tell("no problems found")
    if examination.problems:
        raise click.exceptions.Exit(1)


def examine(config_file: Path | None, environ: Mapping[str, str]) -> Examination:
    """Look at everything."""
    found = Examination()
    _examine_packages(found)
    _examine_alias(found)
    _examine_environment(found, environ)
    _examine_config(found, config_file)
    _examine_plugins(found)
    _examine_state(found, config_file)
    return found


def _examine_packages(found: Examination) -> None:
    found.facts["python"] = {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "executable": sys.executable,
    }
    recorded = version_of(OURS)
    if recorded is None:
        found.notes.append(f"{OURS} is on the path, but not installed: its metadata are missing")
    elif recorded != __version__:
        found.problems.append(
            f"the metadata of {OURS} say {recorded}, its code is {__version__}: install it again"
        )
    versions = {name: version_of(name) for name in _NEEDED}
    found.facts["packages"] = {OURS: __version__, **versions}
    found.facts["optional"] = {name: version_of(name) for name in _OPTIONAL}


def _examine_alias(found: Examination) -> None:
    alias = find_alias_owner()
    found.facts["alias"] = alias.to_dict()
    if alias.file is None:
        found.problems.append(f"{ALIAS} cannot be imported: no file on the path has it")
    elif alias.owner != OURS:
        owner = alias.owner or "an unknown distribution"
        found.notes.append(
            f"{ALIAS} gives the code of {owner}: import hypervisor_observability instead"
        )


def _examine_environment(found: Examination, environ: Mapping[str, str]) -> None:
    ours = sorted(name for name in environ if name.startswith(_PREFIX))
    # What is not known may be a secret of the user's own.
    found.facts["environment"] = {
        name: environ[name] if name in VARIABLES else "(set)" for name in ours
    }
    for name in ours:
        if name not in VARIABLES:
            close = difflib.get_close_matches(name, VARIABLES, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            found.notes.append(f"{name} is set, which is no variable of the library{hint}")
    if disabled(environ):
        found.notes.append(f"{DISABLED_VARIABLE} is true: an application starts no plugin")


def _examine_config(found: Examination, config_file: Path | None) -> None:
    file: Path | None = None
    config: Config | None = None
    problems: list[str] = []
    try:
        file = find_file(config_file)
        config = Config() if file is None else read_leniently(file)[0]
        if file is not None:
            _examine_surroundings(found, file)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    found.facts["config"] = {"file": None if file is None else str(file), "problems": problems}
    found.facts["plugins"] = [asdict(one) for one in list_plugins(config)]
    found.problems += problems


def _examine_surroundings(found: Examination, file: Path) -> None:
    """Look at what the processes of a configuration need, other than their backends.

    Raises:
        ConfigError: Something is wrong in it.
    """
    config, loaded = load_all(file)
    found.problems += map(str, missing_in(config, file))
    found.notes += map(str, pattern_warnings(config, file))
    fault = state_directory_fault(config)
    if fault is not None:
        found.problems.append(f"state directory: {fault}")
    stores = [plugin for plugin in loaded if kind_of(plugin) is STORE]
    found.problems += [
        f"{answer.name}: {answer.message}"
        for answer in ask(config, stores)
        if answer.state == "failed"
    ]


def _examine_plugins(found: Examination) -> None:
    listed = found.facts["plugins"]
    installed = [one for one in listed if one["distribution"] is not None]
    for name in dict.fromkeys(one["name"] for one in installed if one["conflict"]):
        owners = " and ".join(one["distribution"] for one in installed if one["name"] == name)
        found.problems.append(f"the plugin name {name} is claimed by {owners}: keep one of them")
    distributions = dict.fromkeys([OURS, *(one["distribution"] for one in installed)])
    found.problems += [str(misfit) for misfit in misfits(distributions)]


def _examine_state(found: Examination, config_file: Path | None) -> None:
    statuses, worries = examine_state(config_file, time.time())
    found.facts["status"] = None if statuses is None else statuses.found[0]
    found.facts["processes"] = [] if statuses is None else statuses.found
    found.problems += [f"running process: {worry}" for worry in worries]


def _rows(facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    python, alias, config = facts["python"], facts["alias"], facts["config"]
    yield "Python", f"{python['implementation']} {python['version']}, {python['executable']}"
    yield "Platform", python["platform"]
    yield "Packages", _versions(facts["packages"])
    yield "Optional", _versions(facts["optional"])
    yield "Alias", f"{ALIAS} belongs to {alias['owner'] or 'nobody known'}: {alias['file'] or '-'}"
    for name, value in facts["environment"].items():
        yield "Variable", f"{name}={value}"
    if config["file"] is None and not config["problems"]:
        yield "Config", "none"
    else:
        count = len(config["problems"])
        yield "Config", f"{config['file'] or 'unusable'}, problems: {count}"
    for one in facts["plugins"]:
        if one["distribution"] is not None:
            state = {True: "on", False: "off", None: "on or off is not known"}[one["on"]]
            yield "Plugin", f"{one['name']}: {one['distribution']} {one['version']}, {state}"
    for status in facts["processes"][:_MOST_PROCESSES]:
        yield "Process", described(status).removeprefix("process ")


def _versions(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())
