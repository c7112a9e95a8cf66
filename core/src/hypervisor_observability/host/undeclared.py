"""Attributes that a plugin sets and cannot have, because its class has slots: found in the code.

``@define`` makes slots. ``self._log = ...`` without a field ``_log`` then raises, and not before
the hook with that line is called.
"""

import dis
import inspect
from collections.abc import Iterator
from types import CodeType


def refuse_undeclared(instance: object) -> None:
    """Refuse an instance whose methods set an attribute that its class has no place for.

    Raises:
        ValueError: One does; the text says where, and what to write.
    """
    if hasattr(instance, "__dict__"):
        return
    kind = type(instance)
    for method, name, line in _settings(kind):
        raise ValueError(
            f"line {line}: {method} sets self.{name}, which is not a field, and @define gives"
            f" {kind.__name__} only the attributes that are: write '{name}: ... ="
            f" field(init=False)' in the class, or '@define(eq=False, slots=False)' above it"
        )


def _settings(kind: type) -> Iterator[tuple[str, str, int | None]]:
    """Give each method, attribute and line where *kind* sets what it does not have."""
    for base in kind.__mro__[:-1]:
        for method in vars(base).values():
            if inspect.isfunction(method) and not method.__name__.startswith("__"):
                lacking = {one for one in method.__code__.co_names if not hasattr(kind, one)}
                for name, line in _set_in(method.__code__) if lacking else ():
                    if name in lacking:
                        yield method.__name__, name, line


def _set_in(code: CodeType) -> Iterator[tuple[str, int | None]]:
    own = code.co_varnames[:1]
    loaded: object = None
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        if step.positions is not None and step.positions.lineno is not None:
            line = step.positions.lineno
        if step.opname == "STORE_ATTR" and (loaded,) == own:
            yield str(step.argval), line
        loaded = None
        if step.opname.startswith("LOAD_FAST"):  # a constant may be a tuple, too
            # One instruction may load two variables: the object is the last.
            loaded = step.argval[-1] if isinstance(step.argval, tuple) else step.argval
