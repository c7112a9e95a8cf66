"""What modules hold, to see whether somebody has changed it."""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from attrs import frozen

_OURS = ("hypervisor_observability", "hypervisor")


@frozen(eq=False)
class Snapshot:
    """What modules hold.

    Attributes:
        held: By module, class and attribute.
    """

    held: Mapping[str, Any]

    @classmethod
    def of(cls, targets: tuple[str, ...]) -> "Snapshot":
        """Take one: of all that *targets* and what is below them hold; elsewhere of what can be
        called.
        """
        held: dict[str, Any] = {}
        modules: list[tuple[str, Any]] = list(sys.modules.items())
        for name, module in modules:
            own = any(f"{name}.".startswith(f"{target}.") for target in targets)
            if (name.partition(".")[0] in _OURS and not own) or not isinstance(module, ModuleType):
                continue  # None stands for a module that is not to be imported
            for path, value in _attributes(name, vars(module)):
                if own or _is_code(value):
                    held[path] = value
                if own and not _is_code(value):
                    held.update(_items(path, value))
        return cls(held)

    def changes_in(self, later: "Snapshot") -> list[str]:
        """Give what is another one in a *later* snapshot, or was added to a collection."""
        changed = [
            path for path, value in self.held.items() if later.held.get(path, value) is not value
        ]
        added = [path for path in later.held.keys() - self.held.keys() if path.endswith("]")]
        return sorted([*changed, *(one for one in added if one.rpartition("[")[0] in self.held)])

    def looks_of(self, paths: Iterable[str]) -> dict[str, tuple[object, ...]]:
        """Give what can be seen of public functions: names, parameters, and how they are called."""
        return {
            path: _look(self.held[path])
            for path in paths
            if inspect.isroutine(self.held.get(path)) and "._" not in path
        }


def _look(value: Any) -> tuple[object, ...]:
    function = getattr(value, "__func__", value)  # of a static or a class method
    try:
        parameters = str(inspect.signature(function))
    except (ValueError, TypeError):  # some built-in ones have none
        parameters = ""
    kinds = (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    )
    name = getattr(function, "__qualname__", "")
    return (type(value), name, parameters, *(kind(function) for kind in kinds))


def _attributes(module: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(names.items()):
        if name.startswith("__"):
            continue
        yield f"{module}.{name}", value
        if isinstance(value, type):
            held = type.__dict__["__dict__"].__get__(value)  # whatever its metaclass does
            if held.get("__module__") == module:
                yield from ((f"{module}.{name}.{inner}", own) for inner, own in list(held.items()))


def _items(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple) and len(value) < 1_000:
        yield from ((f"{path}[{at}]", one) for at, one in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((f"{path}[{id(one)}]", one) for one in list(value))
    elif isinstance(value, dict):
        for key, one in list(value.items()):
            yield f"{path}[{key if isinstance(key, str | int) else id(key)}]", one


def _is_code(value: object) -> bool:
    return callable(value) or isinstance(value, property | staticmethod | classmethod)
