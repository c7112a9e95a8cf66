"""Let the functions of ``dataclasses`` take instances of our attrs classes.

The published package, whose API these classes keep, has dataclasses in their place; people's
code calls ``dataclasses.replace``, ``asdict`` and ``fields`` on them.
"""

from typing import Any

import attrs

_FACTORY: Any = attrs.Factory  # a function to type checkers, a class in truth


class DataclassFields:
    """What ``dataclasses`` looks for in a class, made when somebody looks.

    To be assigned to ``__dataclass_fields__`` in the body of an attrs class. The module
    ``dataclasses`` takes long to import, and most processes never need it.
    """

    def __init__(self) -> None:
        self._fields: dict[str, Any] | None = None

    def __get__(self, instance: object | None, owner: type) -> dict[str, Any]:
        if self._fields is None:
            import dataclasses

            named = [(one.name, one.type, _field(one)) for one in attrs.fields(owner)]
            twin: Any = dataclasses.make_dataclass(owner.__name__, named, kw_only=True)
            self._fields = twin.__dataclass_fields__
        return self._fields


def _field(attribute: "attrs.Attribute[Any]") -> Any:
    import dataclasses

    default: Any = attribute.default
    if default is attrs.NOTHING:
        return dataclasses.field(init=attribute.init)
    if isinstance(default, _FACTORY):
        return dataclasses.field(default_factory=default.factory, init=attribute.init)
    return dataclasses.field(default=default, init=attribute.init)
