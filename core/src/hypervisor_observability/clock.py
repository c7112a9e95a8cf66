"""The process's clock: it never runs backwards, and follows a step of the wall clock.

An event's time is the monotonic reading plus one offset to UTC, taken when the process
starts. Who reads it in a hot loop adds the two itself::

    time.monotonic_ns() + clock.utc_offset_ns
"""

import time

STEP_NS = 100_000_000
"""A difference to the wall clock beyond this (100 ms) is a step and takes a new offset."""

utc_offset_ns: int = time.time_ns() - time.monotonic_ns()
"""Nanoseconds to add to ``time.monotonic_ns()`` to get nanoseconds since the epoch."""


def now_ns() -> int:
    """Give the present time, in nanoseconds since the epoch."""
    return time.monotonic_ns() + utc_offset_ns


def follow_wall_clock() -> int:
    """Take a new offset if the wall clock was stepped (set, or the machine was suspended).

    Returns:
        The step in nanoseconds; 0 where there was none.
    """
    global utc_offset_ns  # noqa: PLW0603 - the one offset of the process, see the docstring above
    offset_ns = time.time_ns() - time.monotonic_ns()
    step_ns = offset_ns - utc_offset_ns
    if abs(step_ns) <= STEP_NS:
        return 0
    # Assigned, not added: two threads that find the same step take it once.
    utc_offset_ns = offset_ns
    return step_ns
