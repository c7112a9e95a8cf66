"""Wheels of all distributions, and clean environments to install them into.

A clean environment is a virtual environment without pip that finds the third-party dependencies
in folders beside it: pip of the running environment installs our wheels into it. It is ready in
a fraction of a second, needs no network, and sees nothing of the editable installation.
"""

import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.environments import (
    CLEAN_VARIABLES,
    REPOSITORY,
    CleanEnvironment,
    Project,
    dependency_closure,
    pip,
)


@pytest.fixture(scope="session")
def build_wheels() -> Callable[[Iterable[Path], Path], dict[str, Path]]:
    """Build a wheel of each project into a folder; gives the wheels by distribution."""

    def build(projects: Iterable[Path], into: Path) -> dict[str, Path]:
        options = ["--no-deps", "--no-index", "--no-build-isolation"]
        pip("wheel", *options, "--wheel-dir", into, *projects)
        return {_distribution_name(wheel): wheel for wheel in into.glob("*.whl")}

    return build


@pytest.fixture(scope="session")
def projects() -> dict[str, Project]:
    """The distributions by name."""
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
