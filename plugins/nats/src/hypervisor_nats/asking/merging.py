"""The events of many runs in one order: by time, and within a run as it has them."""

import heapq
from collections.abc import Iterator, Sequence

from hypervisor_nats.asking.run_walk import RunWalk
from hypervisor_observability.stores import Entry


def merged(walks: Sequence[RunWalk], *, turned: bool) -> Iterator[Entry]:
    """Give what walks find, by time, backwards if it is *turned*; of equal times first what is of
    the first run, or of the last one.

    A message is read when its turn may have come, so that those alone are held whose times
    overlap.
    """
    sign = -1 if turned else 1
    waiting: list[tuple[int, int, RunWalk, Entry | None, Iterator[Entry]]] = []

    def wait(order: int, walk: RunWalk, entries: Iterator[Entry]) -> None:
        entry = next(entries, None)
        time_ns = walk.bound if entry is None else entry.event.timestamp_ns
        if time_ns is not None:
            heapq.heappush(waiting, (sign * time_ns, sign * order, walk, entry, entries))

    for order, walk in enumerate(walks):
        wait(order, walk, iter(()))
    while waiting:
        _, order, walk, entry, entries = heapq.heappop(waiting)
        if entry is None:
            entries = walk.read()
        else:
            yield entry
        wait(sign * order, walk, entries)
