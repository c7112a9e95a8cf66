"""Strict hooks for single values: numbers, strings, paths, secrets and choices."""

import math
import re
from enum import Enum
from pathlib import Path
from typing import Any

from . import wording
from .interpolation import Interpolated
from .secret import Secret
from .toml_lines import KeyPath

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_FLOAT = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**63 - 1  # TOML 1.0, section Integer


class Misfit(Exception):  # noqa: N818 - a list of findings on its way up
    """What does not fit in a value, each with its path from there. May be empty: told before."""

    def __init__(self, *findings: tuple[KeyPath, str]) -> None:
        self.findings = findings
        super().__init__(findings)


def misfit(type_: object, raw: object) -> Misfit:
    """Say that *raw* is nothing for a field of *type_*."""
    return Misfit(((), wording.mismatch(type_, raw)))


def unsupported(_: object, type_: object) -> object:
    """Refuse a field whose type has no hook: the author's mistake, told like the user's."""
    name = getattr(type_, "__name__", str(type_))
    raise Misfit(((), f"the plugin's Config has a field of type {name}, which has no TOML form"))


def structure_bool(raw: object, type_: object) -> bool:
    """Take true and false."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, Interpolated) and raw.is_whole and raw.text in _BOOLEANS:
        return _BOOLEANS[raw.text]
    raise misfit(type_, raw)


def structure_int(raw: object, type_: object) -> int:
    """Take an integer of 64 bits; no boolean, no 1.0."""
    value = raw
    if isinstance(raw, Interpolated) and raw.is_whole and _INTEGER.fullmatch(raw.text):
        value = int(raw.text)
    if not isinstance(value, int) or isinstance(value, bool):
        raise misfit(type_, raw)
    if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
        raise Misfit(((), f"expected an integer of 64 bits, got {wording.described(raw)}"))
    return value


def structure_float(raw: object, type_: object) -> float:
    """Take a finite number; an integer will do."""
    value = raw
    if isinstance(raw, Interpolated) and raw.is_whole and _FLOAT.fullmatch(raw.text):
        value = float(raw.text)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(structure_int(value, type_))
    if not isinstance(value, float):
        raise misfit(type_, raw)
    if not math.isfinite(value):
        raise Misfit(((), f"expected a finite number, got {wording.described(raw)}"))
    return value


def structure_str(raw: object, type_: object) -> str:
    """Take a string."""
    if isinstance(raw, Interpolated):
        return raw.text
    if isinstance(raw, str):
        return raw
    raise misfit(type_, raw)


def structure_secret(raw: object, type_: object) -> Secret:
    """Take a string, to be shown no more."""
    return raw if isinstance(raw, Secret) else Secret(structure_str(raw, type_))


def structure_path(raw: object, folder: Path | None) -> Path:
    """Take a path; a relative one starts at *folder*, if there is one."""
    if isinstance(raw, Path):
        return raw if folder is None else folder / raw
    text = structure_str(raw, Path)
    if not text or "\0" in text:
        raise Misfit(((), "expected a path, got one that is empty or holds a NUL character"))
    if text.startswith("~"):
        raise Misfit(((), "'~' is not expanded, write the path in full or with ${HOME}"))
    return Path(text) if folder is None else folder / text


def structure_choice(raw: object, type_: Any) -> object:
    """Take one of the values of a ``Literal`` or an enumeration."""
    for option in wording.options(type_):
        same = type(raw) is type(option) and raw == option
        if isinstance(raw, Interpolated):
            same = raw.is_whole and raw.text == str(option)
        if same:
            return type_(option) if wording.is_enum(type_) else option
    if isinstance(raw, Enum) and wording.is_enum(type_) and isinstance(raw, type_):
        return raw
    raise misfit(type_, raw)
