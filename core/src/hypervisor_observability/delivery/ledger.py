"""Where each event is that was read, kept for one reader under one lock.

An event is in one place at a time, and every move is one step under the lock::

    pending -> offered -> delivered | rejected | dropped
                  |
                  +-> held      its spans wait until their trace is decided on
                  +-> unpushed  the push of metrics that is to hold it is still to come

What is offered, held or unpushed is in flight. One batch at a time is offered. It is settled by
whoever offers it, or given up at once and as a whole; who comes late with an answer for a batch
that was given up changes nothing.

What is offered has no count of its own: it is what was entered and is nowhere else. So each move
is one store, and an exception of a signal handler between two of them loses no event.
"""

import threading
from collections import Counter
from enum import Enum

from .counts import UNWANTED


class Place(Enum):
    """Where an event is that was offered, unless it was dropped."""

    HELD = "held"
    UNPUSHED = "unpushed"
    DELIVERED = "delivered"
    REJECTED = "rejected"


Fate = Place | str
"""A place, or the reason for which an event is dropped."""


class Ledger:
    """How many events are where.

    Attributes:
        lock: For who needs several figures of one moment. Re-entrant: a signal handler may ask for
            counts within this thread's own call.
        entered: Events that are pending no longer.
        dropped: Events dropped, by reason.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entered = 0
        self.dropped: Counter[str] = Counter()
        self._places: Counter[Place] = Counter()
        self._batch: object = None

    def at(self, place: Place) -> int:
        """Give how many events are at *place*."""
        return self._places[place]

    @property
    def in_flight(self) -> int:
        """Events that are offered, held or unpushed."""
        with self.lock:
            settled = self._places[Place.DELIVERED] + self._places[Place.REJECTED]
            return self.entered - settled - self.dropped.total()

    @property
    def lost(self) -> int:
        """Events rejected, or dropped although they were wanted, so far."""
        with self.lock:
            unwanted = sum(self.dropped[reason] for reason in UNWANTED)
            return self._places[Place.REJECTED] + self.dropped.total() - unwanted

    def offer(self, batch: object, entered: int) -> None:
        """Count what is entered by now, up to *entered*, as offered, in *batch*."""
        with self.lock:
            self._batch = batch
            self.entered = entered

    def offered(self, batch: object) -> int:
        """Give how many events of *batch* are offered still; 0 if it was given up."""
        with self.lock:
            return self._offered() if batch is self._batch else 0

    def _offered(self) -> int:
        return self.entered - self._places.total() - self.dropped.total()

    def move(self, batch: object, events: int, to: Fate) -> None:
        """Move *events* of *batch* from offered to *to*, unless it was given up.

        Args:
            batch: That is offered.
            events: How many; below 0: as many go back to offered.
            to: Where they are now.
        """
        with self.lock:
            if batch is self._batch:
                self._put(events, to)

    def settle_offered(self, to: Fate) -> None:
        """Move all that is offered to *to*."""
        with self.lock:
            self._batch = None
            self._put(self._offered(), to)

    def move_waiting(self, place: Place, to: Fate, events: int | None = None) -> None:
        """Move *events* from *place* to *to*; all of them if it is None, and never more."""
        with self.lock:
            waiting = self._places[place]
            moved = waiting if events is None else min(events, waiting)
            self._places[place] -= moved
            self._put(moved, to)

    def _put(self, events: int, to: Fate) -> None:
        if isinstance(to, Place):
            self._places[to] += events
        else:
            self.dropped[to] += events
