"""When things happened, in a bounded number of bins that grow with the time between them."""

from collections import Counter
from collections.abc import Iterator

from attrs import define, field

from ..facts.usage import OTHER

MOST_KINDS = 12
"""How many kinds are told apart; further ones are :data:`OTHER`."""

_MOST_BINS = 4_096


def bounded_kind(counts: Counter[str], kind: str) -> str:
    """Give *kind*, or :data:`OTHER` where *counts* has as many others as are told apart."""
    return kind if kind in counts or len(counts) < MOST_KINDS else OTHER


@define(eq=False)
class Timeline:
    """How many there were of each kind, at which times.

    Times are kept in nanoseconds while there are few, and more coarsely the more there are: in
    the fortieths of a picture, what stands in the wrong one stands in the next.

    Attributes:
        kinds: How many of each kind.
    """

    kinds: Counter[str] = field(factory=Counter)
    _unit_ns: int = field(default=1, init=False)
    _bins: Counter[tuple[int, str]] = field(factory=Counter, init=False)

    def add(self, moment_ns: int, kind: str) -> None:
        """Count one."""
        kind = bounded_kind(self.kinds, kind)
        self.kinds[kind] += 1
        self._bins[moment_ns // self._unit_ns, kind] += 1
        while len(self._bins) > _MOST_BINS:
            self._unit_ns *= 2
            halved: Counter[tuple[int, str]] = Counter()
            for (place, one), count in self._bins.items():
                halved[place // 2, one] += count
            self._bins = halved

    def __len__(self) -> int:
        return self.kinds.total()

    def __iter__(self) -> Iterator[tuple[int, str, int]]:
        """Give times in nanoseconds, kinds, and how many."""
        for (place, kind), count in self._bins.items():
            yield place * self._unit_ns, kind, count
