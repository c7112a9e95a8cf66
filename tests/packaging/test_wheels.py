"""What users install is what the repository says."""

import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from email import message_from_bytes
from email.message import Message
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from hypervisor_observability.host.plugins import SHIPPED
from tests.packaging.environments import CleanEnvironment, Project

CORE = "hypervisor-observability"
REPOSITORY = Path(__file__).parents[2]
DISTRIBUTIONS = [
    "hypervisor-agent-hypervisor",
    "hypervisor-genai",
    "hypervisor-jaeger",
    "hypervisor-journal",
    "hypervisor-langchain",
    "hypervisor-nats",
    CORE,
    "hypervisor-openai-agents",
    "hypervisor-otel",
    "hypervisor-prometheus",
    "hypervisor-statsd",
    "hypervisor-web",
]


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def content_of(wheel: Path, ending: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name)


def metadata_of(wheel: Path) -> Message:
    return message_from_bytes(content_of(wheel, ".dist-info/METADATA"))


def test_wheels_are_those_of_all_distributions(wheels: dict[str, Path]) -> None:
    assert sorted(wheels) == DISTRIBUTIONS


def test_all_distributions_have_one_version(wheels: dict[str, Path]) -> None:
    versions = {name: metadata_of(wheel)["Version"] for name, wheel in wheels.items()}

    assert len(set(versions.values())) == 1, versions


def test_changelog_names_the_version(wheels: dict[str, Path]) -> None:
    version = metadata_of(wheels[CORE])["Version"]

    assert f"## [{version}]" in (REPOSITORY / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_requires_its_siblings_in_its_own_version(
    wheels: dict[str, Path], name: str
) -> None:
    metadata = metadata_of(wheels[name])
    version = Version(metadata["Version"])
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    siblings = {
        one.name: one.specifier
        for one in requirements
        if one.name in DISTRIBUTIONS and one.marker is None
    }

    assert set(siblings) == {
        CORE: set(),
        "hypervisor-jaeger": {CORE, "hypervisor-otel"},
        "hypervisor-nats": {CORE, "hypervisor-journal"},
    }.get(name, {CORE})
    for specifier in siblings.values():
        assert str(specifier) == f"~={version.major}.{version.minor}.0"
        assert version in specifier


def test_extras_of_core_install_each_plugin_and_all_of_them(wheels: dict[str, Path]) -> None:
    metadata = metadata_of(wheels[CORE])
    extras = set(metadata.get_all("Provides-Extra", []))
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    by_extra = {
        name: [
            one.name for one in requirements if one.marker and one.marker.evaluate({"extra": name})
        ]
        for name in extras
    }

    assert extras == {*SHIPPED, "all", "fast", "prices"}
    assert {name: by_extra[name] for name in SHIPPED} == {
        name: [distribution] for name, distribution in SHIPPED.items()
    }
    assert set(by_extra["all"]) == {*SHIPPED.values(), "msgspec"}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_requires_nothing_by_its_place(wheels: dict[str, Path], name: str) -> None:
    requirements = metadata_of(wheels[name]).get_all("Requires-Dist", [])

    assert not [text for text in requirements if Requirement(text).url]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_the_licence(wheels: dict[str, Path], name: str) -> None:
    licence = content_of(wheels[name], ".dist-info/licenses/LICENSE")

    assert licence == (REPOSITORY / "LICENSE").read_bytes()
    assert metadata_of(wheels[name])["License-Expression"] == "MIT"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_says_that_it_is_typed(wheels: dict[str, Path], name: str) -> None:
    assert f"{name.replace('-', '_')}/py.typed" in names_in(wheels[name])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_its_own_package_and_nothing_else(wheels: dict[str, Path], name: str) -> None:
    package = name.replace("-", "_")
    others = [file for file in names_in(wheels[name]) if not re.match(rf"{package}[/-]", file)]

    alias = ["hypervisor/observability.py", "hypervisor/observability/py.typed"]
    assert others == (alias if name == CORE else [])


def test_no_two_wheels_hold_the_same_file(wheels: dict[str, Path]) -> None:
    for one, other in combinations(wheels.values(), 2):
        assert not set(names_in(one)) & set(names_in(other))


@pytest.mark.fault("X4")
def test_wheels_built_twice_are_the_same(
    projects: dict[str, Project],
    wheels: dict[str, Path],
    build_wheels: Callable[[Iterable[Path], Path], dict[str, Path]],
    tmp_path: Path,
) -> None:
    copies = [tmp_path / name for name in projects]
    for project, copy in zip(projects.values(), copies, strict=True):
        # copyfile: elsewhere, at another time, with other permissions.
        ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(project.folder, copy, ignore=ignore, copy_function=shutil.copyfile)

    again = build_wheels(copies, tmp_path / "wheels")

    for name, wheel in wheels.items():
        first, second = (hashlib.sha256(one.read_bytes()) for one in (wheel, again[name]))
        assert first.hexdigest() == second.hexdigest(), name


@pytest.mark.fault("X6")
def test_core_needs_four_distributions_and_what_they_need(
    projects: dict[str, Project],
    wheels: dict[str, Path],
    third_party: Callable[..., Path],
    make_environment: Callable[..., CleanEnvironment],
    tmp_path: Path,
) -> None:
    environment = make_environment(tmp_path / "environment", third_party(CORE))
    environment.install(wheels[CORE])

    listing = environment.evaluate(
        "from importlib.metadata import distributions;"
        "print(*sorted({one.name.lower() for one in distributions()}))"
    )
    imported = environment.evaluate(
        "import importlib, pkgutil, hypervisor_observability as core\n"
        "for module in pkgutil.walk_packages(core.__path__, core.__name__ + '.'):\n"
        # The fixtures are for pytest, which whoever turns them on has.
        "    if module.name != 'hypervisor_observability.testing.fixtures':\n"
        "        importlib.import_module(module.name)\n"
        "print('all')"
    )

    assert {Requirement(text).name for text in projects[CORE].dependencies} == {
        *("attrs", "cattrs", "click", "pluggy")
    }
    assert set(listing.split()) == {
        *("attrs", "cattrs", "click", "pluggy", "typing_extensions", CORE)
    }
    assert imported == "all"


def test_entry_points_name_classes_that_exist(
    wheels: dict[str, Path],
    third_party: Callable[..., Path],
    make_environment: Callable[..., CleanEnvironment],
    tmp_path: Path,
) -> None:
    environment = make_environment(tmp_path / "environment", third_party(*wheels))
    environment.install(*wheels.values())

    loaded = environment.evaluate(
        "from importlib.metadata import entry_points\n"
        "for point in sorted(entry_points(group='hypervisor.observability')):\n"
        "    print(point.name, point.load().__name__)"
    )

    assert loaded.splitlines() == [
        "agent-hypervisor AgentHypervisorSource",
        "genai GenAISource",
        "jaeger JaegerPlugin",
        "journal JournalPlugin",
        "langchain LangChainSource",
        "nats NatsPlugin",
        "openai-agents OpenAIAgentsSource",
        "otel OTelPlugin",
        "prometheus PrometheusPlugin",
        "statsd StatsDPlugin",
        "web WebPlugin",
    ]
    assert environment.run("hvobs", "--version").returncode == 0


def test_core_holds_what_processes_below_hvobs_run_begin_with(wheels: dict[str, Path]) -> None:
    host = "hypervisor_observability/host"

    assert {f"{host}/startup/sitecustomize.py", f"{host}/sources/post_import.py"} <= set(
        names_in(wheels[CORE])
    )


def test_core_holds_the_templates_of_new_plugins(wheels: dict[str, Path]) -> None:
    templates = REPOSITORY / "core/src/hypervisor_observability/cli/new_plugin/templates"
    expected = {
        f"hypervisor_observability/cli/new_plugin/templates/{path.relative_to(templates)}"
        for path in templates.rglob("*.template")
    }
    assert expected
    assert expected <= set(names_in(wheels[CORE]))
