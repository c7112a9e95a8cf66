"""Numbers of payloads, which hold anything: what counts as one, and what does not."""

import math
from typing import TypeGuard

from ..events import HypervisorEvent
from .open_work import Open

MAX_AMOUNT = 2**53
"""Beyond this the integers have gaps as floats, and a total would not be exact."""


def is_amount(value: object) -> TypeGuard[float]:
    """Tell whether *value* is a number from 0 that can be added up."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether *value* is a number of things: an integer from 0 that can be added up."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_AMOUNT


def seconds_between(begun: Open, event: HypervisorEvent, key: str) -> float:
    """Give how long something took, never negative.

    Args:
        begun: Its beginning.
        event: Its end.
        key: The payload's key for a duration that was measured, which is then taken.
    """
    measured = event.payload.get(key)
    if is_amount(measured):
        return float(measured)
    return max(0, event.timestamp_ns - begun.start_ns) / 1e9
