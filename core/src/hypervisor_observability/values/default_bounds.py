"""Bounds that nobody asked for: they do not overrule one that somebody did ask for."""


class DefaultBound(int):
    """A bound by default: the number, and that nobody asked for it."""


DEFAULT_MAX_EVENTS = DefaultBound(100_000)
"""Events that the log keeps."""

DEFAULT_MAX_BYTES = DefaultBound(64 * 1024 * 1024)
"""Bytes of memory that they may take."""


def asked_bounds(first: int | None, second: int | None) -> tuple[int | None, int | None]:
    """Give the bounds that hold, of two that bound the same; None for no bound.

    Both hold if both were asked for, or neither was. One that was asked for alone holds alone.
    """
    if isinstance(first, DefaultBound) == isinstance(second, DefaultBound):
        return first, second
    return (None, second) if isinstance(first, DefaultBound) else (first, None)
