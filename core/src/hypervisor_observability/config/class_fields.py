"""The fields of a class that holds settings: one of attrs, or a dataclass, told in one way."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import frozen

WRITTEN_AS = "written_as"
"""In the metadata of a field: its key, where that is a keyword of Python."""


@frozen
class SettingField:
    """A field that a table fills.

    Attributes:
        name: The attribute's.
        argument: What ``__init__`` calls it.
        key: What the table calls it.
        type: Resolved.
        default: ``attrs.NOTHING`` if the key is required; of a factory, what stands for it.
        metadata: Of the field.
        check: attrs' validator: ``check(instance, attribute, value)``; None where there is none.
        convert: attrs' converter; None where there is none.
        attribute: What attrs hands to a validator; None of a dataclass.
    """

    name: str
    argument: str
    key: str
    type: Any
    default: object
    metadata: Mapping[Any, Any]
    check: Callable[[Any, Any, Any], object] | None = None
    convert: Any = None
    attribute: Any = None


def holds_settings(type_: object) -> bool:
    """Whether *type_* is a class whose fields a table can fill."""
    return isinstance(type_, type) and (attrs.has(type_) or dataclasses.is_dataclass(type_))


def setting_fields(type_: type) -> list[SettingField]:
    """Give the fields of *type_* that ``__init__`` takes.

    Raises:
        TypeError: It is neither an attrs class nor a dataclass.
        NameError: An annotation cannot be read.
    """
    if attrs.has(type_):
        attrs.resolve_types(type_)
        return [_of_attrs(field) for field in attrs.fields(type_) if field.init]
    if not dataclasses.is_dataclass(type_):
        raise TypeError(
            f"{type_.__qualname__} is neither an attrs class nor a dataclass: put"
            " @dataclass(frozen=True) above it"
        )
    types = typing.get_type_hints(type_)
    return [_of_dataclass(field, types) for field in dataclasses.fields(type_) if field.init]


def field_types(type_: type) -> dict[str, Any]:
    """Give the types of all fields by name, as far as they are resolved; of another class none."""
    fields: Any = ()
    if attrs.has(type_):
        fields = attrs.fields(type_)
    elif dataclasses.is_dataclass(type_):
        fields = dataclasses.fields(type_)
    return {field.name: field.type for field in fields}


def _of_attrs(field: "attrs.Attribute[Any]") -> SettingField:
    argument = field.alias or field.name
    return SettingField(
        field.name,
        argument,
        str(field.metadata.get(WRITTEN_AS) or argument),
        field.type,
        field.default,
        field.metadata,
        field.validator,
        field.converter,
        field,
    )


def _of_dataclass(field: "dataclasses.Field[Any]", types: Mapping[str, Any]) -> SettingField:
    default: object = field.default
    if default is dataclasses.MISSING:
        made = field.default_factory is not dataclasses.MISSING
        default = field.default_factory if made else attrs.NOTHING
    key = str(field.metadata.get(WRITTEN_AS) or field.name)
    return SettingField(field.name, field.name, key, types[field.name], default, field.metadata)
