"""The process's clock: it never runs backwards, and follows a step of the wall clock.

An event's time is the monotonic reading plus one offset to UTC, taken when the process
starts. Who reads it in a hot loop adds the two itself::

    clock.monotonic_ns() + clock.utc_offset_ns

Two clocks cannot be read at once, and a thread may be descheduled between the two. So the wall
clock is read between two readings of the monotonic one: it counts only if these are close.
"""

import os
import threading
import time
from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from typing import Any

STEP_NS = 100_000_000
"""A difference to the wall clock beyond this (100 ms) is a step and takes a new offset."""

_BRACKET_NS = 1_000_000
_WIDEST_BRACKET_NS = STEP_NS // 4
_TRIES = 5
_FROZEN_NS = 1_000_000_000


def _own_time() -> Any:
    """Give a ``time`` of our own: a test that freezes time replaces the functions that all modules
    share, from one line to the next, and the offset would be that of another clock.
    """
    spec = BuiltinImporter.find_spec("time")
    if spec is None or spec.loader is None:
        return time
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_real = _own_time()
monotonic_ns: Callable[[], int] = _real.monotonic_ns
utc_offset_ns: int = _real.time_ns() - monotonic_ns()
"""Nanoseconds to add to ``monotonic_ns()`` to get nanoseconds since the epoch."""

steps: int = 0
"""How many steps of the wall clock were followed, in this process."""

last_step_ns: int = 0
"""How far the last of them went."""

_looking = threading.Lock()


def now_ns() -> int:
    """Give the present time, in nanoseconds since the epoch."""
    return monotonic_ns() + utc_offset_ns


def follow_wall_clock() -> int:
    """Take a new offset if the wall clock was stepped (set, or the machine was suspended).

    Returns:
        The step in nanoseconds; 0 where there was none, or another thread is looking.
    """
    global utc_offset_ns, steps, last_step_ns  # noqa: PLW0603 - the one clock of the process
    if not _looking.acquire(blocking=False):
        return 0
    try:
        offset_ns = _read_offset_ns()
        step_ns = 0 if offset_ns is None else offset_ns - utc_offset_ns
        if offset_ns is None or abs(step_ns) <= STEP_NS:
            return 0
        utc_offset_ns, last_step_ns = offset_ns, step_ns
        steps += 1
        return step_ns
    finally:
        _looking.release()


def _read_offset_ns() -> int | None:
    """Read the wall clock in a close bracket; None: it could not be had, or time is frozen."""
    narrowest = found = None
    for _ in range(_TRIES):
        before = monotonic_ns()
        wall = time.time_ns()
        width = monotonic_ns() - before
        if narrowest is None or width < narrowest:
            narrowest, found = width, wall - before - width // 2
        if width <= _BRACKET_NS:
            break
    if narrowest is None or narrowest > _WIDEST_BRACKET_NS:
        return None
    # A test that freezes time freezes this clock too: then the wall clock is no clock.
    if abs(time.monotonic_ns() - monotonic_ns()) >= _FROZEN_NS:
        return None
    step_ns = 0 if found is None else found - utc_offset_ns
    return found if abs(step_ns) <= STEP_NS or _is_the_kernels(_real.time_ns()) else None


def _is_the_kernels(wall_ns: int) -> bool:
    """Tell whether the kernel's time, which a new file has, is *wall_ns*; True where nothing tells.

    A test that travels in time replaces all functions that read the wall clock, our own too.
    """
    try:
        descriptor = os.memfd_create("clock")
    except (AttributeError, OSError):  # not on this system, or not allowed
        return True
    try:
        return abs(os.fstat(descriptor).st_mtime_ns - wall_ns) < _FROZEN_NS
    finally:
        os.close(descriptor)


def _look_anew() -> None:
    global _looking  # noqa: PLW0603 - a thread of the parent may have held it
    _looking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_anew)
