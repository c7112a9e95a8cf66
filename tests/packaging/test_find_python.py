"""The set-up chooses a Python that works, and says what is missing where there is none."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/find-python.sh"

Find = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Run the script where only the programs of *tmp_path* are on PATH."""

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(SCRIPT)],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": str(tmp_path), **variables},
        )

    return run


def put(folder: Path, name: str, script: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_newest_python_that_runs_is_taken(find: Find, tmp_path: Path) -> None:
    working = f'exec {sys.executable} "$@"'
    put(tmp_path, "python3.14", "echo no such version >&2; exit 127")
    newest = put(tmp_path, "python3.12", working)
    put(tmp_path, "python3.11", working)

    assert find().stdout == f"{newest}\n"


def test_python_without_a_version_in_its_name_is_taken_last(find: Find, tmp_path: Path) -> None:
    only = put(tmp_path, "python3", f'exec {sys.executable} "$@"')

    assert find().stdout == f"{only}\n"


def test_python_that_is_named_is_taken(find: Find, tmp_path: Path) -> None:
    put(tmp_path, "python3.13", f'exec {sys.executable} "$@"')

    assert find(PYTHON=sys.executable).stdout == f"{sys.executable}\n"


def test_python_that_is_named_and_does_not_run_is_not_replaced(find: Find, tmp_path: Path) -> None:
    put(tmp_path, "python3.13", f'exec {sys.executable} "$@"')

    done = find(PYTHON="python2")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "PYTHON=python2 is not a CPython 3.11 or later" in done.stderr


def test_machine_without_a_usable_python_is_told_what_is_missing(
    find: Find, tmp_path: Path
) -> None:
    put(tmp_path, "python3", "exit 1")

    done = find()

    assert done.returncode == 1
    assert "No CPython 3.11 or later with the modules venv and ensurepip" in done.stderr
    assert "make test PYTHON=" in done.stderr
