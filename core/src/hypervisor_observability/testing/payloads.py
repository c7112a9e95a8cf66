"""Events as the table of payloads has them: for the tests of who writes events."""

from collections.abc import Iterable
from typing import Literal

from ..errors import ObservabilityError
from ..events.event import HypervisorEvent
from ..facts.payload_check import payload_problems
from ..text.limited_log import say

CheckMode = Literal["off", "warn", "strict"]


def check_payloads(events: Iterable[HypervisorEvent], mode: CheckMode = "strict") -> list[str]:
    """Check the payloads of *events* against the table of keys by type.

    Args:
        events: Such as ``bus.all_events``.
        mode: ``strict`` raises, ``warn`` logs each problem, ``off`` does not look.

    Returns:
        What is wrong, each problem once.

    Raises:
        ObservabilityError: Something is wrong, and *mode* is ``strict``.
        ValueError: *mode* is none of the three.
    """
    if mode not in ("off", "warn", "strict"):
        raise ValueError(f"mode: expected 'off', 'warn' or 'strict', got {mode!r}")
    if mode == "off":
        return []
    problems = list(dict.fromkeys(one for event in events for one in payload_problems(event)))
    if mode == "strict" and problems:
        raise ObservabilityError("\n".join([f"{len(problems)} problems with payloads", *problems]))
    for problem in problems:
        say(__name__, "warning", "%s", problem)
    return problems
