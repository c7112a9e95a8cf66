"""Projects, and clean environments that wheels are installed into."""

import hashlib
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

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
