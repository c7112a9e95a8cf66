"""What modules hold, to see whether somebody has changed it."""

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from attrs import frozen

_OWN = ("hypervisor_observability", "hypervisor")


@frozen(eq=False)
class Snapshot:
    """What modules hold.

    Attributes:
        held: By module, class and attribute.
    """

    held: Mapping[str, Any]

    @classmethod
    def of(cls, targets: tuple[str, ...]) -> "Snapshot":
        """Take one: of all that the packages of *targets* hold; elsewhere of what can be called."""
        tops = {target.partition(".")[0] for target in targets}
        held: dict[str, Any] = {}
        modules: list[tuple[str, Any]] = list(sys.modules.items())
        for name, module in modules:
            top = name.partition(".")[0]
            if (top in _OWN and top not in tops) or not isinstance(module, ModuleType):
                continue  # None stands for a module that is not to be imported
            for path, value in _attributes(name, vars(module)):
                if _is_code(value):
                    held[path] = value
                elif top in tops:
                    held[path] = value
                    held.update(_items(path, value))
        return cls(held)

    def changes_in(self, later: "Snapshot") -> list[str]:
        """Give what is another one in a *later* snapshot, or was added to a collection."""
        changed = [
            path for path, value in self.held.items() if later.held.get(path, value) is not value
        ]
        added = [path for path in later.held.keys() - self.held.keys() if path.endswith("]")]
        return sorted([*changed, *(one for one in added if one.rpartition("[")[0] in self.held)])


def _attributes(module: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(names.items()):
        if name.startswith("__"):
            continue
        yield f"{module}.{name}", value
        if isinstance(value, type) and value.__module__ == module:
            for inner, own in list(vars(value).items()):
                yield f"{module}.{name}.{inner}", own


def _items(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple) and len(value) < 1_000:
        yield from ((f"{path}[{at}]", one) for at, one in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((f"{path}[{id(one)}]", one) for one in list(value))
    elif isinstance(value, dict):
        yield from ((f"{path}[{key!r:.60}]", one) for key, one in list(value.items()))


def _is_code(value: object) -> bool:
    return callable(value) or isinstance(value, property | staticmethod | classmethod)
