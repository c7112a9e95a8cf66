"""``--plugins-dir``: plugins that are single files, for every command with a configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor_observability.config.lookup import PLUGINS_DIR_VARIABLE, VARIABLES
from tests.commands import HVOBS, run_hvobs
from tests.configurations import write_config

pytestmark = pytest.mark.usefixtures("elsewhere")

SHOUT = """
import click
from hypervisor_observability import hookimpl

class Shout:
    @classmethod
    @hookimpl
    def commands(cls):
        @click.command()
        def loud():
            click.echo("LOUD")

        return [loud]

    @hookimpl
    def check(self):
        return "it hears"

    @hookimpl
    def export_events(self, events):
        for event in events:
            print("SHOUT", event.event_type.value.upper(), flush=True)
"""
PROGRAM = """
from hypervisor_observability import EventType, Observability

with Observability.from_config("hypervisor.toml") as observability:
    observability.bus.record(EventType.VFS_WRITE)
    observability.flush(30)
"""


@pytest.fixture
def folder(elsewhere: None) -> Path:
    made = Path("mine")
    made.mkdir()
    made.chmod(0o755)
    (made / "shout.py").write_text(SHOUT)
    write_config("[plugins.shout]\n")
    return made


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "--plugins-dir", "mine"], "it hears"),
        (["--plugins-dir", "mine", "check"], "it hears"),
        (["plugins", "--plugins-dir", "mine"], "shout.py"),
        (["--plugins-dir", "mine", "shout", "loud"], "LOUD"),
        (["--plugins-dir", "mine", "--help"], "shout.py"),
    ],
)
def test_each_command_takes_the_directory(arguments: list[str], expected: str) -> None:
    done = run_hvobs(*arguments)

    assert done.exit_code == 0, done.output
    assert expected in done.output
    assert PLUGINS_DIR_VARIABLE not in os.environ


@pytest.mark.usefixtures("folder")
def test_configuration_names_the_directory_for_every_command() -> None:
    write_config('plugins_dir = "mine"\n[plugins.shout]\n')

    assert "it hears" in run_hvobs("check").output
    assert "LOUD" in run_hvobs("shout", "loud").output
    assert "shout.py" in run_hvobs("plugins").output


@pytest.mark.usefixtures("folder")
def test_variable_of_before_is_there_after_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLUGINS_DIR_VARIABLE, "elsewhere")

    assert "it hears" in run_hvobs("check", "--plugins-dir", "mine").output
    assert os.environ[PLUGINS_DIR_VARIABLE] == "elsewhere"


@pytest.mark.usefixtures("folder")
def test_program_under_run_and_its_children_have_the_plugin() -> None:
    Path("app.py").write_text(PROGRAM)
    Path("parent.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, 'app.py'], check=True)\n"
    )

    done = subprocess.run(
        [*HVOBS, "run", "--plugins-dir", "mine", "parent.py"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "SHOUT VFS.WRITE" in done.stdout


def test_wrong_directory_is_a_mistake_in_the_call() -> None:
    write_config("[plugins.shout]\n")

    done = run_hvobs("check", "--plugins-dir", "nowhere")

    assert done.exit_code == 2
    assert "No such file or directory: expected a directory of plugins" in done.output
    assert "shout.py" not in " ".join(sys.modules)


@pytest.mark.parametrize("variable", VARIABLES)
def test_doctor_knows_each_variable_of_the_library(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))

    assert "no variable of the library" not in run_hvobs("doctor").stdout


def test_doctor_takes_the_option_for_no_mistake(tmp_path: Path) -> None:
    done = run_hvobs("doctor", "--plugins-dir", tmp_path)

    assert "no variable of the library" not in done.stdout
    assert "no variable of the library" not in done.stderr
