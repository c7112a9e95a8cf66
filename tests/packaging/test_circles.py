"""No two files need each other, directly or by way of others, whenever the import runs."""

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = [REPOSITORY / "core" / "src", *sorted((REPOSITORY / "plugins").glob("*/src"))]

Arrows = dict[str, set[str]]


def modules_below(*roots: Path) -> dict[str, Path]:
    """Give the files by the names under which they are imported."""
    files = {}
    for root in roots:
        for path in root.rglob("*.py"):
            names = path.relative_to(root).with_suffix("").parts
            files[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return files


def arrows_between(files: Mapping[str, Path]) -> Arrows:
    """Give what each file imports of *files*: also for type checkers, and inside functions.

    An import from a package is one of the submodule where there is one of that name, and one of
    the package's own ``__init__`` otherwise.
    """
    return {
        module: {
            target
            for imported, name in _imports(module, path)
            for target in [f"{imported}.{name}" if f"{imported}.{name}" in files else imported]
            if target in files and target != module
        }
        for module, path in files.items()
    }


def _imports(module: str, path: Path) -> Iterator[tuple[str, str]]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((name.name, "") for name in names)
            case ast.ImportFrom(module=below, names=names, level=level):
                imported = _absolute(package, "." * level + (below or ""))
                yield from ((imported, name.name) for name in names)
            case ast.Call(args=[ast.Constant(value=str(text)), *_], func=function):
                if ast.unparse(function).endswith(("import_module", "__import__")):
                    yield _absolute(package, text), ""
            case _:
                pass


def _absolute(package: str, name: str) -> str:
    below = name.lstrip(".")
    level = len(name) - len(below)
    if not level:
        return name
    above = package.split(".")
    return ".".join([*above[: len(above) - level + 1], *filter(None, [below])])


def circles_in(arrows: Arrows) -> list[str]:
    """Give, for each arrow that is part of a circle, the shortest one, each circle once."""
    found: dict[frozenset[str], str] = {}
    for start, targets in sorted(arrows.items()):
        for target in sorted(targets):
            way = _shortest_way(arrows, target, start)
            if way:
                found.setdefault(frozenset(way), " -> ".join([start, *way]))
    return list(found.values())


def _shortest_way(arrows: Arrows, start: str, end: str) -> list[str]:
    ways = deque([[start]])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] == end:
            return way
        for target in sorted(arrows[way[-1]] - seen):
            seen.add(target)
            ways.append([*way, target])
    return []


def test_no_file_needs_itself_by_way_of_others() -> None:
    files = modules_below(*SOURCES)
    arrows = arrows_between(files)

    assert circles_in(arrows) == []
    # What was looked at is the whole product.
    assert {"hypervisor_observability", "hypervisor_otel", "hypervisor.observability"} <= set(files)
    assert sum(map(len, arrows.values())) > len(files)


@pytest.mark.parametrize(
    "import_",
    [
        "from .saga import Saga",
        "from family.saga import Saga",
        "from . import saga",
        "from family import saga",
        "import family.saga",
        "import family.saga as other",
        "if TYPE_CHECKING:\n    from .saga import Saga",
        "def place():\n    from .saga import Saga",
        "async def place():\n    try:\n        import family.saga\n    finally:\n        pass",
        "saga = import_module('.saga', __package__)",
        "saga = importlib.import_module('family.saga')",
        "saga = __import__('family.saga')",
    ],
)
def test_circle_is_found_however_it_is_imported(tmp_path: Path, import_: str) -> None:
    files = _tree(tmp_path, place=import_, saga="from .place import Place")

    assert circles_in(arrows_between(files)) == ["family.place -> family.saga -> family.place"]


def test_circle_by_way_of_the_package_is_found(tmp_path: Path) -> None:
    package = "from .place import Place\nfrom .saga import Saga"
    files = _tree(tmp_path, __init__=package, place="", saga="from . import Place")

    assert circles_in(arrows_between(files)) == ["family -> family.saga -> family"]


def test_package_may_offer_what_its_files_take_from_each_other(tmp_path: Path) -> None:
    package = "from .place import Place\nfrom .saga import Saga"
    files = _tree(tmp_path, __init__=package, place="", saga="from .place import Place")

    assert circles_in(arrows_between(files)) == []


def test_every_circle_is_named_once(tmp_path: Path) -> None:
    files = _tree(
        tmp_path,
        place="from .writer import Writer",
        writer="from .outcome import Outcome\nfrom .place import Place",
        outcome="from .place import Place",
        scope="from .decoration import decorate\nfrom .place import Place",
        decoration="from .scope import Scope",
        agent="from .scope import Scope",
    )

    assert circles_in(arrows_between(files)) == [
        "family.decoration -> family.scope -> family.decoration",
        "family.outcome -> family.place -> family.writer -> family.outcome",
        "family.place -> family.writer -> family.place",
    ]


def _tree(root: Path, **files: str) -> dict[str, Path]:
    package = root / "family"
    package.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return modules_below(root)
