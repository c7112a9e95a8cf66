"""Call somebody back when the import of a module has ended.

``hvobs run`` has every Python process load this file by its path, long before the package is
imported, if it ever is: it imports nothing but what the interpreter has imported itself.
"""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False  # as type checkers know it; the module typing is not there yet
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class PostImport:
    """A finder that finds nothing by itself: it has what others find watched.

    It stands on ``sys.meta_path`` while somebody waits. It holds no lock, so a fork in the middle
    of an import leaves none held.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callable[[str], object]]] = {}
        self._finding: set[tuple[int, str]] = set()

    def when_imported(self, name: str, callback: Callable[[str], object]) -> None:
        """Call ``callback(name)`` when the import of a module has ended, in the thread that
        imports it, before that goes on. It is called once, and must raise nothing.

        Nobody is called for a module that has been imported already: ask ``sys.modules`` after
        this call.
        """
        self._waiting.setdefault(name, []).append(callback)
        self._enter()

    def forget(self, name: str, callback: Callable[[str], object]) -> None:
        """Call *callback* no more, if it still waits."""
        callbacks = self._waiting.get(name, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            self._waiting.pop(name, None)
        self._leave()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Have the import of a module watched that somebody waits for."""
        key = (get_ident(), name)
        if name not in self._waiting or key in self._finding:
            return None
        self._finding.add(key)  # another finder of this sort would ask this one in turn
        try:
            for finder in list(sys.meta_path):
                find = None if finder is self else getattr(finder, "find_spec", None)
                spec = None if find is None else find(name, path, target)
                if spec is not None:
                    return self._watched(spec)
        finally:
            self._finding.discard(key)
        return None

    def _watched(self, spec: ModuleSpec) -> ModuleSpec:
        made = None
        if spec.loader is None:  # a namespace package, which has no loader until it is made
            from importlib.util import module_from_spec

            made = module_from_spec(spec)
        loader = spec.loader
        if loader is not None and hasattr(loader, "exec_module"):
            watching = _Loader(spec.name, loader, made, self._imported)
            spec.loader = watching  # type: ignore[assignment]  # it does what a loader does
        return spec

    def _imported(self, name: str) -> None:
        if sys.modules.get(name) is None:  # somebody executes a module that nobody will find
            return
        callbacks = self._waiting.pop(name, [])
        self._leave()
        for callback in callbacks:
            callback(name)

    def _enter(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def _leave(self) -> None:
        if self._waiting:
            return
        try:
            sys.meta_path.remove(self)
        except ValueError:  # another thread did
            return
        if self._waiting:  # since a moment
            self._enter()


class _Loader:
    """A loader that is replaced by the real one before the module's code runs."""

    def __init__(
        self, name: str, loader: Loader, made: ModuleType | None, imported: Callable[[str], object]
    ) -> None:
        self._name = name
        self._loader = loader
        self._made = made
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # of a copy that is half made
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if self._made is not None:
            return self._made
        create = getattr(self._loader, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(self._name)
