"""Scalars of other types as the plain values that they stand for.

A database's decimal, numpy's count, a UUID, a member of an enumeration, a time: a payload holds
what they say, as ``None``, a boolean, a number or a string. Only code of the standard library, of
numpy and of classes that are numbers (``numbers.Integral``, ``numbers.Real``) is run for it: no
``__str__``, ``__bool__``, ``__index__`` or ``__float__`` of another class is called.
"""

import datetime
import enum
import sys
from collections.abc import Callable
from typing import Any

from ..threads.interruptions import is_from_handler

NOT_PLAIN: Any = enum.Enum("NotPlain", "NOT_PLAIN").NOT_PLAIN  # type: ignore[attr-defined]  # made here
"""What ``plain_scalar`` gives for a value that stands for no plain one."""

_MOST_STEPS = 8
_MAX_EXPONENT = 620  # of ten; 2,048 bits are 617 digits
_MAX_FRACTION_BITS = 65_536


def plain_scalar(value: Any) -> Any:
    """Give the plain value of *value*, a scalar of any type; ``NOT_PLAIN`` if it has none.

    Never raises. What it gives is of a builtin type exactly: ``str``, ``int``, ``float``, ``bool``
    or ``None``.
    """
    # A member of an enumeration, or one of numpy's scalars, may hold another odd one.
    for _ in range(_MOST_STEPS):
        kind = type(value)
        if kind in _PLAIN:
            return value
        try:
            value = _step(kind, value)
        except Exception as error:  # whatever a class's metaclass, time zone or number raises
            if is_from_handler(error):
                raise
            return NOT_PLAIN
        if value is NOT_PLAIN:
            return value
    return NOT_PLAIN


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _step(kind: type, value: Any) -> Any:
    """Bring *value* one step nearer to a plain value."""
    for base, convert in _BUILTIN:
        if issubclass(kind, base):
            return convert(value)
    for module, name, convert_known in _LIBRARY:
        # Who has such a value has imported its module; we need not.
        known = getattr(sys.modules.get(module), name, None)
        if isinstance(known, type) and issubclass(kind, known):
            return convert_known(known, value)
    return NOT_PLAIN


def _of_member(member: enum.Enum) -> Any:
    value = object.__getattribute__(member, "_value_")
    return value if plain_scalar(value) is not NOT_PLAIN else member.name


# Methods of the base class, which no subclass overrides.
_BUILTIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (enum.Enum, _of_member),
    (datetime.datetime, datetime.datetime.isoformat),
    (datetime.date, datetime.date.isoformat),
    (datetime.time, datetime.time.isoformat),
    (datetime.timedelta, datetime.timedelta.total_seconds),
)


def _of_decimal(known: Any, value: Any) -> Any:
    if known.is_snan(value) or known.adjusted(value) > _MAX_EXPONENT:
        return known.__str__(value)
    if not known.is_finite(value):
        return float(known.__str__(value))
    if known.__eq__(value, known.to_integral_value(value)):
        return known.__int__(value)
    return known.__float__(value)


def _of_fraction(known: Any, value: Any) -> Any:
    # By the slots: a subclass may have properties of its own.
    numerator, denominator = (
        known.__dict__[slot].__get__(value) for slot in ("_numerator", "_denominator")
    )
    if max(numerator.bit_length(), denominator.bit_length()) > _MAX_FRACTION_BITS:
        return NOT_PLAIN
    return numerator if denominator == 1 else numerator / denominator


def _text(known: Any, value: Any) -> Any:
    return known.__str__(value)


def _path(_known: Any, value: Any) -> Any:
    # A subclass of the user's may have a __str__ of its own.
    own = type(value).__module__.partition(".")[0] == "pathlib"
    return str(value) if own else NOT_PLAIN


def _of_numpy(known: Any, value: Any) -> Any:
    item = known.item(value)
    # Its long doubles are no type of Python's.
    return float(item) if type(item) is type(value) else item


def _of_array(known: Any, value: Any) -> Any:
    # One without a dimension is a scalar.
    return NOT_PLAIN if known.__dict__["ndim"].__get__(value) else known.item(value)


def _of_integral(_known: Any, value: Any) -> Any:
    return int.__int__(value.__index__())


def _of_real(_known: Any, value: Any) -> Any:
    return float.__float__(value.__float__())


# Numbers come last: numpy's are of both kinds.
_LIBRARY: tuple[tuple[str, str, Callable[[Any, Any], Any]], ...] = (
    ("uuid", "UUID", _text),
    ("decimal", "Decimal", _of_decimal),
    ("fractions", "Fraction", _of_fraction),
    ("pathlib", "PurePath", _path),
    ("ipaddress", "IPv4Address", _text),
    ("ipaddress", "IPv6Address", _text),
    ("numpy", "generic", _of_numpy),
    ("numpy", "ndarray", _of_array),
    ("numbers", "Integral", _of_integral),
    ("numbers", "Real", _of_real),
)
