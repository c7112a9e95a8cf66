"""The events of a trace that somebody looks at: read once, then taken as they come."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from attrs import define, field

from hypervisor_observability.bus.event_memory import rough_bytes
from hypervisor_observability.facts.leaves import Leaves
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.stores import Entry
from hypervisor_observability.tree.summary import TraceSummary

MOST_EVENTS = 200_000
"""Most events of a trace that are kept, the newest."""
MOST_BYTES = 128 << 20
"""Most bytes that they take, roughly; the newest event is kept whatever its size."""


class Kept(NamedTuple):
    """An event that is kept.

    Attributes:
        timestamp_ns: When it was recorded.
        arrival: How many came before it.
        entry: The event, with its place in its store.
    """

    timestamp_ns: int
    arrival: int
    entry: Entry


@define(eq=False)
class KeptTrace:
    """The events of one trace, the newest of them, and a summary of all that came.

    Attributes:
        prices: To estimate costs that were not told; None: they are not estimated.
        older: Whether there are events before the first that came.
        arrived: How many came.
        dropped: How many of those were given up again, the oldest.
        summary: Of all that came; None before the first.
    """

    prices: Prices | None = None
    older: bool = False
    arrived: int = 0
    dropped: int = 0
    summary: TraceSummary | None = None
    _runs: dict[str, deque[Kept]] = field(factory=dict, init=False)
    _newest: dict[str, int] = field(factory=dict, init=False)
    _bytes: int = field(default=0, init=False)
    _leaves: Leaves = field(factory=Leaves, init=False)

    def take(self, entries: Iterable[Entry]) -> None:
        """Keep what came, except for what came before: of a run each has a higher number."""
        for entry in entries:
            if entry.sequence <= self._newest.get(entry.run, -1):
                continue
            self._newest[entry.run] = entry.sequence
            event = entry.event
            if self.summary is None:
                self.summary = TraceSummary.begin(event)
            self.summary.take(event, self._leaves, self.prices)
            run = self._runs.setdefault(entry.run, deque())
            run.append(Kept(event.timestamp_ns, self.arrived, entry))
            self.arrived += 1
            self._bytes += rough_bytes(event)
            while len(self) > MOST_EVENTS or (self._bytes > MOST_BYTES and len(self) > 1):
                self._drop_oldest()

    def __len__(self) -> int:
        """How many are kept."""
        return self.arrived - self.dropped

    def runs(self) -> list[Sequence[Kept]]:
        """Give what is kept, by run: copies, to be put into order without holding up others."""
        return [list(run) for run in self._runs.values()]

    def _drop_oldest(self) -> None:
        oldest = min((run for run in self._runs.values() if run), key=itemgetter(0))
        self._bytes -= rough_bytes(oldest.popleft().entry.event)
        self.dropped += 1


def in_order(runs: list[Sequence[Kept]]) -> Iterator[Kept]:
    """Give the events of several runs by their times; of one run in its own order."""
    return heapq.merge(*runs, key=itemgetter(0))
