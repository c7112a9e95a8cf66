"""The contract that says what each room imports: what its table does not allow is found."""

import os
import sys
from pathlib import Path

import pytest

from tests.programs import run

REPOSITORY = Path(__file__).parents[2]

CONTRACT = """\
[tool.importlinter]
root_package = "family"
include_external_packages = true
contract_types = ["table: scripts.import_table.ImportTable"]

[[tool.importlinter.contracts]]
name = "Each room imports what the table allows"
type = "table"
container = "family"
whole = true
everyone = ["text"]
rows = ["cli -> *, click", "gate -> events, attrs", "events, text ->"]
unloaded = ["gate.policy -> cli"]
"""

FILES = {
    "pyproject.toml": CONTRACT,
    "family/__init__.py": "",
    "family/cli.py": "import click\nimport json\nfrom . import gate",
    "family/gate/__init__.py": "from .policy import Policy",
    "family/gate/policy.py": (
        "import attrs\nfrom ..events import Event\nfrom ..text import plain\n"
        "if TYPE_CHECKING:\n    from ..cli import main"
    ),
    "family/events.py": "from .text import plain",
    "family/text.py": "import re",
}


def _broken(tmp_path: Path, **changes: str) -> list[str]:
    for name, text in {**FILES, **changes}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = run(
        command,
        cwd=tmp_path,
        env={
            "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, REPOSITORY))),
            "PYTHONUTF8": "1",
            "NO_COLOR": "1",
        },
        timeout=120,
    )
    assert "1 kept" in done.stdout if done.returncode == 0 else "1 broken" in done.stdout, done
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("- ")]


def test_table_is_kept_by_what_it_allows(tmp_path: Path) -> None:
    assert _broken(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "import_", "imported"),
    [
        ("family/events.py", "from .gate import Policy", "family.gate"),
        ("family/events.py", "if TYPE_CHECKING:\n    from .gate import Policy", "family.gate"),
        ("family/events.py", "def read():\n    from .gate import policy", "family.gate.policy"),
        ("family/events.py", "import family", "family"),
        ("family/events.py", "import attrs", "attrs"),
        ("family/text.py", "from attr import define", "attr"),
        ("family/gate/__init__.py", "import click", "click"),
        ("family/cli.py", "import attrs", "attrs"),
    ],
)
def test_import_that_is_not_in_the_table_is_found(
    tmp_path: Path, file: str, import_: str, imported: str
) -> None:
    (problem,) = _broken(tmp_path, **{file: f"{FILES[file]}\n{import_}"})

    importer = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    line = len(f"{FILES[file]}\n{import_}".splitlines())
    assert problem == f"{importer} -> {imported} (l.{line})"


def test_room_without_a_row_and_row_without_a_room_are_found(tmp_path: Path) -> None:
    contract = CONTRACT.replace("events, text ->", "events, text, bus ->")

    assert _broken(tmp_path, **{"pyproject.toml": contract, "family/report.py": ""}) == [
        "report: the table has no row for it",
        "bus: no such room",
    ]


def test_exception_that_nothing_needs_is_found(tmp_path: Path) -> None:
    assert _broken(tmp_path, **{"family/gate/policy.py": ""}) == [
        "gate.policy -> cli: no such import"
    ]
