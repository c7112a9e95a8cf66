"""The conservation law, kept per reader under one lock.

emitted = delivered + rejected + dropped + in flight + pending, at every moment.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from attrs import evolve, frozen

from ..errors import SourceUnavailableError
from ..events import HypervisorEvent, estimated_bytes, weigh
from ..log import Reading
from ..sources import Cursor, Source

OVERFLOW = "overflow"
"""The log gave the event up before it was read: its bound was passed, or it was cleared."""
EXPIRED = "expired"
"""Neither the log nor the journal had the event any more, or the journal never had it."""
NOT_REPLAYED = "not_replayed"
"""An earlier process has left it, and the plugin begins with this one."""
DEFERRED = "deferred"
"""Delivery has ended, or the plugin is down; the journal has the event for the next process."""
FILTERED = "filtered"
"""The plugin's table asks for other types of events."""
SAMPLED = "sampled"
"""The trace of the spans that it ended is not among those that the plugin is handed."""
STOPPED = "stopped"
"""Delivery had ended."""
DOWN = "down"
"""The plugin could not start, or was turned off."""
IN_DOUBT = "in_doubt"
"""The hook that had them hung and was given up: the backend may have them or not."""

_UNWANTED = (FILTERED, SAMPLED, NOT_REPLAYED)


@frozen(kw_only=True)
class Counts:
    """What became of the events, for one plugin, at one moment. All are event counts.

    Attributes:
        emitted: All events of the bus, and those that earlier processes have left.
        delivered: The backend has them.
        rejected: They were offered and refused.
        dropped: They were never offered, by reason.
        in_flight: They were handed to the plugin, whose answer is awaited, or the spans that
            they ended are held until their trace is decided on.
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


def _fitting(events: Sequence[HypervisorEvent], max_bytes: int) -> Sequence[HypervisorEvent]:
    sizes = accumulate(map(estimated_bytes, events))
    return events[: max(1, sum(size <= max_bytes for size in sizes))]


class Account:
    """A reader's position and what became of the events before it.

    Args:
        source: What is read.
        cursor: Where to begin in it, and where the position is saved; None: the reader begins
            at 0 and ends with the process.
        closed: Why nothing will be read; None for an open account.
    """

    def __init__(
        self, source: Source, cursor: Cursor | None = None, *, closed: str | None = None
    ) -> None:
        self._source = source
        self._cursor = cursor
        self._begin()
        if closed is not None:
            self.close(closed)

    def _begin(self) -> None:
        # Re-entrant: a signal handler may ask for counts within this thread's own call.
        self._lock = threading.RLock()
        self._delivered = 0
        self._rejected = 0
        self._dropped: Counter[str] = Counter()
        self._in_flight = 0
        self._closed: str | None = None
        self._bounds = (0, 0)
        self.begin()

    def begin(self) -> None:
        """Begin where the cursor says, before anything is read."""
        cursor = self._cursor
        self._position = self._start = 0 if cursor is None else cursor.start
        self._skipped = 0 if cursor is None else cursor.skipped
        self._bounds = (self._start, self._start)
        self._dropped[NOT_REPLAYED] = self._skipped

    def begin_anew(self) -> None:
        """Forget everything, in a fork's child: its log is empty."""
        if self._cursor is not None:
            self._cursor.begin_anew_after_fork()
        self._begin()

    @property
    def position(self) -> int:
        """Sequence number of the next event to read."""
        return self._position

    @property
    def lost(self) -> int:
        """Events rejected, or dropped although they were wanted, so far."""
        with self._lock:
            unwanted = sum(self._dropped[reason] for reason in _UNWANTED)
            return self._rejected + self._dropped.total() - unwanted

    def read(self, max_events: int, max_bytes: int | None = None) -> Reading:
        """Read on; what is read is in flight until it is settled.

        Args:
            max_events: Most events.
            max_bytes: Most memory that they hold, as estimated; one event may hold more.

        Raises:
            SourceUnavailableError: The source cannot be read at present: the position is what
                it was, and the same call gives the same events later.
        """
        with self._lock:
            if self._closed is not None:
                return Reading((), self._position, 0)
            reading = self._read(max_events)
            if max_bytes is not None and weigh(reading.events)[0] > max_bytes:
                reading = evolve(reading, events=_fitting(reading.events, max_bytes))
            self._position = reading.next_position
            self._in_flight += len(reading.events)
            return reading

    def _read(self, max_events: int) -> Reading:
        while True:
            reading = self._source.read(self._position, max_events)
            if not reading.skipped:
                return reading
            self._dropped[self._gone] += reading.skipped
            self._position = reading.position
            if reading.events:
                return reading

    def _known_bounds(self) -> tuple[int, int]:
        """Give the source's bounds: those known last, while it cannot be read."""
        try:
            self._bounds = self._source.bounds
        except SourceUnavailableError:
            first, end = self._bounds
            self._bounds = first, max(end, self._position)
        return self._bounds

    @property
    def end(self) -> int:
        """Position behind all that is known to be in the source."""
        with self._lock:
            return self._known_bounds()[1]

    @property
    def _gone(self) -> str:
        return OVERFLOW if self._cursor is None else EXPIRED

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position, or with one before it.

        Raises:
            SourceUnavailableError: It cannot be read at present.
        """
        return None if self._cursor is None else self._cursor.state

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Read again what was settled between that and where this process began.

        Raises:
            SourceUnavailableError: It cannot be read at present: begin from *state* again.
        """
        return iter(()) if self._cursor is None else self._cursor.since_state()

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""
        return self._cursor is not None and self._cursor.defers

    def commit(self, state: Callable[[], Mapping[str, Any] | None], *, last: bool = False) -> None:
        """Save the position: all before it is settled, and nothing is in flight.

        Args:
            state: Gives what is to be saved along with it.
            last: Whether this is the last time.
        """
        if self._cursor is not None and self._closed is None:
            self._cursor.commit(self._position, state, last=last)

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

    def leave(self, events: int) -> None:
        """Settle *events* that nobody will be offered any more: not by this process."""
        self.drop(events, self._left(STOPPED))

    def close(self, reason: str) -> None:
        """Count what was not read, and what still comes, as dropped."""
        with self._lock:
            self._closed = self._closed or self._left(reason)

    def _left(self, reason: str) -> str:
        return DEFERRED if self.defers else reason

    def counts(self) -> Counts:
        """Give the present counts."""
        with self._lock:
            first, emitted = self._known_bounds()
            dropped = +self._dropped
            gone = max(0, first - self._position)
            pending = emitted - self._position - gone
            if gone and self._closed is None:
                dropped[self._gone] += gone
            if self._closed is not None and gone + pending:
                dropped[self._closed] += gone + pending
                pending = 0
            return Counts(
                emitted=emitted - self._start + self._skipped,
                delivered=self._delivered,
                rejected=self._rejected,
                dropped=dict(dropped),
                in_flight=self._in_flight,
                pending=pending,
            )
