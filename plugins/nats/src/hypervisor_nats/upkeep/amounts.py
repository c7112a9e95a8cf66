"""Bytes and durations, as people write and read them."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_AMOUNT = re.compile(r"(\d{1,15})([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
NO_BOUND = "unlimited"


def read_seconds(text: str) -> float:
    """Read a duration: ``90s``, ``5m``, ``12h``, ``30d``.

    Raises:
        ValueError: It is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration: expected 90s, 5m, 12h, 30d")
    return float(int(found[1]) * _SECONDS[found[2]])


def read_bytes(text: str) -> int:
    """Read an amount of bytes: ``500M``, ``20G``; units are powers of 1024.

    Raises:
        ValueError: It is none.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an amount of bytes: expected 500M, 20G, 1T")
    return int(found[1]) * _BYTES[found[2].upper()]


def told_seconds(seconds: float) -> str:
    """Write a duration in its greatest unit that leaves no rest, or in seconds."""
    for unit, size in reversed(_SECONDS.items()):
        if seconds >= size and seconds % size == 0:
            return f"{round(seconds / size)}{unit}"
    return f"{seconds:.3g}s"


def told_bytes(count: int) -> str:
    """Write an amount of bytes in three digits."""
    for unit, size in reversed(_BYTES.items()):
        if count >= size and unit:
            return f"{count / size:.3g} {unit}iB"
    return f"{count} B"
