"""What ``hvobs check`` and ``hvobs doctor`` say beyond backends, and ``hvobs check --start``."""

import json
import os
import socket
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from hypervisor_observability.cli.check import load_all
from hypervisor_observability.cli.trial_start import try_starts
from hypervisor_observability.config import needs
from hypervisor_observability.config.extras import missing_extras
from tests.commands import run_hvobs
from tests.configurations import write_config
from tests.distributions import plugins_of, write_distribution
from tests.ports import free_port
from tests.programs import run as run_command

Run = Callable[..., Result]

SOURCE = """
import dataclasses
import socket
import threading

from attrs import define, field, frozen

from hypervisor_observability import RetryLater, hookimpl
from hypervisor_observability.config import needs

calls = []


@frozen
class Config:
    kind: str = field(
        default="plain", metadata=needs("json", "acme.wire", extra="acme[wire]", when="wire")
    )
    raises: str = ""
    port: int = 0
    hangs: bool = False
    leaves: bool = False


@define(eq=False)
class Plugin:
    config: Config
    Config = Config
    socket: object = None

    @hookimpl
    def start(self, context):
        calls.append("start")
        if self.config.hangs:
            threading.Event().wait(20)
        if self.config.leaves:
            threading.Thread(target=threading.Event().wait, args=[60], name="acme-poll").start()
        if self.config.raises:
            raise eval(self.config.raises)
        if self.config.port:
            self.socket = socket.create_server(("127.0.0.1", self.config.port))

    @hookimpl
    def export_events(self, events):
        calls.append("export")

    @hookimpl
    def stop(self):
        calls.append("stop")
        if self.socket is not None:
            self.socket.close()


@define(eq=False)
class Source:
    config: Config
    Config = Config
    targets = ("acme_framework",)

    @hookimpl
    def instrument(self, context):
        calls.append("instrument")
        if self.config.raises:
            raise eval(self.config.raises)

    @hookimpl
    def uninstrument(self):
        calls.append("uninstrument")
"""


@pytest.fixture
def run(elsewhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command beside a ``hypervisor.toml`` that names the plugins of this test."""
    site = tmp_path / "site"
    plugins = plugins_of(acme="acme_starts:Plugin", two="acme_starts:Plugin")
    write_distribution(site, "acme", plugins + plugins_of(frame="acme_starts:Source"))
    (site / "acme_starts.py").write_text(SOURCE)
    (site / "acme_framework.py").touch()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def run(text: str, *arguments: str) -> Result:
        write_config(textwrap.dedent(text), tmp_path / "hypervisor.toml")
        return run_hvobs(*arguments)

    yield run
    for module in ("acme_starts", "acme_framework"):
        sys.modules.pop(module, None)


def calls() -> list[str]:
    made: list[str] = sys.modules["acme_starts"].calls
    return made


def test_started_plugin_is_stopped_and_leaves_nothing_behind(run: Run) -> None:
    port, before = free_port(), set(threading.enumerate())
    done = run(f"[plugins.acme]\nport = {port}\n[plugins.frame]\n", "check", "--start")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "acme   ok  started and stopped",
        "frame  ok  running, then stopped",
    ]
    assert calls() == ["start", "instrument", "uninstrument", "stop"]
    assert set(threading.enumerate()) <= before
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ("KeyError('x')", "start raised: KeyError: 'x'"),
        ("AttributeError('no log')", "start raised: AttributeError: no log"),
        ("RetryLater('not yet')", "asks to be started later: RetryLater: not yet"),
        ("SystemExit(0)", "start raised: SystemExit: 0"),
    ],
)
def test_what_start_raised_is_told_with_its_type_and_place(
    run: Run, raises: str, told: str
) -> None:
    done = run(f'[plugins.acme]\nraises = "{raises}"\n[plugins.two]\n', "check", "--start")
    line = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if "raise eval" in text)

    assert done.exit_code == 1
    assert f"acme  failed  {told}" in done.stdout
    assert f"acme_starts.py:{line})" in done.stdout
    assert "two   ok" in done.stdout
    assert calls() == ["start", "start", "stop", "stop"]


def test_two_plugins_with_one_port_fail_as_in_an_application(run: Run) -> None:
    text = f"[plugins.acme]\nport = {(port := free_port())}\n[plugins.two]\nport = {port}\n"
    done = run(text, "check", "--start")

    assert "acme  ok" in done.stdout
    assert "two   failed  start raised: OSError" in done.stdout


def test_source_that_cannot_instrument_is_told_with_its_place(run: Run) -> None:
    done = run("[plugins.frame]\nraises = \"KeyError('x')\"\n", "check", "--start")

    assert done.exit_code == 1
    assert "frame  failed  start raised:" in done.stdout
    assert "KeyError: 'x'" in done.stdout
    assert "acme_starts.py:" in done.stdout


def test_source_whose_framework_is_missing_waits(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site" / "acme_framework.py").unlink()
    done = run("[plugins.frame]\n", "check", "--start")

    assert done.exit_code == 0
    assert "waiting for acme_framework, then stopped" in done.stdout


def test_start_that_hangs_is_given_up_and_holds_nobody_up(run: Run, tmp_path: Path) -> None:
    run("[plugins.acme]\nhangs = true\n[plugins.two]\n", "check")
    config, loaded = load_all(tmp_path / "hypervisor.toml")
    hung, two, *_ = try_starts(config, loaded, seconds=0.3)

    assert (hung.state, hung.message) == ("failed", "start has not returned after 0.3 s")
    assert two.state in {"ok", "failed"}  # its time may be over, too
    assert calls()[0] == "start"


def test_thread_that_a_plugin_leaves_running_is_told_and_does_not_hold_the_command_up(
    run: Run, tmp_path: Path
) -> None:
    run("[plugins.acme]\nleaves = true\n", "plugins")
    path = f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    program = "from hypervisor_observability.cli.main import main; main(['check', '--start'])"
    done = run_command(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )

    assert done.returncode == 1
    assert "[threads]  failed  left running by a plugin: acme-poll" in done.stdout


def test_journal_starts_and_stops_and_records_nothing(run: Run, tmp_path: Path) -> None:
    done = run('[plugins.journal]\ndirectory = "journal"\n', "check", "--start")

    assert (done.exit_code, "journal  ok" in done.stdout) == (0, True)
    assert [one for one in (tmp_path / "journal").rglob("*") if one.is_file()] == []


def test_pattern_that_matches_no_known_type_is_a_warning(run: Run) -> None:
    text = (
        '[delivery]\nevents = ["!vfs.*"]\n[plugins.acme]\nevents = ["rings.*", "shop.sold", "*"]\n'
    )
    checked, doctor = run(text, "check"), run(text, "doctor")
    told = json.loads(run(text, "check", "--json").stdout)

    warning = (
        "hypervisor.toml:4: plugins.acme.events: 'rings.*' matches no known event type"
        " (did you mean 'ring.*'?); one of your own may match"
    )
    assert checked.exit_code == 0
    assert f"warning: {warning}" in checked.stderr
    assert "'shop.sold' matches no known event type" in checked.stderr
    assert checked.stderr.count("warning:") == 2
    assert f"note: {warning}" in doctor.stdout
    assert warning in told["warnings"]


def test_key_whose_extra_is_missing_has_failed(run: Run) -> None:
    text = '[plugins.acme]\nkind = "wire"\n'
    checked, doctor = run(text, "check"), run(text, "doctor")
    told = (
        "hypervisor.toml:2: plugins.acme.kind: needs acme[wire], which is not installed:"
        " acme.wire is missing"
    )

    assert (checked.exit_code, doctor.exit_code) == (1, 1)
    assert f"[extras]  failed     {told}" in checked.stdout
    assert f"problem: {told}" in doctor.stdout
    assert run('[plugins.acme]\nkind = "plain"\n', "check").exit_code == 0


def test_extra_that_is_there_is_not_missed() -> None:
    from dataclasses import dataclass, field

    @dataclass
    class Settings:
        fast: bool = field(default=True, metadata=needs("json", extra="x"))
        odd: bool = field(default=True, metadata=needs("no_such_thing.at.all", extra="y"))

    assert list(missing_extras(Settings())) == [
        ("odd", "needs y, which is not installed: no_such_thing.at.all is missing")
    ]
    assert list(missing_extras(Settings(odd=False))) == []
    assert list(missing_extras(object())) == []


def test_state_directory_that_cannot_be_written_is_a_problem(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = '[state]\ndirectory = "file/state"\n'
    checked, doctor = run(text, "check"), run(text, "doctor")

    assert (checked.exit_code, doctor.exit_code) == (1, 1)
    for told in (checked.stdout, doctor.stdout):
        assert "cannot be made in" in told
        assert "set state.directory" in told


def test_state_directory_that_everybody_may_write_is_a_problem(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "state"
    text = f'[state]\ndirectory = "{state}"\n'
    before = run(text, "check")
    assert not state.exists()
    state.mkdir()
    usual = run(text, "check")
    state.chmod(0o777)
    after = run(text, "check")

    assert (before.exit_code, usual.exit_code, after.exit_code) == (0, 0, 1)
    assert f"[state]  ok  {state} can be written" in usual.stdout
    assert f"chmod o-w {state}" in after.stdout


def test_doctor_looks_at_the_journals_directory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    doctor = run('[plugins.journal]\ndirectory = "file/journal"\n', "doctor")

    assert doctor.exit_code == 1
    assert "problem: journal: " in doctor.stdout
    assert "cannot be made in" in doctor.stdout
