"""A plugin that somebody else wrote works, and one that nobody asked for is never imported."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.packaging.environments import CleanEnvironment

CORE = "hypervisor-observability"
REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "docs/examples/hypervisor-console"
FURTHER = [REPOSITORY / f"docs/examples/hypervisor-{name}" for name in ("cloudevents", "webhook")]

APPLICATION = """
from hypervisor_observability import EventType, Observability

with Observability.from_config("hypervisor.toml") as observability:
    observability.bus.record(EventType.SESSION_CREATED, agent_did="did:example:ada")
    observability.bus.record(EventType.SESSION_TERMINATED)
    print(observability.flush(timeout=10))
"""


IMPOSTOR = """
import pathlib

from attrs import frozen

from hypervisor_observability import hookimpl

pathlib.Path({imported!r}).touch()


@frozen
class Config:
    pass


class Impostor:
    Config = Config

    def __init__(self, config):
        pass

    @hookimpl
    def export_events(self, events):
        pass
"""

# The hooks of each of these are not those of this version.
ODD = """
from attrs import frozen

from hypervisor_observability import hookimpl


@frozen
class Config:
    pass


class Base:
    Config = Config

    def __init__(self, config):
        pass


class Misspelt(Base):
    @hookimpl
    def export_event(self, events):
        pass


class OtherArguments(Base):
    @hookimpl
    def export_events(self, event, context):
        pass


class Unmarked(Base):
    def export_events(self, events):
        pass


class Newer:
    api_version = 2

    @hookimpl
    def export_events(self, events):
        pass
"""


def write_project(folder: Path, name: str, source: str, **classes: str) -> Path:
    """Write a distribution of one module, with an entry point for each of *classes*."""
    project = folder / name
    project.mkdir()
    points = "".join(f'{point} = "{name}:{class_}"\n' for point, class_ in classes.items())
    (project / "pyproject.toml").write_text(
        f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1"

[project.entry-points."hypervisor.observability"]
{points}
"""
    )
    (project / f"{name}.py").write_text(source)
    return project


@pytest.fixture(scope="module")
def with_core(
    wheels: dict[str, Path],
    third_party: Callable[..., Path],
    make_environment: Callable[..., CleanEnvironment],
    build_wheels: Callable[[Iterable[Path], Path], dict[str, Path]],
) -> Callable[[Path, list[Path]], CleanEnvironment]:
    """Make an environment of core and some projects: ``with_core(folder, projects)``."""

    def make(folder: Path, projects: list[Path]) -> CleanEnvironment:
        built = build_wheels(projects, folder / "wheels")
        environment = make_environment(folder / "environment", third_party(CORE))
        environment.install(wheels[CORE], *built.values())
        return environment

    return make


@pytest.fixture(scope="module")
def environment(
    with_core: Callable[[Path, list[Path]], CleanEnvironment],
    tmp_path_factory: pytest.TempPathFactory,
) -> CleanEnvironment:
    """Core, the examples, and a plugin that leaves a file behind when it is imported."""
    folder = tmp_path_factory.mktemp("third-party-plugin")
    return with_core(folder, [EXAMPLE, *FURTHER, write_tripwire(folder)])


def write_tripwire(folder: Path) -> Path:
    """Write a plugin whose import can be seen: it leaves the file ``imported`` in *folder*."""
    source = IMPOSTOR.format(imported=str(folder / "imported"))
    return write_project(folder, "tripwire", source, tripwire="Impostor")


@pytest.fixture(scope="module")
def invaded(
    with_core: Callable[[Path, list[Path]], CleanEnvironment],
    tmp_path_factory: pytest.TempPathFactory,
) -> CleanEnvironment:
    """Core, and wheels of others that claim names of ours, or have other hooks."""
    folder = tmp_path_factory.mktemp("invaded")
    source = IMPOSTOR.format(imported=str(folder / "imported"))
    projects = [
        write_project(folder, "impostor", source, otel="Impostor", shared="Impostor"),
        write_project(folder, "rival", source, shared="Impostor"),
        write_project(
            folder,
            "odd",
            ODD,
            misspelt="Misspelt",
            arguments="OtherArguments",
            unmarked="Unmarked",
            newer="Newer",
        ),
    ]
    return with_core(folder, projects)


def refusal_of(environment: CleanEnvironment, table: str, folder: Path) -> str:
    """Give the last line of an application that names *table*; it must not have begun."""
    (folder / "hypervisor.toml").write_text(f"[plugins.{table}]\n")
    done = environment.run("python", "-c", APPLICATION, cwd=folder)
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.fault("X1")
def test_wheel_that_claims_a_name_of_ours_is_refused_before_it_is_imported(
    invaded: CleanEnvironment, tmp_path: Path
) -> None:
    said = refusal_of(invaded, "otel", tmp_path)

    assert "impostor 1 claims this name, which belongs to hypervisor-otel: uninstall it" in said
    assert not (invaded.folder.parent / "imported").exists()


@pytest.mark.fault("X1")
def test_name_that_two_wheels_claim_is_refused_before_either_is_imported(
    invaded: CleanEnvironment, tmp_path: Path
) -> None:
    said = refusal_of(invaded, "shared", tmp_path)

    assert "claimed by " in said
    assert "impostor 1" in said
    assert "rival 1" in said
    assert not (invaded.folder.parent / "imported").exists()


@pytest.mark.fault("X3")
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("misspelt", "unknown hook 'export_event' (did you mean 'export_events'?)"),
        (
            "arguments",
            "export_events: no such hook is given 'event', 'context': it may take 'events'",
        ),
        ("unmarked", "implements no hook: mark its methods with @hookimpl"),
        ("newer", "written for version 2 of the plugin API"),
    ],
)
def test_wheel_with_other_hooks_is_refused_by_name(
    invaded: CleanEnvironment, tmp_path: Path, table: str, expected: str
) -> None:
    said = refusal_of(invaded, table, tmp_path)

    assert f"plugins.{table}: " in said
    assert expected in said


def test_further_examples_are_installed_and_checked(
    environment: CleanEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "hypervisor.toml").write_text(
        "[plugins.cloudevents]\nfile = 'events.jsonl'\n"
        "[plugins.webhook]\nurl = 'https://hooks.example.com/agents'\n"
    )

    done = environment.run("hvobs", "check", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "cloudevents" in done.stdout
    assert "webhook" in done.stdout


def test_events_arrive_at_the_example(environment: CleanEnvironment, tmp_path: Path) -> None:
    lines = tmp_path / "events.log"
    (tmp_path / "hypervisor.toml").write_text(f"[plugins.console]\nfile = '{lines}'\n")

    done = environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert done.stdout == "True\n", done.stderr
    assert [line.split(" ", 1)[1] for line in lines.read_text().splitlines()] == [
        "session.created 'did:example:ada'",
        "session.terminated -",
    ]


def test_example_writes_to_standard_error_by_default(
    environment: CleanEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "hypervisor.toml").write_text("[plugins.console]\n")

    done = environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert "session.created 'did:example:ada'" in done.stderr


@pytest.mark.fault("X2")
def test_plugin_that_is_not_named_is_never_imported(
    environment: CleanEnvironment, tmp_path: Path
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


def test_plugin_that_is_named_is_imported(environment: CleanEnvironment, tmp_path: Path) -> None:
    imported = environment.folder.parent / "imported"
    (tmp_path / "hypervisor.toml").write_text("[plugins.tripwire]\n")

    environment.run("python", "-c", APPLICATION, cwd=tmp_path)

    assert imported.exists()
    imported.unlink()
