"""Fill the fields of an attrs class from a table, and ask every validator."""

import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs
from cattrs import BaseConverter

from . import strict_scalars as scalars
from . import wording
from .interpolation import Interpolated
from .strict_scalars import Misfit
from .toml_lines import KeyPath

T = TypeVar("T")
# The class is generic for type checkers alone.
_Field: typing.TypeAlias = "attrs.Attribute[Any]"

NONE_WRITTEN_AS = "none_written_as"
"""In the metadata of a field: the string that stands for None, as TOML has no null."""

WRITTEN_AS = "written_as"
"""In the metadata of a field: its key, where that is a keyword of Python."""


def structure_class(
    converter: BaseConverter, raw: object, type_: type[T], also_known: Iterable[str] = ()
) -> T:
    """Make a *type_* of the table *raw*.

    Args:
        converter: Structures the fields.
        raw: The table; an instance of *type_* is taken as it is.
        type_: An attrs class.
        also_known: Keys that are taken elsewhere, to be proposed for a misspelt one.

    Raises:
        Misfit: With everything that is wrong.
    """
    by_key = {_key(field): field for field in _fields(type_)}
    if isinstance(raw, type_):
        return raw
    if not isinstance(raw, Mapping):
        raise scalars.misfit(type_, raw)
    values: dict[str, Any] = {}
    findings: list[tuple[KeyPath, str]] = []
    incomplete = False
    for key, item in raw.items():
        if key not in by_key:
            findings.append(((key,), wording.unknown_key(key, {*by_key, *also_known})))
            continue
        try:
            values[key] = _structure_field(converter, item, by_key[key])
        except Misfit as misfit:
            incomplete = True
            findings += [((key, *where), message) for where, message in misfit.findings]
    for key, field_ in by_key.items():
        if key not in raw and field_.default is attrs.NOTHING:
            findings.append(((key,), f"missing, expected {wording.wanted(field_.type)}"))
    findings += _refusals(type_, by_key, raw, values)
    if findings or incomplete:
        raise Misfit(*findings)
    arguments = {by_key[key].alias or by_key[key].name: value for key, value in values.items()}
    return _made(type_, arguments, raw)


def _key(field: _Field) -> str:
    return str(field.metadata.get(WRITTEN_AS) or field.alias or field.name)


def _fields(type_: type) -> list[_Field]:
    try:
        attrs.resolve_types(type_)
        return [field for field in attrs.fields(type_) if field.init]
    except (attrs.exceptions.NotAnAttrsClassError, TypeError, NameError) as error:
        message = f"the plugin's Config is no attrs class that can be read: {error}"
        raise Misfit(((), message)) from None


def _structure_field(converter: BaseConverter, raw: object, field: _Field) -> object:
    stand_in = field.metadata.get(NONE_WRITTEN_AS)
    text = raw.text if isinstance(raw, Interpolated) and raw.is_whole else raw
    if stand_in is not None and text == stand_in:
        return None
    try:
        return converter.structure(raw, typing.cast(Any, field.type))
    except Misfit as misfit:
        if stand_in is None or any(where for where, _ in misfit.findings):
            raise
        also = f" or '{stand_in}', got "
        findings = [(where, text.replace(", got ", also, 1)) for where, text in misfit.findings]
        raise Misfit(*findings) from None


def _refusals(
    type_: type,
    by_key: Mapping[str, _Field],
    raw: Mapping[str, object],
    values: Mapping[str, object],
) -> list[tuple[KeyPath, str]]:
    """Ask the validators one by one: attrs itself stops at the first that refuses.

    A validator that is a method may look at other fields; it gets an instance that has
    those which fit, with defaults for the rest. If it finds one missing, it is asked again
    when the instance is made, which happens only when nothing else is wrong.
    """
    blank: object = object.__new__(type_)
    for key, field in by_key.items():
        value = values.get(key, field.default)
        if value is not attrs.NOTHING:
            object.__setattr__(blank, field.name, value)
    findings: list[tuple[KeyPath, str]] = []
    for key, value in values.items():
        field = by_key[key]
        if field.validator is None:
            continue
        try:
            converted = _converted(field, value)
        except Exception:  # noqa: BLE001, S112 - an author's own; told when the instance is made
            continue
        try:
            field.validator(blank, field, converted)
        except (ValueError, TypeError) as error:
            findings.append(((key,), wording.refusal(error, raw[key], field.type)))
        except AttributeError:
            continue
    return findings


def _converted(field: _Field, value: object) -> object:
    convert: Any = field.converter
    return value if convert is None else convert(value)


def _made(type_: type[T], values: Mapping[str, object], raw: Mapping[str, object]) -> T:
    try:
        return type_(**values)
    except Exception as error:  # noqa: BLE001 - a plugin author's own checks may raise anything
        raise Misfit(((), wording.refusal(error, raw, type_))) from None
