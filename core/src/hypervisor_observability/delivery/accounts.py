"""The conservation law, kept per reader under one lock.

emitted = delivered + rejected + dropped + in flight + pending, at every moment.

An event is in one place at a time, and every move is one step under the lock::

    pending -> offered -> delivered | rejected | dropped
                  |
                  +-> held      its spans wait until their trace is decided on
                  +-> unpushed  the push of metrics that is to hold it is still to come

What is offered, held or unpushed is in flight. A ``Portion`` stands for what is offered. It is
settled by whoever offers it, or given up at once and as a whole; who comes late with an answer
for a portion that was given up changes nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from ..bus.event_memory import Scales
from ..bus.log import Reading
from ..errors import StreamUnavailableError
from ..events.event import HypervisorEvent
from .counts import DEFERRED, EXPIRED, IN_DOUBT, NOT_REPLAYED, OVERFLOW, STOPPED, UNWANTED, Counts
from .ledger import Place, Portion
from .stream import Cursor, EventStream


class Account:
    """A reader's position and what became of the events before it.

    Args:
        stream: What is read.
        cursor: Where to begin in it, and where the position is saved; None: the reader begins
            at 0 and ends with the process.
        closed: Why nothing will be read; None for an open account.
    """

    def __init__(
        self, stream: EventStream, cursor: Cursor | None = None, *, closed: str | None = None
    ) -> None:
        self._stream = stream
        self._cursor = cursor
        self._scales = Scales(shared=False)
        self._begin()
        if closed is not None:
            self.close(closed)

    def _begin(self) -> None:
        # Re-entrant: a signal handler may ask for counts within this thread's own call.
        self._lock = threading.RLock()
        self._places: Counter[Place] = Counter()
        self._dropped: Counter[str] = Counter()
        self._portion: Portion | None = None
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
            unwanted = sum(self._dropped[reason] for reason in UNWANTED)
            return self._places[Place.REJECTED] + self._dropped.total() - unwanted

    @property
    def unpushed(self) -> int:
        """Events whose export hooks took them, and that still have to be in a push of metrics."""
        return self._places[Place.UNPUSHED]

    def read(self, max_events: int, max_bytes: int | None = None) -> Portion:
        """Read on; what is read is offered until it is settled.

        Args:
            max_events: Most events.
            max_bytes: Most memory that they hold, as estimated; one event may hold more.

        Raises:
            StreamUnavailableError: The stream cannot be read at present: the position is what
                it was, and the same call gives the same events later.
        """
        with self._lock:
            self.give_up(IN_DOUBT)  # what an interrupt has left
            if self._closed is not None:
                return Portion((), self)
            reading = self._read(max_events)
            if max_bytes is not None and len(reading.events) > 1:
                fitting, _ = self._scales.fitting(reading.events, max_bytes)
                reading = evolve(reading, events=fitting)
            portion = Portion(reading.events, self)
            self._position = reading.next_position
            self._portion = portion
            return portion

    def _read(self, max_events: int) -> Reading:
        while True:
            reading = self._stream.read(self._position, max_events)
            if not reading.skipped:
                return reading
            self._dropped[self._gone] += reading.skipped
            self._position = reading.position
            if reading.events:
                return reading

    def _known_bounds(self) -> tuple[int, int]:
        """Give the stream's bounds: those known last, while it cannot be read."""
        try:
            self._bounds = self._stream.bounds
        except StreamUnavailableError:
            first, end = self._bounds
            self._bounds = first, max(end, self._position)
        return self._bounds

    @property
    def end(self) -> int:
        """Position behind all that is known to be in the stream."""
        with self._lock:
            return self._known_bounds()[1]

    @property
    def _gone(self) -> str:
        return OVERFLOW if self._cursor is None else EXPIRED

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position, or with one before it.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        return None if self._cursor is None else self._cursor.state

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Read again what was settled between that and where this process began.

        Raises:
            StreamUnavailableError: It cannot be read at present: begin from *state* again.
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

    def move(self, events: int, place: Place, portion: Portion | None) -> None:
        """Move *events* to *place*, unless their *portion* was given up."""
        with self._lock:
            if portion is not None and portion is self._portion:
                portion.left -= events
                self._places[place] += events

    def drop(self, events: int, reason: str, portion: Portion | None = None) -> None:
        """Drop *events*, unless their *portion* was given up; None: of what is offered."""
        with self._lock:
            portion = portion or self._portion
            if portion is not None and portion is self._portion:
                portion.left -= events
                self._dropped[reason] += events

    def deliver(self, events: int) -> None:
        """Count *events* of what is offered as delivered."""
        with self._lock:
            self.move(events, Place.DELIVERED, self._portion)

    def reject(self, events: int | None = None) -> None:
        """Count *events* of what is offered as rejected; all of them if it is None."""
        with self._lock:
            left = 0 if self._portion is None else self._portion.left
            self.move(left if events is None else events, Place.REJECTED, self._portion)

    def give_up(self, reason: str) -> int:
        """Count what is offered as dropped; give how many events that were."""
        with self._lock:
            portion, self._portion = self._portion, None
            left = 0 if portion is None else portion.left
            self._dropped[reason] += left
            return left

    def deliver_waiting(self, place: Place, events: int | None = None) -> None:
        """Count *events* at *place* as delivered; all of them if it is None."""
        with self._lock:
            self._places[Place.DELIVERED] += self._taken(place, events)

    def drop_waiting(self, place: Place, reason: str, events: int | None = None) -> None:
        """Count *events* at *place* as dropped; all of them if it is None."""
        with self._lock:
            self._dropped[reason] += self._taken(place, events)

    def _taken(self, place: Place, events: int | None) -> int:
        waiting = self._places[place]
        taken = waiting if events is None else min(events, waiting)
        self._places[place] -= taken
        return taken

    def close(self, reason: str) -> None:
        """Count what was not read, and what still comes, as dropped."""
        with self._lock:
            if self._closed is None:
                # What is gone already was dropped for that: no count ever falls.
                gone = max(0, self._known_bounds()[0] - self._position)
                self._dropped[self._gone] += gone
                self._position += gone
                self._closed = self.left_as(reason)

    def pause(self, reason: str) -> None:
        """Have what was not read, and what comes meanwhile, count as dropped until ``resume``;
        where the next process reads what this one leaves, have it wait.
        """
        if not self.defers:
            self.close(reason)

    def resume(self) -> None:
        """Read on, with what comes from now on."""
        with self._lock:
            if self._closed is not None:
                end = self._known_bounds()[1]
                self._dropped[self._closed] += end - self._position
                self._position, self._closed = end, None

    def settle_all(self, reason: str) -> None:
        """Settle everything: the process ends, and whoever has something in his hands is late.

        Args:
            reason: For what is offered, and for what waits for a push that may be under way.
                Where the next process reads what was offered again, it is deferred.
        """
        with self._lock:
            self.give_up(self.left_as(reason))
            self.drop_waiting(Place.UNPUSHED, reason)
            self.drop_waiting(Place.HELD, self.left_as(STOPPED))
            self.close(STOPPED)

    def left_as(self, reason: str) -> str:
        """Give the reason for which events count as dropped: the next process may have them."""
        return DEFERRED if self.defers else reason

    def counts(self) -> Counts:
        """Give the present counts."""
        with self._lock:
            first, emitted = self._known_bounds()
            dropped = self._dropped.copy()
            pending = emitted - self._position
            if self._closed is not None:
                dropped[self._closed] += pending
                pending = 0
            elif first > self._position:
                dropped[self._gone] += first - self._position
                pending = emitted - first
            dropped = +dropped
            offered = 0 if self._portion is None else self._portion.left
            in_flight = offered + self._places[Place.HELD] + self._places[Place.UNPUSHED]
            return Counts(
                emitted=emitted - self._start + self._skipped,
                delivered=self._places[Place.DELIVERED],
                rejected=self._places[Place.REJECTED],
                dropped=dict(dropped),
                in_flight=in_flight,
                pending=pending,
            )
