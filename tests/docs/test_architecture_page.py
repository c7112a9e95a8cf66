"""The page of the architecture names what is there, with the table that is checked."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "hypervisor_observability"
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")


def rooms_of_the_page() -> dict[str, set[str]]:
    """Give what each room imports, as the page has it."""
    section = PAGE[PAGE.index("## The rooms of core") : PAGE.index("**The kernel**")]
    rooms = {}
    for names, imports in re.findall(r"^\| (`[^|]+) \| [^|]+ \| ([^|]*)\|", section, re.MULTILINE):
        for name in re.findall(r"`(\w+)(?:/|\.py)`", names):
            rooms[name] = {one.strip() for one in imports.split(",") if one.strip()}
    return rooms


def rooms_of_the_contract() -> dict[str, set[str]]:
    """Give the same as the contract has it: rooms of core alone."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    (table,) = [
        one
        for one in tool["importlinter"]["contracts"]
        if one["type"] == "table" and "whole" in one
    ]
    rooms = {}
    for row in table["rows"]:
        names, _, imports = row.partition("->")
        for name in names.split(","):
            rooms[name.strip()] = {one.strip() for one in imports.split(",") if one.strip()}
    third_party = {"click", "pluggy", "cattrs", "opentelemetry", "_typeshed"}
    return {
        name: {"all below"} if "*" in imports else imports - third_party
        for name, imports in rooms.items()
    }


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|\w+\.(?:py|toml))`", PAGE))
    missing = [
        name
        for name in sorted(named)
        if "NAME" not in name
        and "PLUGIN" not in name
        and not (ROOT / name).exists()
        and not (CORE / name).exists()
    ]

    assert len(named) > 50
    assert missing == []


def test_table_of_rooms_is_the_one_that_is_checked() -> None:
    assert rooms_of_the_page() == rooms_of_the_contract()


def test_every_room_and_every_plugin_stands_on_the_page() -> None:
    rooms = {
        path.stem
        for path in CORE.iterdir()
        if path.name == "__main__.py"
        or (not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py"))
    }
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}

    assert rooms_of_the_page().keys() == rooms
    assert {name for name in plugins if f"| `{name}` |" not in PAGE} == set()


def test_kernel_is_the_one_that_is_counted() -> None:
    told = re.search(r"\*\*The kernel\*\* is ([^:]*):", PAGE)
    assert told is not None
    counted = (ROOT / "tests" / "packaging" / "test_kernel.py").read_text("utf-8")
    names = re.findall(r"`(\w+)`", told[1])

    assert f"KERNEL = ({', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)})" in counted
