"""Wheels of all distributions, and clean environments to install them into.

A clean environment is a virtual environment without pip that finds the third-party dependencies
in folders beside it: pip of the running environment installs our wheels into it. It is ready in
a fraction of a second, needs no network, and sees nothing of the editable installation.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
from attrs import define, frozen
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]

# What subprocesses inherit: nothing that measures, redirects or configures them.
CLEAN_VARIABLES = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("COVERAGE_", "COV_CORE_", "HYPERVISOR_", "OTEL_", "PYTHON"))
}


def pip(*arguments: str | Path) -> None:
    """Run the pip of this environment; a failure shows what it said."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    environment = {**CLEAN_VARIABLES, "SOURCE_DATE_EPOCH": "1735689600"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def build_wheels() -> Callable[[Iterable[Path], Path], dict[str, Path]]:
    """Build a wheel of each project into a folder; gives the wheels by distribution."""

    def build(projects: Iterable[Path], into: Path) -> dict[str, Path]:
        options = ["--no-deps", "--no-index", "--no-build-isolation"]
        pip("wheel", *options, "--wheel-dir", into, *projects)
        return {_distribution_name(wheel): wheel for wheel in into.glob("*.whl")}

    return build


def dependency_closure(requirements: Iterable[str]) -> set[str]:
    """Name every distribution that *requirements* need here, as far as it is installed."""
    names: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in names or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        waiting += [Requirement(text) for text in metadata.requires(name) or ()]
    return names


@frozen
class Project:
    """One of the distributions, as its folder says.

    Attributes:
        folder: Where its ``pyproject.toml`` lies.
        table: Its ``[project]`` table.
    """

    folder: Path
    table: dict[str, object]

    @property
    def name(self) -> str:
        return str(self.table["name"])

    @property
    def dependencies(self) -> list[str]:
        dependencies = self.table["dependencies"]
        assert isinstance(dependencies, list)
        return dependencies


@define(eq=False)
class CleanEnvironment:
    """A virtual environment with nothing but what a test installs."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def install(self, *wheels: Path) -> None:
        options = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
        pip("--python", self.python, *options, *wheels)

    def uninstall(self, *names: str) -> None:
        pip("--python", self.python, "uninstall", "--quiet", "--yes", *names)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, in an empty folder unless told otherwise."""
        nowhere = self.folder / "nowhere"
        nowhere.mkdir(exist_ok=True)
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            check=False,
            capture_output=True,
            cwd=cwd or nowhere,
            env=CLEAN_VARIABLES,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )

    def evaluate(self, code: str) -> str:
        """Run *code* in the environment's Python and give what it prints."""
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def copy(self, folder: Path) -> "CleanEnvironment":
        shutil.copytree(self.folder, folder, symlinks=True)
        return CleanEnvironment(folder)

    def damaged_files(self, name: str) -> list[str]:
        """Name the files of distribution *name* that are missing or not as installed."""
        (distribution,) = metadata.distributions(name=name, path=[str(self.site_packages)])
        damaged = []
        for file in distribution.files or ():
            path = Path(str(file.locate()))
            if not path.is_file() or (file.hash and _record_hash(path) != file.hash.value):
                damaged.append(str(file))
        return damaged


def _record_hash(path: Path) -> str:
    """Hash as RECORD does: SHA-256, URL-safe base64 without padding."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def projects() -> dict[str, Project]:
    """The five distributions by name."""
    files = [REPOSITORY / "core/pyproject.toml", *REPOSITORY.glob("plugins/*/pyproject.toml")]
    tables = {file.parent: tomllib.loads(file.read_text())["project"] for file in files}
    return {table["name"]: Project(folder, table) for folder, table in tables.items()}


@pytest.fixture(scope="session")
def wheels(
    projects: dict[str, Project],
    build_wheels: Callable[[Iterable[Path], Path], dict[str, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A wheel of each distribution, by its name."""
    folders = [project.folder for project in projects.values()]
    return build_wheels(folders, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def editable_wheels(
    projects: dict[str, Project], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What an editable installation installs, by the distribution's name."""
    folder = tmp_path_factory.mktemp("editable")
    code = (
        "import os, sys\n"
        "from hatchling.build import build_editable\n"
        "for project in sys.argv[2:]:\n"
        "    os.chdir(project)\n"
        "    build_editable(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    command += [str(project.folder) for project in projects.values()]
    subprocess.run(command, check=True, capture_output=True, env=CLEAN_VARIABLES)
    return {_distribution_name(wheel): wheel for wheel in folder.glob("*.whl")}


def _distribution_name(wheel: Path) -> str:
    return canonicalize_name(wheel.name.split("-")[0])


@pytest.fixture(scope="session")
def third_party(
    projects: dict[str, Project], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Copy what the named distributions of ours need of others into a folder, once."""
    made: dict[tuple[str, ...], Path] = {}

    def copy(*names: str) -> Path:
        if names not in made:
            ours = [text for name in names for text in projects[name].dependencies]
            others = [text for text in ours if Requirement(text).name not in projects]
            made[names] = tmp_path_factory.mktemp("third-party")
            for name in dependency_closure(others):
                _copy_distribution(name, made[names])
        return made[names]

    return copy


def _copy_distribution(name: str, folder: Path) -> None:
    for file in metadata.distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target)


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., CleanEnvironment]:
    """Make a clean environment: ``make_environment(folder, *folders_of_dependencies)``."""

    def make(folder: Path, *dependencies: Path) -> CleanEnvironment:
        venv.create(folder, symlinks=True, with_pip=False)
        environment = CleanEnvironment(folder)
        lines = [f"{dependency}\n" for dependency in dependencies]
        (environment.site_packages / "third_party.pth").write_text("".join(lines))
        return environment

    return make
