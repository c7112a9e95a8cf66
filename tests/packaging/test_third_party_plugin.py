"""A plugin that somebody else wrote works, and one that nobody asked for is never imported."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.packaging.conftest import CleanEnvironment

CORE = "hypervisor-observability"
REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "docs/examples/hypervisor-console"

APPLICATION = """
from hypervisor_observability import EventType, Observability

with Observability.from_config("hypervisor.toml") as observability:
    observability.bus.record(EventType.SESSION_CREATED, agent_did="did:example:ada")
    observability.bus.record(EventType.SESSION_TERMINATED)
    print(observability.flush(timeout=10))
"""


@pytest.fixture(scope="module")
def environment(
    wheels: dict[str, Path],
    third_party: Callable[..., Path],
    make_environment: Callable[..., "CleanEnvironment"],
    build_wheels: Callable[[Iterable[Path], Path], dict[str, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> "CleanEnvironment":
    """Core, the example, and a plugin that leaves a file behind when it is imported."""
    folder = tmp_path_factory.mktemp("third-party-plugin")
    built = build_wheels([EXAMPLE, write_tripwire(folder)], folder / "wheels")
    environment = make_environment(folder / "environment", third_party(CORE))
    environment.install(wheels[CORE], *built.values())
    return environment


def write_tripwire(folder: Path) -> Path:
    """Write a plugin whose import can be seen: it leaves the file ``imported`` in *folder*."""
    project = folder / "tripwire"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tripwire"
version = "1"

[project.entry-points."hypervisor.observability"]
tripwire = "tripwire:Tripwire"
"""
    )
    (project / "tripwire.py").write_text(
        f"""
import pathlib

from attrs import frozen

pathlib.Path({json.dumps(str(folder / "imported"))}).touch()


@frozen
class Config:
    pass


class Tripwire:
    Config = Config

    def __init__(self, config):
        pass
"""
    )
    return project


def test_example_is_shorter_than_sixty_lines() -> None:
    (module,) = (EXAMPLE / "src").glob("*.py")

    assert len(module.read_text().splitlines()) < 60


def test_events_arrive_at_the_example(environment: "CleanEnvironment", tmp_path: Path) -> None:
    lines = tmp_path / "events.log"
    (tmp_path / "hypervisor.toml").write_text(f"[plugins.console]\nfile = '{lines}'\n")

    done = environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert done.stdout == "True\n", done.stderr
    assert [line.split(" ", 1)[1] for line in lines.read_text().splitlines()] == [
        "session.created 'did:example:ada'",
        "session.terminated -",
    ]


def test_example_writes_to_standard_error_by_default(
    environment: "CleanEnvironment", tmp_path: Path
) -> None:
    (tmp_path / "hypervisor.toml").write_text("[plugins.console]\n")

    done = environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert "session.created 'did:example:ada'" in done.stderr


def test_plugin_that_is_not_named_is_never_imported(
    environment: "CleanEnvironment", tmp_path: Path
) -> None:
    imported = environment.folder.parent / "imported"
    (tmp_path / "hypervisor.toml").write_text("[plugins.console]\n")

    for command in (
        ("python", "-c", APPLICATION),
        ("hvobs", "--help"),
        ("hvobs", "plugins"),
        ("hvobs", "check"),
        ("hvobs", "doctor", "--json"),
    ):
        done = environment.run(*command, cwd=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
        assert not imported.exists(), command


def test_plugin_that_is_named_is_imported(environment: "CleanEnvironment", tmp_path: Path) -> None:
    imported = environment.folder.parent / "imported"
    (tmp_path / "hypervisor.toml").write_text("[plugins.tripwire]\n")

    environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert imported.exists()
    imported.unlink()
