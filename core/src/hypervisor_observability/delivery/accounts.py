"""The conservation law, kept for one reader: its position in a stream, and the ledger behind it.

emitted = delivered + rejected + dropped + in flight + pending, at every moment. What was not read
is pending; the ledger knows where everything else is.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from attrs import evolve

from ..bus.event_memory import Scales
from ..bus.log import Reading
from ..bus.stream import Cursor, EventStream
from ..errors import StreamUnavailableError
from .batch import Batch
from .counts import DEFERRED, EXPIRED, IN_DOUBT, NOT_REPLAYED, OVERFLOW, STOPPED, Counts
from .ledger import Ledger, Place
from .parts import WHOLE, OnePart, Parts


class Account:
    """A reader's position and what became of the events before it.

    Args:
        stream: What is read.
        cursor: Where to begin in it, and where the position is saved; None: the reader begins
            at 0 and ends with the process.
        parts: The parts of a stream that is read by parts; None: it is one part.

    Attributes:
        ledger: Where each event is that was read.
        parts: The parts of the stream, and what was saved of each.
        part: The part of what was read last.
    """

    def __init__(
        self, stream: EventStream, cursor: Cursor | None = None, parts: Parts | None = None
    ) -> None:
        self._stream = stream
        self._cursor = cursor
        self.parts: Parts = OnePart(cursor) if parts is None else parts
        self._gone = OVERFLOW if cursor is None else EXPIRED
        self._scales = Scales(shared=False)
        self._begin()

    def _begin(self) -> None:
        self.ledger = Ledger()
        self._left: Counter[str] = Counter()
        self.part: str | None = WHOLE
        self._closed: str | None = None
        self._written_off: deque[tuple[int, str]] = deque()
        """Positions up to which what was not read is dropped, in their order, and why."""
        self.begin()

    def begin(self) -> None:
        """Begin where the cursor says, before anything is read."""
        cursor = self._cursor
        start = 0 if cursor is None else cursor.start
        skipped = 0 if cursor is None else cursor.skipped
        self._bounds = (start, start)
        self._before_entered = start - skipped
        self.ledger.entered = self.ledger.dropped[NOT_REPLAYED] = skipped
        self._left[NOT_REPLAYED] = skipped

    def begin_anew(self) -> None:
        """Forget everything, in a fork's child: its log is empty."""
        if self._cursor is not None:
            self._cursor.begin_anew_after_fork()
        self.parts = OnePart(None)  # what was saved belongs to the parent
        self._begin()

    @property
    def position(self) -> int:
        """Sequence number of the next event to read."""
        return self._before_entered + self.ledger.entered

    def read(self, max_events: int, max_bytes: int | None = None) -> Batch:
        """Read on; what is read is offered until it is settled.

        Args:
            max_events: Most events.
            max_bytes: Most memory that they hold, as estimated; one event may hold more.

        Raises:
            StreamUnavailableError: The stream cannot be read at present: the position is what
                it was, and the same call gives the same events later.
        """
        ledger = self.ledger
        with ledger.lock:
            ledger.settle_offered(IN_DOUBT)  # what an interrupt has left
            if self._closed is not None or self._drop_written_off(max_events):
                return Batch([], ledger)
            reading = self._read(max_events)
            if max_bytes is not None and len(reading.events) > 1:
                fitting, _ = self._scales.fitting(reading.events, max_bytes)
                reading = evolve(reading, events=fitting)
            if reading.events:
                self.part = self.parts.part
            batch = Batch(list(reading.events), ledger)
            ledger.offer(batch, reading.next_position - self._before_entered)
            return batch

    def _read(self, max_events: int) -> Reading:
        reading = self._read_once(max_events)
        if reading.skipped and not reading.events:
            # What follows the gap. Where more has gone by now, it is for the next batch: a stream
            # may lose events faster than they are read, and others wait for the lock.
            reading = self._read_once(max_events)
        return reading

    def _read_once(self, max_events: int) -> Reading:
        reading = self._stream.read(self.position, max_events)
        if reading.skipped:
            self._pass_over_read(reading.skipped)
        return reading

    def _drop_written_off(self, max_events: int) -> bool:
        """Drop some of what was written off; tell whether there was any.

        It is read, not jumped over: a stream of many runs alone knows where a position is in each.
        """
        before = self.position
        while self._written_off and self._written_off[0][0] <= before:
            self._written_off.popleft()
        if not self._written_off:
            return False
        end, reason = self._written_off[0]
        reading = self._stream.read(before, min(max_events, end - before))
        if reading.events:  # a commit is about their part
            self.part = self.parts.part
        if reading.skipped:  # its events may lie behind the end: they are read again
            inside = min(reading.skipped, end - before)
            self._pass_over(inside, reason)
            self._pass_over_read(reading.skipped, inside)
        else:
            self._pass_over(len(reading.events), reason)
        return True

    def _pass_over_read(self, skipped: int, passed: int = 0) -> None:
        """Drop what a reading has *skipped*, for the reasons that the stream gives; the first
        *passed* of it are dropped already.
        """
        told: Mapping[str, int] = {}
        with suppress(StreamUnavailableError):
            told = self.parts.left()
        skipped -= passed
        for reason, events in told.items():
            new = max(0, events - self._left[reason])
            known = min(passed, new)
            more = min(skipped, new - known)
            self._left[reason] += known + more
            self._pass_over(more, reason)
            passed -= known
            skipped -= more
        self._pass_over(skipped, self._gone)

    def _pass_over(self, events: int, reason: str) -> None:
        """Drop the next *events* unread."""
        self.ledger.entered += events
        self.ledger.dropped[reason] += events

    def _known_bounds(self) -> tuple[int, int]:
        """Give the stream's bounds: those known last, while it cannot be read."""
        try:
            self._bounds = self._stream.bounds
        except StreamUnavailableError:
            first, end = self._bounds
            self._bounds = first, max(end, self.position)
        return self._bounds

    @property
    def end(self) -> int:
        """Position behind all that is known to be in the stream."""
        with self.ledger.lock:
            return self._known_bounds()[1]

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""
        return self._cursor is not None and self._cursor.defers

    def left_as(self, reason: str) -> str:
        """Give the reason for which events count as dropped: the next process may have them."""
        return DEFERRED if self.defers else reason

    def commit(self, state: Callable[[], Mapping[str, Any] | None], *, last: bool = False) -> None:
        """Save the position: all before it is settled, and nothing is in flight.

        Args:
            state: Gives what is to be saved along with it.
            last: Whether this is the last time.
        """
        if self._cursor is not None and self._closed is None:
            self._cursor.commit(self.position, state, last=last)

    def close(self, reason: str) -> None:
        """Count what was not read, and what still comes, as dropped."""
        with self.ledger.lock:
            if self._closed is None:
                # What is gone already was dropped for that: no count ever falls.
                self._write_off(self._known_bounds()[0], self._gone)
                self._closed = self.left_as(reason)

    def _write_off(self, end: int, reason: str) -> None:
        """Have what is before *end*, and is not read or written off yet, count as dropped."""
        before = self._written_off[-1][0] if self._written_off else self.position
        if end > max(before, self.position):
            self._written_off.append((end, reason))

    def pause(self, reason: str) -> None:
        """Have what was not read, and what comes meanwhile, count as dropped until ``resume``;
        where the next process reads what this one leaves, have it wait.
        """
        if not self.defers:
            self.close(reason)

    def resume(self) -> None:
        """Read on, with what comes from now on."""
        with self.ledger.lock:
            if self._closed is not None:
                self._write_off(self._known_bounds()[1], self._closed)
                self._closed = None

    def settle_all(self, reason: str) -> None:
        """Settle everything: the process ends, and whoever has something in his hands is late.

        Args:
            reason: For what is offered, and for what waits for a push that may be under way.
                Where the next process reads what was offered again, it is deferred.
        """
        ledger = self.ledger
        with ledger.lock:
            ledger.settle_offered(self.left_as(reason))
            ledger.move_waiting(Place.UNPUSHED, reason)
            ledger.move_waiting(Place.HELD, self.left_as(STOPPED))
            self.close(STOPPED)

    def counts(self) -> Counts:
        """Give the present counts."""
        ledger = self.ledger
        with ledger.lock:
            first, emitted = self._known_bounds()
            dropped = ledger.dropped.copy()
            unread = self.position
            for end, reason in self._written_off:
                dropped[reason] += max(0, end - unread)
                unread = max(end, unread)
            if self._closed is not None:
                dropped[self._closed] += emitted - unread
                unread = emitted
            elif first > unread:
                dropped[self._gone] += first - unread
                unread = first
            return Counts(
                emitted=emitted - self._before_entered,
                delivered=ledger.at(Place.DELIVERED),
                rejected=ledger.at(Place.REJECTED),
                dropped=dict(+dropped),
                in_flight=ledger.in_flight,
                pending=emitted - unread,
            )
