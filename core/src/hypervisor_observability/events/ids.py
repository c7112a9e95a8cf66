"""Draw identifiers: numbers of a per-process counter, turned into hexadecimal when read.

A number is taken in one C call, which no other thread, signal handler or finaliser can
interrupt. Its text comes from a bijection, so that two numbers of one process never give
the same id, and neighbours look unrelated. The counter starts at a random place and is
moved to a new one in a fork's child; the text depends on the number alone, so an id that
the parent drew reads the same in the child.
"""

import itertools
import os
from collections.abc import Callable

from ..threads.interruptions import is_from_handler
from ..values.scalars import NOT_PLAIN, plain_scalar

# Below 2**62 itertools.count() stays in its fast mode, which counts in a C integer.
_START_BITS = 62


_MULTIPLIER = 0x9E3779B97F4A7C15
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)


def _new_counter() -> Callable[[], int]:
    return itertools.count(int.from_bytes(os.urandom(8)) >> (64 - _START_BITS)).__next__


next_number: Callable[[], int] = _new_counter()
"""Draw the next number. Call it as ``ids.next_number()``: a fork's child replaces it."""


def _move_on_after_fork() -> None:
    global next_number  # noqa: PLW0603 - the one counter of the process, see the docstring above
    next_number = _new_counter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_move_on_after_fork)


def text_of(bits: int) -> Callable[[int], str]:
    """Give what writes a number as an id of so many *bits*, in lower-case hexadecimal.

    The lowest bits of the number decide, one to one. Multiplying by an odd number and xoring a
    number with its own upper half can both be undone, modulo a power of two. The multiplier is
    2**64 divided by the golden ratio, which spreads successive numbers evenly (Knuth, The Art of
    Computer Programming, volume 3, section 6.4, "Fibonacci hashing").
    """
    mask, half, form = (1 << bits) - 1, bits >> 1, f"%0{bits // 4}x"

    def text(number: int) -> str:
        number = number * _MULTIPLIER & mask
        # An id of zeros alone is forbidden (W3C Trace Context, section 3.2.2); one number in
        # 2**bits would give it.
        return form % (number ^ number >> half or 1)

    return text


event_id_text = text_of(64)
"""Give the event id of a number: 16 hexadecimal digits."""

trace_id_text = text_of(48)
"""Give the trace id of a number: 12 hexadecimal digits, not all zeros."""

span_id_text = text_of(32)
"""Give the span id of a number: 8 hexadecimal digits, not all zeros."""


def event_id_number(text: str) -> int:
    """Give the number of the event id *text*, below ``2**64``: what ``event_id_text`` undoes."""
    number = int(text, 16)
    return (number ^ number >> 32) * _INVERSE & (1 << 64) - 1


def wide_trace_id_text(number: int) -> str:
    """Give a trace id of 32 hexadecimal digits: 16 that are random, and 16 of *number*.

    No two of a process are equal, whatever is random, and samplers find the low 8 bytes spread.
    """
    return os.urandom(8).hex() + event_id_text(number)


def as_text(value: object) -> str:
    """Give the text of an id, such as a UUID or a number. Never raises."""
    if type(value) is str:
        return value
    plain = plain_scalar(value)
    try:
        if plain is not NOT_PLAIN:
            return str(plain)  # of an integer with thousands of digits it raises
        return str.__str__(value if isinstance(value, str) else str(value))
    except Exception as error:  # a hostile __str__: an id is no reason to raise
        if is_from_handler(error):
            raise
        return f"<{type(value).__name__}>"
