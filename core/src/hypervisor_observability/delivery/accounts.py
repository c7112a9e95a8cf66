"""The conservation law, kept per reader under one lock.

emitted = delivered + rejected + dropped + in flight + pending, at every moment.
"""

import threading
from collections import Counter
from collections.abc import Mapping

from attrs import frozen

from ..log import Reading
from ..sources import Source

OVERFLOW = "overflow"
"""The log gave the event up before it was read: its bound was passed, or it was cleared."""
FILTERED = "filtered"
"""The plugin's table asks for other types of events."""
STOPPED = "stopped"
"""Delivery had ended."""
DOWN = "down"
"""The plugin could not start."""


@frozen(kw_only=True)
class Counts:
    """What became of the events, for one plugin, at one moment. All are event counts.

    Attributes:
        emitted: All events of the bus.
        delivered: The backend has them.
        rejected: They were offered and refused.
        dropped: They were never offered, by reason.
        in_flight: They were handed to the plugin, whose answer is awaited.
        pending: They wait.
    """

    emitted: int
    delivered: int
    rejected: int
    dropped: Mapping[str, int]
    in_flight: int
    pending: int

    @property
    def dropped_total(self) -> int:
        """Events dropped for any reason."""
        return sum(self.dropped.values())


class Account:
    """A reader's position and what became of the events before it.

    Args:
        source: What is read.
        closed: Why nothing will be read; None for an open account.
    """

    def __init__(self, source: Source, *, closed: str | None = None) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._position = 0
        self._delivered = 0
        self._rejected = 0
        self._dropped: Counter[str] = Counter()
        self._in_flight = 0
        self._closed = closed

    @property
    def position(self) -> int:
        """Sequence number of the next event to read."""
        return self._position

    @property
    def lost(self) -> int:
        """Events rejected, or dropped although they were wanted, so far."""
        with self._lock:
            return self._rejected + self._dropped.total() - self._dropped[FILTERED]

    def read(self, max_events: int) -> Reading:
        """Read on; what is read is in flight until it is settled."""
        with self._lock:
            reading = self._source.read(self._position, max_events)
            self._position = reading.next_position
            self._in_flight += len(reading.events)
            if reading.skipped:
                self._dropped[OVERFLOW] += reading.skipped
            return reading

    def deliver(self, events: int) -> None:
        """Settle *events* as delivered."""
        with self._lock:
            self._in_flight -= events
            self._delivered += events

    def reject(self, events: int) -> None:
        """Settle *events* as rejected."""
        with self._lock:
            self._in_flight -= events
            self._rejected += events

    def drop(self, events: int, reason: str) -> None:
        """Settle *events* as dropped."""
        with self._lock:
            self._in_flight -= events
            self._dropped[reason] += events

    def close(self, reason: str) -> None:
        """Count what was not read, and what still comes, as dropped."""
        with self._lock:
            self._closed = self._closed or reason

    def counts(self) -> Counts:
        """Give the present counts."""
        with self._lock:
            first, emitted = self._source.bounds
            dropped = +self._dropped
            gone = max(0, first - self._position)
            pending = emitted - self._position - gone
            if gone and self._closed is None:
                dropped[OVERFLOW] += gone
            if self._closed is not None and gone + pending:
                dropped[self._closed] += gone + pending
                pending = 0
            return Counts(
                emitted=emitted,
                delivered=self._delivered,
                rejected=self._rejected,
                dropped=dict(dropped),
                in_flight=self._in_flight,
                pending=pending,
            )
