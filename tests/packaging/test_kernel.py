"""The kernel: what all else is built on, and every plugin with it. It stays small."""

import sys
from pathlib import Path

from tests.programs import run

CORE = Path(__file__).parents[2] / "core" / "src" / "hypervisor_observability"
KERNEL = ("events", "causality", "bus", "errors", "hookspecs", "command_context")
MOST_LINES = 5_000
MOST_LINES_OF_A_FILE = 300

IMPORT_ALL = """
import sys
from importlib import import_module

before = set(sys.modules)
for name in sys.argv[1:]:
    import_module(name)
print(*sorted(set(sys.modules) - before))
"""


def kernel_files() -> list[Path]:
    folders = [CORE / name for name in KERNEL if (CORE / name).is_dir()]
    files = [CORE / f"{name}.py" for name in KERNEL if not (CORE / name).is_dir()]
    return sorted([*files, *(file for folder in folders for file in folder.rglob("*.py"))])


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(CORE.parent).with_suffix("").parts).removesuffix(".__init__")


def loaded_by(*modules: str) -> set[str]:
    """Import modules in a fresh interpreter; give all that it then has."""
    command = [sys.executable, "-c", IMPORT_ALL, *modules]
    done = run(command)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imported_by(*modules: str) -> set[str]:
    """Give the packages that importing modules loads, but Python's."""
    return {name.partition(".")[0] for name in loaded_by(*modules)} - sys.stdlib_module_names


def test_kernel_has_fewer_than_5000_lines_in_small_files() -> None:
    lines = {file: len(file.read_text("utf-8").splitlines()) for file in kernel_files()}

    assert len(lines) > 30
    assert sum(lines.values()) < MOST_LINES
    assert {file for file, count in lines.items() if count > MOST_LINES_OF_A_FILE} == set()


def test_kernel_needs_attrs_and_pluggy_alone_but_for_click_where_a_hook_names_it() -> None:
    modules = [module_name(file) for file in kernel_files()]
    below_hooks = [name for name in modules if not name.endswith(".hookspecs")]

    assert len(below_hooks) == len(modules) - 1
    assert imported_by(*below_hooks) == {"hypervisor_observability", "attr", "attrs"}
    assert imported_by(*modules) == imported_by(*below_hooks) | {"pluggy", "click"}


def test_kernel_loads_no_other_room_but_the_small_ones_below_it() -> None:
    loaded = loaded_by(*(module_name(file) for file in kernel_files()))
    names = [name.split(".") for name in loaded if name.startswith("hypervisor_observability.")]

    below = {"text", "files", "threads", "values", "release"}
    assert set(KERNEL) <= {name[1] for name in names} <= {*KERNEL, *below}


def test_other_packages_are_seen_when_they_are_imported() -> None:
    assert "cattrs" in imported_by("hypervisor_observability.config.structuring")
