"""The environments of frameworks, and the script that runs the tests of sources in them."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.environments import REPOSITORY
from tests.programs import run

FOLDERS = sorted(file.parent for file in REPOSITORY.glob("tests/sources/*/requirements.txt"))
PINNED = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+( *;.*)?")

# Makes what it is asked for, unless its name has "absent" in it. With --question: is it there?
MAKE = """#!/bin/sh
for target in "$@"; do
    case $target in
        --question) asked=yes ;;
        */.tests)
            [ -z "${asked:-}" ] || { [ -e "$target" ] && exit 0 || exit 1; }
            case $target in *absent*) continue ;; esac
            mkdir -p "${target%/*}/bin"
            cp python "${target%/*}/bin/python"
            touch "$target"
            ;;
    esac
done
"""
# Says what it is to run; the tests in "broken" fail.
PYTHON = """#!/bin/sh
echo "python: $*"
case $* in *broken*) exit 1 ;; esac
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the script, a make and a python that do as they are told."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts/test-sources.sh", tmp_path / "scripts")
    for name, text in (("make", MAKE), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def environment(repository: Path, name: str, *, oldest: bool = False) -> None:
    folder = repository / "tests/sources" / name
    folder.mkdir(parents=True)
    (folder / "requirements.txt").touch()
    if oldest:
        (folder / "requirements-oldest.txt").touch()


def run_script(repository: Path, *arguments: str, ci: bool = False) -> Any:
    environ = {**os.environ, "MAKE": str(repository / "make"), "CI": "true" if ci else ""}
    return run(["sh", "scripts/test-sources.sh", *arguments], cwd=repository, env=environ)


def ran(output: str) -> list[str]:
    """Name the folders of tests that were run."""
    return sorted(re.findall(r"^python: .* tests/sources/(\w+)$", output, re.MULTILINE))


def test_each_folder_is_tested_in_its_environment(repository: Path) -> None:
    environment(repository, "acme", oldest=True)
    environment(repository, "other")
    newest, every = run_script(repository), run_script(repository, "--all")
    named = run_script(repository, "acme-oldest")

    assert (newest.returncode, every.returncode, named.returncode) == (0, 0, 0), every.stderr
    assert ran(newest.stdout) == ["acme", "other"]
    assert ran(every.stdout) == ["acme", "acme", "other"]
    assert ran(named.stdout) == ["acme"]
    assert "Tests in acme-oldest have begun" in named.stdout


def test_tests_that_fail_fail_the_whole_and_the_others_run(repository: Path) -> None:
    for name in ("acme", "broken", "other"):
        environment(repository, name)
    result = run_script(repository)

    assert result.returncode != 0
    assert ran(result.stdout) == ["acme", "broken", "other"]


@pytest.mark.parametrize("ci", [False, True])
def test_environment_that_cannot_be_made_is_told_and_an_error_in_ci(
    repository: Path, ci: bool
) -> None:
    environment(repository, "acme")
    environment(repository, "absent")
    result = run_script(repository, ci=ci)

    assert (result.returncode != 0) is ci
    assert ran(result.stdout) == ["acme"]
    told = "could not be made" if ci else "could not be made here: its tests were NOT run"
    assert f"The environment absent {told}" in result.stderr


def test_lines_are_counted_where_that_is_asked_for(repository: Path) -> None:
    environment(repository, "acme")

    assert "python: -m coverage run -m pytest" in run_script(repository, "--counted").stdout
    assert "python: -m pytest" in run_script(repository).stdout
    assert run_script(repository, "--odd").returncode == 2


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_environment_pins_its_framework(folder: Path) -> None:
    assert folder.name.isidentifier(), "mypy reads it as a package"
    for file in folder.glob("requirements*.txt"):
        lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
        assert [line for line in lines if line and not PINNED.fullmatch(line)] == [], file.name
