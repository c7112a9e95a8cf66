"""How durations are spread: medians and the like, in bounded memory."""

import math
from collections import Counter

from attrs import define, field

_STEPS = 16
"""Bins of each doubling: what is told is at most 2.2 % beside what was measured."""
_UNIT_SECONDS = 1e-6


@define(eq=False)
class Spread:
    """Durations, sorted into bins that grow with them.

    Attributes:
        count: How many there are.
        least_seconds: The shortest.
        most_seconds: The longest.
    """

    count: int = 0
    least_seconds: float = math.inf
    most_seconds: float = 0.0
    _bins: Counter[int] = field(factory=Counter, init=False)

    def add(self, seconds: float) -> None:
        """Take a duration, which is not negative."""
        self.count += 1
        self.least_seconds = min(self.least_seconds, seconds)
        self.most_seconds = max(self.most_seconds, seconds)
        self._bins[int(math.log2(seconds / _UNIT_SECONDS + 1) * _STEPS)] += 1

    def quantile(self, share: float) -> float:
        """Give the seconds within which that *share* of the durations are; there must be any."""
        rank = max(1, math.ceil(share * self.count))
        for place in sorted(self._bins):
            rank -= self._bins[place]
            if rank <= 0:
                break
        middle = (2 ** ((place + 0.5) / _STEPS) - 1) * _UNIT_SECONDS
        return min(max(middle, self.least_seconds), self.most_seconds)
