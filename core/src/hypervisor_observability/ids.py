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

# Below 2**62 itertools.count() stays in its fast mode, which counts in a C integer.
_START_BITS = 62


def _new_counter() -> Callable[[], int]:
    return itertools.count(int.from_bytes(os.urandom(8)) >> (64 - _START_BITS)).__next__


next_number: Callable[[], int] = _new_counter()
"""Draw the next number. Call it as ``ids.next_number()``: a fork's child replaces it."""


def _move_on_after_fork() -> None:
    global next_number  # noqa: PLW0603 - the one counter of the process, see the docstring above
    next_number = _new_counter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_move_on_after_fork)


def mix(number: int, bits: int) -> int:
    """Map the lowest *bits* of *number* to an integer below ``2**bits``, one to one.

    Odd multipliers and right shifts are both invertible modulo a power of two. The
    multipliers are those of the SplitMix64 finaliser (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", 2014).
    """
    mask = (1 << bits) - 1
    shift = bits // 2
    number &= mask
    number ^= number >> shift
    number = number * 0xBF58476D1CE4E5B9 & mask
    number ^= number >> shift
    number = number * 0x94D049BB133111EB & mask
    return number ^ (number >> shift)


def _text(number: int, digits: int) -> str:
    # An id of zeros alone is forbidden (W3C Trace Context, section 3.2.2); one number in
    # 2**(4 * digits) would give it.
    return f"{mix(number, 4 * digits) or 1:0{digits}x}"


def event_id_text(number: int) -> str:
    """Give the event id of *number*: 16 hexadecimal digits."""
    return _text(number, 16)


def trace_id_text(number: int) -> str:
    """Give the trace id of *number*: 12 hexadecimal digits, not all zeros."""
    return _text(number, 12)


def span_id_text(number: int) -> str:
    """Give the span id of *number*: 8 hexadecimal digits, not all zeros."""
    return _text(number, 8)
