"""Read plain JSON values strictly: what was saved may have been damaged."""

import sys


def text(value: object) -> str:
    """Give *value*, a string.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def texts(values: object) -> tuple[str, ...]:
    """Give *values*, a list of strings, as a tuple.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(values, list):
        raise TypeError(f"expected a list, got {type(values).__name__}")
    return tuple(map(text, values))


def integer(value: object) -> int:
    """Give *value*, an integer.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {type(value).__name__}")
    return value


def count(value: object) -> int:
    """Give *value*, a number of things.

    Raises:
        ValueError, TypeError: It is none.
    """
    number = integer(value)
    if number < 0:
        raise ValueError(f"expected no negative number, got {number}")
    return number


def amount(value: object) -> float:
    """Give *value*, a finite number that is not negative; an integer stays one.

    Raises:
        ValueError, TypeError: It is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"expected a finite number from 0, got {value}")
    return value
