"""``hvobs new-plugin``: what it writes is installed, tested, checked and turned on."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hypervisor_observability import __version__
from hypervisor_observability.cli.new_plugin.package import KINDS
from tests.commands import HVOBS, run_hvobs
from tests.distributions import plugins_of, write_distribution

pytestmark = pytest.mark.usefixtures("elsewhere")


def run_in(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where the package of *folder* is installed, as by an editable installation."""
    if not (folder / "site").exists():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        points = project["entry-points"]["hypervisor.observability"]
        write_distribution(folder / "site", project["name"], plugins_of(**points))
    path = os.pathsep.join(str(folder / name) for name in ("src", "site"))
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_tests_of_a_package_of_each_kind_pass(kind: str) -> None:
    made = run_hvobs("new-plugin", "my-own", "--kind", kind)
    folder = Path("hypervisor-my-own").absolute()
    assert made.exit_code == 0, made.output
    assert f"cd {folder.name}" in made.output

    tested = run_in(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    on = run_in(folder, *HVOBS, "check")
    assert on.returncode == 0, on.stdout + on.stderr
    assert "my-own" in on.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_package_is_said_to_fit_this_core_and_has_every_file(kind: str) -> None:
    run_hvobs("new-plugin", "acme", "--kind", kind, "--output", "deep/down")
    folder = Path("deep/down/hypervisor-acme")

    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]

    assert project["dependencies"] == [f"hypervisor-observability~={__version__}"]
    assert {path.name for path in folder.iterdir()} == {
        ".github", ".gitignore", "LICENSE", "README.md", "hypervisor.toml", "pyproject.toml",
        "src", "tests",
    }  # fmt: skip
    workflow = (folder / ".github/workflows/test.yml").read_text()
    assert "python-version: ${{ matrix.python }}" in workflow
    assert '["3.11", "3.12", "3.13"]' in workflow


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["My_Own"], "did you mean 'my-own'?"),
        (["hypervisor-acme"], "did you mean 'acme'?"),
        (["1st"], "expected lower-case letters, digits and '-'"),
        (["a" * 51], "expected lower-case letters, digits and '-'"),
        (["../etc"], "did you mean 'etc'?"),
        (["statsd"], "the name is taken"),
        (["check"], "the name is taken"),
        (["acme", "--kind", "span"], "did you mean 'spans'?"),
        (["acme", "--kind", "store"], "no template for a store: begin with StoreContract"),
        (["acme", "--kind", "quux"], "'quux' is not one of events, spans"),
        (["acme", "--output", "here"], "hypervisor-acme exists: name another folder"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_hint(arguments: list[str], expected: str) -> None:
    Path("here/hypervisor-acme").mkdir(parents=True)
    before = sorted(Path().rglob("*"))

    done = run_hvobs("new-plugin", *arguments)

    assert done.exit_code == 2
    assert expected in " ".join(done.output.split())
    assert sorted(Path().rglob("*")) == before


def test_folder_that_cannot_be_made_is_said_in_a_line() -> None:
    Path("file").write_text("")

    done = run_hvobs("new-plugin", "acme", "--output", "file/deep")

    assert done.exit_code in {1, 2}
    assert "file" in done.output
    assert "Traceback" not in done.output
