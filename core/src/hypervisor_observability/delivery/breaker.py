"""When to try again, and how cautiously: backoff, and a breaker for a backend that is down.

The states are those of M. Nygard, *Release It!*: closed (all is well), open (wait), half-open
(one event tells whether the backend is back).
"""

import random
from enum import Enum

from attrs import define, field

BREAKER_FAILURES = 5
"""Failures in a row that open the breaker."""

MAX_RETRY_SECONDS = 300.0
"""Longest time that a backend may have itself waited for."""

_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0


class BreakerState(Enum):
    """Whether batches are offered."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@define(eq=False)
class Breaker:
    """Count failures in a row.

    Attributes:
        failures: In a row, so far.
        waiting: Whether the next try is being waited for.
    """

    failures: int = field(default=0, init=False)
    waiting: bool = field(default=False, init=False)

    @property
    def tripped(self) -> bool:
        """Whether only single events may be offered, until one is accepted."""
        return self.failures >= BREAKER_FAILURES

    @property
    def state(self) -> BreakerState:
        """The state as operators know it."""
        if not self.tripped:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.waiting else BreakerState.HALF_OPEN

    def succeed(self) -> None:
        """Note that something was accepted."""
        self.failures = 0

    def fail(self, after: object = None) -> float:
        """Note that nothing was.

        Args:
            after: Seconds that the backend asked to wait. A plugin's word: it may be anything.

        Returns:
            Seconds to wait before the next try: never fewer than the own backoff.
        """
        attempt = self.failures
        self.failures += 1
        longest = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0 ** min(attempt, 16))
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
        own = longest * random.random()  # noqa: S311 - spreads load, keeps no secret
        return max(own, seconds_asked_for(after))


def seconds_asked_for(after: object) -> float:
    """Give for how long a backend has itself waited for, 0 to ``MAX_RETRY_SECONDS``.

    Args:
        after: ``RetryLater.after``. A plugin's word: what is no number of seconds is 0.
    """
    if isinstance(after, bool) or not isinstance(after, int | float):
        return 0.0
    # In this order NaN, which compares as false, becomes 0.
    return min(max(0.0, after), MAX_RETRY_SECONDS)
