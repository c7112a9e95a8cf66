"""Fill the fields of a class of settings from a table, and ask every validator."""

import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs
from cattrs import BaseConverter

from ..errors import SettingError
from . import strict_scalars as scalars
from . import wording
from .class_fields import SettingField, setting_fields
from .interpolation import Interpolated
from .strict_scalars import Misfit
from .toml_lines import KeyPath

T = TypeVar("T")

NONE_WRITTEN_AS = "none_written_as"
"""In the metadata of a field: the string that stands for None, as TOML has no null."""

_BEGINNING = re.compile(r"['\"]?(\w+)")
"""The first word of a refusal, which may name the field."""


def structure_class(
    converter: BaseConverter, raw: object, type_: type[T], also_known: Iterable[str] = ()
) -> T:
    """Make a *type_* of the table *raw*.

    Args:
        converter: Structures the fields.
        raw: The table; an instance of *type_* is taken as it is.
        type_: An attrs class, or a dataclass.
        also_known: Keys that are taken elsewhere, to be proposed for a misspelt one.

    Raises:
        Misfit: Something is wrong. The error lists everything that is.
    """
    by_key = {field.key: field for field in _fields(type_)}
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
    arguments = {by_key[key].argument: value for key, value in values.items()}
    return _made(type_, arguments, raw, by_key)


def _fields(type_: type) -> list[SettingField]:
    try:
        return setting_fields(type_)
    except (TypeError, NameError) as error:
        message = f"the plugin's Config is not a class that can be read: {error}"
        raise Misfit(((), message)) from None


def _structure_field(converter: BaseConverter, raw: object, field: SettingField) -> object:
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
    by_key: Mapping[str, SettingField],
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
        if field.check is None:
            continue
        try:
            converted = _converted(field, value)
        except Exception:  # noqa: BLE001, S112 - an author's own; told when the instance is made
            continue
        try:
            field.check(blank, field.attribute, converted)
        except (ValueError, TypeError) as error:
            findings.append(((key,), wording.refusal(error, raw[key], field.type)))
        except AttributeError:
            continue
    return findings


def _converted(field: SettingField, value: object) -> object:
    return value if field.convert is None else field.convert(value)


def _made(
    type_: type[T],
    values: Mapping[str, object],
    raw: Mapping[str, object],
    by_key: Mapping[str, SettingField],
) -> T:
    try:
        return type_(**values)
    except Exception as error:  # noqa: BLE001 - a plugin author's own checks may raise anything
        key = _key_named(error, raw, by_key)
        if key is None:
            raise Misfit(((), wording.refusal(error, raw, type_))) from None
        raise Misfit(((key,), wording.refusal(error, raw[key], by_key[key].type))) from None


def _key_named(
    error: Exception, raw: Mapping[str, object], by_key: Mapping[str, SettingField]
) -> str | None:
    """Give the key of the table that the check of a whole instance is about: a ``SettingError``
    says it, and a text that begins with it does.
    """
    named = error.key if isinstance(error, SettingError) else None
    if named is None and error.args and (begins := _BEGINNING.match(str(error.args[0]))):
        named = begins[1]
    named = next((key for key, field in by_key.items() if named in {key, field.name}), None)
    return named if named in raw else None
