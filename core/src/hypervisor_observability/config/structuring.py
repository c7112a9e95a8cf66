"""Turn raw tables into classes of settings, strictly, and tell every problem at once.

cattrs finds the hook for a type; the hooks are our own, because those that it comes with
convert what they can: ``"false"`` to True, 9464.9 to 9464, ``"abc"`` to a tuple. Here
nothing is converted but an integer to a float, a list to a tuple, and a value that is
wholly a ``${...}`` to the type of its field.
"""

import collections.abc
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen
from cattrs import BaseConverter

from ..errors import ConfigProblem
from . import strict_scalars as scalars
from . import wording
from .class_fields import holds_settings
from .class_structuring import structure_class
from .interpolation import Interpolated, Unresolved
from .secret import Secret
from .strict_scalars import Misfit
from .toml_lines import KeyPath

T = TypeVar("T")
_Hook = Callable[[Any, Any], Any]


@frozen
class Origin:
    """Where raw values come from.

    Attributes:
        source: The file as the user named it, or ``Config(...)``.
        folder: Where relative paths start; None leaves them as they are.
        lines: The line of each key; empty where there is no file.
    """

    source: str = "Config(...)"
    folder: Path | None = None
    lines: Mapping[KeyPath, int] = field(factory=dict, repr=False)

    def problem(self, path: KeyPath, message: str) -> ConfigProblem:
        """Make a problem of the key at *path*, on its line or that of the table around it."""
        place = path
        while place and place not in self.lines:
            place = place[:-1]
        return ConfigProblem(self.source, self.lines.get(place), wording.key_text(path), message)


def structure(
    raw: object,
    type_: type[T],
    origin: Origin,
    path: KeyPath = (),
    *,
    also_known: Iterable[str] = (),
) -> tuple[T | None, list[ConfigProblem]]:
    """Make a *type_* of the table *raw*.

    Args:
        raw: A mapping as TOML gives it, with ``Interpolated`` and ``Unresolved`` in it.
        type_: An attrs class, or a dataclass.
        origin: For lines, and relative paths.
        path: Where the table stands.
        also_known: Keys that are taken elsewhere, to be proposed for a misspelt one.

    Returns:
        The instance, or None and what is wrong. Both may be missing: a value that could
        not be interpolated was told by whoever tried.
    """
    try:
        return structure_class(_converter(origin.folder), raw, type_, also_known), []
    except Misfit as misfit:
        return None, [
            origin.problem((*path, *where), message) for where, message in misfit.findings
        ]


def _converter(folder: Path | None) -> BaseConverter:
    converter = BaseConverter()
    # Of these, the one that was registered last is asked first.
    kinds: tuple[tuple[Callable[[Any], bool], _Hook], ...] = (
        (lambda _: True, scalars.unsupported),
        (lambda type_: type_ is Any, lambda raw, _: _plain(raw)),
        (_is_list, lambda raw, type_: _structure_list(converter, raw, type_)),
        (_is_mapping, lambda raw, type_: _structure_mapping(converter, raw, type_)),
        (holds_settings, lambda raw, type_: structure_class(converter, raw, type_)),
        (lambda type_: typing.get_origin(type_) is typing.Literal, scalars.structure_choice),
        (wording.is_enum, scalars.structure_choice),
        (wording.is_union, lambda raw, type_: _structure_union(converter, raw, type_)),
    )
    for accepts, hook in kinds:
        converter.register_structure_hook_func(accepts, _unless_unresolved(hook))
    # These are asked before all of the above, for their subclasses too.
    types: tuple[tuple[type, _Hook], ...] = (
        (bool, scalars.structure_bool),
        (int, scalars.structure_int),
        (float, scalars.structure_float),
        (str, scalars.structure_str),
        (bytes, scalars.unsupported),
        (Secret, scalars.structure_secret),
        (Path, lambda raw, _: scalars.structure_path(raw, folder)),
    )
    for type_, hook in types:
        converter.register_structure_hook(type_, _unless_unresolved(_or_choice(hook)))
    return converter


def _unless_unresolved(hook: _Hook) -> _Hook:
    def structure_resolved(raw: object, type_: object) -> object:
        if isinstance(raw, Unresolved):
            raise Misfit
        return hook(raw, type_)

    return structure_resolved


def _or_choice(hook: _Hook) -> _Hook:
    """Take care of enumerations that are strings or integers too."""

    def structure_scalar(raw: object, type_: object) -> object:
        return (scalars.structure_choice if wording.is_enum(type_) else hook)(raw, type_)

    return structure_scalar


def _is_list(type_: object) -> bool:
    origin = typing.get_origin(type_) or type_
    return origin in {list, tuple, set, frozenset, collections.abc.Sequence}


def _is_mapping(type_: object) -> bool:
    return (typing.get_origin(type_) or type_) in {dict, collections.abc.Mapping}


def _plain(raw: object) -> object:
    """Give *raw* as plain values, for fields that take anything."""
    if isinstance(raw, Unresolved):
        raise Misfit
    if isinstance(raw, Interpolated):
        return raw.text
    if isinstance(raw, Mapping):
        return {key: _plain(item) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_plain(item) for item in raw]
    return raw


def _structure_union(converter: BaseConverter, raw: object, type_: object) -> object:
    members = typing.get_args(type_)
    if raw is None and type(None) in members:
        return None
    members = tuple(member for member in members if member is not type(None))
    if len(members) == 1:
        return converter.structure(raw, members[0])
    for member in members:
        try:
            return converter.structure(raw, member)
        except Misfit:
            continue
    raise scalars.misfit(type_, raw)


def _structure_list(converter: BaseConverter, raw: object, type_: object) -> object:
    if not isinstance(raw, list | tuple | set | frozenset):
        raise scalars.misfit(type_, raw)
    origin: Any = typing.get_origin(type_) or type_
    arguments = typing.get_args(type_) or (Any, ...)
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(raw) != len(arguments):
            message = f"expected a list of {len(arguments)} values, got {len(raw)}"
            raise Misfit(((), message))
        types = arguments
    else:
        types = (arguments[0],) * len(raw)
    values = _each(converter, zip(range(len(raw)), raw, types, strict=True)).values()
    return origin(values) if origin in {list, set, frozenset} else tuple(values)


def _structure_mapping(converter: BaseConverter, raw: object, type_: object) -> object:
    if not isinstance(raw, Mapping):
        raise scalars.misfit(type_, raw)
    key_type, value_type = typing.get_args(type_) or (str, Any)
    if key_type is not str:
        return scalars.unsupported(raw, type_)
    return _each(converter, ((str(key), item, value_type) for key, item in raw.items()))


def _each(
    converter: BaseConverter, items: Iterable[tuple[str | int, object, Any]]
) -> dict[str | int, Any]:
    """Structure the (key, value, type) of *items*, and gather what does not fit."""
    values: dict[str | int, Any] = {}
    misfit: Misfit | None = None
    for key, raw, type_ in items:
        try:
            values[key] = converter.structure(raw, type_)
        except Misfit as inner:
            findings = (((key, *where), message) for where, message in inner.findings)
            misfit = Misfit(*(misfit.findings if misfit else ()), *findings)
    if misfit is not None:
        raise misfit
    return values
