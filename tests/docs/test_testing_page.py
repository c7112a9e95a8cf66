"""The page on testing names each rule of the contract, and everything that authors may use."""

import ast
import re
from pathlib import Path

import pytest

from hypervisor_observability import testing
from hypervisor_observability.testing import Fault, PluginContract

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reference/testing.md").read_text("utf-8")
FIXTURES = ROOT / "core/src/hypervisor_observability/testing/fixtures.py"


def first_cells(heading: str) -> set[str]:
    """Give the names in the first cells of the tables below a heading."""
    section = re.split(rf"^#+ {heading}$", TEXT, flags=re.MULTILINE)[1].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n### ")[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w.]+)(?:\(\))?`", row)}


def test_each_rule_is_on_the_page_and_each_on_the_page_is_a_rule() -> None:
    rules = {name for name in dir(PluginContract) if name.startswith("test_")}

    assert first_cells("The rules") == rules
    for rule in rules:
        assert getattr(PluginContract, rule).__doc__, rule


def test_what_an_author_writes_is_on_the_page_with_its_default() -> None:
    for name in first_cells("What you write"):
        assert hasattr(PluginContract, name), name
    for name in ("promise", "deadline_seconds", "patience_seconds", "flush_seconds"):
        shown = repr(getattr(PluginContract, name)).replace("'", '"')
        assert f"| `{name}` | {shown} |" in TEXT or f"| `{name}` | `{shown}` |" in TEXT, name


def test_each_receiver_and_each_fault_is_on_the_page() -> None:
    receivers = {name for name in testing.__all__ if name.endswith("Receiver")} - {"Receiver"}

    assert first_cells("Receivers") == receivers | {f"Fault.{fault.name}" for fault in Fault}


def test_each_fixture_is_on_the_page() -> None:
    body = ast.parse(FIXTURES.read_text()).body

    assert first_cells("Fixtures") == {one.name for one in body if isinstance(one, ast.FunctionDef)}


def test_each_message_of_the_contract_says_what_to_do() -> None:
    """An assertion without a message shows an author our variables, and no rule."""
    for file in sorted(FIXTURES.parent.glob("plugin_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assert) and node.msg is None:
                pytest.fail(f"{file.name}:{node.lineno}: an assertion without a message")
