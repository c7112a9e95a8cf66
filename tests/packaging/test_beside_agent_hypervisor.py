"""Both distributions that know the name ``hypervisor.observability`` live in one environment."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.environments import CleanEnvironment
from tests.programs import found_or_skip

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
VERSION = "3.7.0"
OURS = "hypervisor-observability"
THEIRS = "agent-hypervisor"

# Which `hypervisor.observability` is imported: theirs is a package of several files.
OWNER = (
    "import hypervisor.observability as it, pathlib;"
    "print('theirs' if pathlib.Path(it.__file__).name == '__init__.py' else 'ours')"
)
USE = "from hypervisor.observability import HypervisorEventBus as Bus; print(Bus().event_count)"


@pytest.fixture(scope="module")
def agent_hypervisor_wheels() -> Path:
    """A folder with the wheels of the published agent-hypervisor and of all that it needs."""
    name = f"agent-hypervisor-{VERSION}-{sys.implementation.cache_tag}"
    folder = REPOSITORY / ".cache" / name

    def find() -> Path | None:
        if not folder.is_dir():
            unfinished = folder.with_name(f"{name}.{os.getpid()}")
            # It imports jsonschema and does not declare it.
            wanted = [f"agent-hypervisor=={VERSION}", "jsonschema>=4,<5"]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1"]
            command += ["--only-binary", ":all:", "--dest", str(unfinished), *wanted]
            if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
                shutil.rmtree(unfinished, ignore_errors=True)
                return None
            unfinished.rename(folder)
        return folder

    return found_or_skip(
        f"agent-hypervisor {VERSION}", find, "The test fetches it: connect to a network."
    )


@pytest.fixture(scope="module")
def agent_hypervisor_wheel(agent_hypervisor_wheels: Path) -> Path:
    """The wheel of the published agent-hypervisor."""
    (wheel,) = agent_hypervisor_wheels.glob("agent_hypervisor-*.whl")
    return wheel


@pytest.fixture(scope="module")
def agent_hypervisor_dependencies(
    agent_hypervisor_wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with what the published agent-hypervisor needs, unpacked."""
    folder = tmp_path_factory.mktemp("agent-hypervisor-dependencies")
    for wheel in agent_hypervisor_wheels.glob("*.whl"):
        if not wheel.name.startswith("agent_hypervisor-"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
    return folder


@pytest.fixture(
    scope="module",
    params=["ours first", "ours first, editable", "theirs first", "theirs first, editable"],
)
def both_installed(
    request: pytest.FixtureRequest,
    wheels: dict[str, Path],
    editable_wheels: dict[str, Path],
    agent_hypervisor_wheel: Path,
    agent_hypervisor_dependencies: Path,
    third_party: Callable[..., Path],
    make_environment: Callable[..., CleanEnvironment],
    tmp_path_factory: pytest.TempPathFactory,
) -> CleanEnvironment:
    """An environment with both, installed in the order that the parameter says."""
    order: str = request.param
    environment = make_environment(
        tmp_path_factory.mktemp("both"), third_party(*wheels), agent_hypervisor_dependencies
    )
    steps = [
        (editable_wheels if "editable" in order else wheels).values(),
        [agent_hypervisor_wheel],
    ]
    for step in steps if order.startswith("ours") else reversed(steps):
        environment.install(*step)
    return environment


def test_no_file_belongs_to_both(wheels: dict[str, Path], agent_hypervisor_wheel: Path) -> None:
    with zipfile.ZipFile(wheels[OURS]) as ours, zipfile.ZipFile(agent_hypervisor_wheel) as theirs:
        assert not set(ours.namelist()) & set(theirs.namelist())


def test_both_names_can_be_imported(both_installed: CleanEnvironment) -> None:
    assert both_installed.evaluate(OWNER) == "theirs"
    assert both_installed.evaluate(USE) == "0"
    assert both_installed.evaluate(USE.replace(".", "_", 1)) == "0"


def test_doctor_says_that_the_alias_is_theirs(both_installed: CleanEnvironment) -> None:
    assert alias_owner(both_installed) == THEIRS


def test_demo_runs_beside_agent_hypervisor(both_installed: CleanEnvironment) -> None:
    done = both_installed.run("hvobs", "demo")

    assert done.returncode == 0, done.stdout + done.stderr


def test_removing_theirs_leaves_ours_whole(
    both_installed: CleanEnvironment, tmp_path: Path
) -> None:
    environment = both_installed.copy(tmp_path / "environment")

    environment.uninstall(THEIRS)

    assert environment.damaged_files(OURS) == []
    assert environment.evaluate(OWNER) == "ours"
    assert environment.evaluate(USE) == "0"
    assert alias_owner(environment) == OURS


def test_removing_ours_leaves_theirs_whole(
    both_installed: CleanEnvironment, wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = both_installed.copy(tmp_path / "environment")

    environment.uninstall(*wheels)

    assert environment.damaged_files(THEIRS) == []
    assert environment.evaluate(OWNER) == "theirs"
    assert environment.evaluate(USE) == "0"


def alias_owner(environment: CleanEnvironment) -> str:
    """Ask the command line which distribution owns ``hypervisor.observability``."""
    doctor = "from hypervisor_observability.cli.main import main; main()"
    # Not through the script: its first line names the environment that it was installed into.
    done = environment.run("python", "-c", doctor, "doctor", "--json")
    assert done.stdout, done.stderr
    alias: dict[str, str] = json.loads(done.stdout)["alias"]
    assert alias["name"] == "hypervisor.observability"
    return alias["owner"]
