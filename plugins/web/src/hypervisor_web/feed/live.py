"""The stream of what comes: each viewer has a place in a view, and no queue."""

import time
from collections.abc import Iterator

from attrs import define, field

from hypervisor_observability.serving.ending import Ending
from hypervisor_web.answers import json_line
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.rows import joined
from hypervisor_web.feed.views import View

MOST_ROWS = 1_000
"""Rows in one message."""

_TICK_SECONDS = 0.03
_BEAT_SECONDS = 5.0
_FIRST_ROWS = 100
_ROWS_PER_SECOND = 2_000
_BURST_ROWS = 4_000


@define(eq=False)
class Allowance:
    """How many rows a viewer may be sent: a rate, and what was not used of it for a while.

    A viewer that was held up for a moment gets all that came; where more comes than anybody can
    read, the newest of it.
    """

    _rows: float = field(default=MOST_ROWS, init=False)
    _at: float = field(factory=time.monotonic, init=False)

    def left(self) -> int:
        """Give how many rows may be sent now."""
        now = time.monotonic()
        self._rows = min(_BURST_ROWS, self._rows + (now - self._at) * _ROWS_PER_SECOND)
        self._at = now
        return int(self._rows)

    def use(self, rows: int) -> None:
        """Note that so many were sent."""
        self._rows -= rows


@define(eq=False)
class Stream:
    """What one viewer is sent of a view.

    Attributes:
        observers: Where the events are.
        view: Which of them.
        ending: Says when nobody listens any longer.
    """

    observers: Observers
    view: View
    ending: Ending
    _allowance: Allowance = field(factory=Allowance, init=False)
    _told: int = field(init=False)
    _sent: float = field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        self._told = self.observers.told

    def lines(self, place: int | None = None) -> Iterator[bytes]:
        """Give what is sent, as it comes, until nobody listens.

        Args:
            place: Ordinal of the row that is sent first; None: that of one of the newest.
        """
        self.ending.call(self.observers.wake)
        oldest, following = self.view.look()
        if place is None or not self.view.begun <= place <= following:
            place = max(oldest, following - _FIRST_ROWS)
        yield json_line(
            {"t": "view", "oldest": oldest, "next": following, "ring": self.observers.id}
        )
        ring = self.observers.ring
        while not self._is_over():
            yield from self._notices()
            seen = ring.next
            oldest, following = self.view.look()
            if place < following:
                skipped, start, stop = self._part(place, oldest, following)
                if skipped:
                    yield self._line("skipped", place, oldest, following, b'"count":%d' % skipped)
                yield self._rows(start, stop, oldest, following)
                place, self._sent = stop, time.monotonic()
                # What comes meanwhile is sent together.
                self.observers.wait_for(self.ending.is_set, _TICK_SECONDS)
            else:
                self._wait(seen)
                if time.monotonic() - self._sent >= _BEAT_SECONDS:
                    self._sent = time.monotonic()
                    now = time.time_ns() // 1_000
                    yield json_line({"t": "beat", "now": now, "next": following})
        yield from self._notices()
        yield json_line({"t": "end", "why": self.ending.why or "the page is no longer served"})

    def _is_over(self) -> bool:
        return self.observers.closed or self.ending.is_set()

    def _wait(self, seen: int) -> None:
        observers, left = self.observers, self._sent + _BEAT_SECONDS - time.monotonic()
        observers.wait_for(
            lambda: (
                observers.ring.next > seen or observers.told > self._told or self.ending.is_set()
            ),
            max(0.0, left),
        )

    def _part(self, place: int, oldest: int, following: int) -> tuple[int, int, int]:
        """Choose what is sent: how many rows are left out, and the ordinals of those that are not:
        of the first one, and behind the last one.
        """
        start, left = max(place, oldest), self._allowance.left()
        if following - start > left:
            start = following - min(left, MOST_ROWS)
        stop = min(following, start + MOST_ROWS)
        self._allowance.use(stop - start)
        return start - place, start, stop

    def _rows(self, start: int, stop: int, oldest: int, following: int) -> bytes:
        rows = self.observers.rows.at(self.view.positions(start, stop))
        # What has left the ring meanwhile is missing at the beginning.
        first = stop - len(rows)
        return self._line("rows", first, oldest, following, b'"rows":' + joined(rows))

    def _line(self, kind: str, first: int, oldest: int, following: int, rest: bytes) -> bytes:
        head = f'{{"t":"{kind}","first":{first},"oldest":{oldest},"next":{following},'
        return head.encode() + rest + b"}\n"

    def _notices(self) -> Iterator[bytes]:
        self._told, texts = self.observers.notices_since(self._told)
        for text in texts:
            yield json_line({"t": "notice", "text": text})
