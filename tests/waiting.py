"""Waiting for something to become true."""

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], timeout: float = 30.0) -> None:
    """Return once *predicate* is true; raise ``AssertionError`` after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"still not true after {timeout} s: {predicate}"
        time.sleep(0.01)
