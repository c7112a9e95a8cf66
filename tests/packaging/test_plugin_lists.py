"""What lists the plugins lists each of them: a new one is checked and measured like the others."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability.host.plugins import SHIPPED

ROOT = Path(__file__).parents[2]
TOOL: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
PLUGINS = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
PACKAGES = {path.name for path in ROOT.glob("plugins/*/src/*") if (path / "__init__.py").exists()}
CONTRACTS = {one["name"]: one for one in TOOL["importlinter"]["contracts"]}
CORE = "hypervisor_observability"

LISTS: dict[str, set[str]] = {
    "root_packages": set(TOOL["importlinter"]["root_packages"]) - {CORE},
    "coverage": set(TOOL["coverage"]["run"]["source_pkgs"]) - {CORE},
    "no circle": set(
        CONTRACTS["No two folders need each other, nor a folder and a file beside it"]["ancestors"]
    )
    - {CORE},
    "core needs none": set(CONTRACTS["Core needs no plugin"]["forbidden_modules"]),
    "they do not know each other": set(
        CONTRACTS["Plugins do not know each other; but jaeger knows otel, and nats the journal"][
            "modules"
        ]
    ),
    "they see the hooks and below": set(
        CONTRACTS["Plugins see the hooks and what lies below them"]["source_modules"]
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_list_names_every_plugin(name: str) -> None:
    assert LISTS[name] == PACKAGES


def test_type_checker_finds_every_plugin() -> None:
    folders = {path.split("/")[2] for path in TOOL["mypy"]["mypy_path"] if "/plugins/" in path}

    assert folders == PLUGINS


def test_every_plugin_is_told_as_ours() -> None:
    assert SHIPPED.keys() == PLUGINS
    assert set(SHIPPED.values()) == {f"hypervisor-{name}" for name in PLUGINS}


def test_plugins_see_no_room_above_the_hooks() -> None:
    floors = CONTRACTS["Core has floors; imports run downward"]["layers"]
    above = floors[: floors.index("hookspecs")]
    rooms = {room.strip() for floor in above for room in floor.split("|")}
    forbidden = CONTRACTS["Plugins see the hooks and what lies below them"]["forbidden_modules"]

    assert {f"{CORE}.{room}" for room in rooms} == set(forbidden)
