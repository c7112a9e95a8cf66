"""The open connections of a server: how many there may be, for how long, and who has to go."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterable

from attrs import define, field

from .ending import Ending

READ_SECONDS = 5.0
"""Longest time of a client for its whole request: keys, request line, headers and body."""
ANSWER_SECONDS = 10.0
"""Longest time of a client to take the whole answer: as long as Prometheus waits for one."""

_STALLED_SECONDS = 2.0
_NEW_SECONDS = 0.03
_PATIENCE_SECONDS = 0.3
_TURN_SECONDS = 0.01
# Linux tells of a client that has gone even where it left something unread.
_GONE = getattr(select, "POLLRDHUP", 0) or select.POLLIN


@define(eq=False)
class _Times:
    """When a connection came, was understood, and began to be answered; in monotonic seconds.

    What makes the answer is told by *ending* that nobody waits for it any longer.
    """

    admitted: float
    read: float | None = None
    answered: float | None = None
    ending: Ending = field(factory=Ending)


@define(eq=False)
class Connections:
    """Connections, at most *limit* at once, each for a bounded time.

    When all places are taken, one is closed for the new one: the one that has waited longest
    without telling all that it wants, and not just come, else one that has been slow to take its
    answer. So clients that are slow or silent, in whatever way, cannot keep another out.

    Attributes:
        limit: How many there may be.
        read_seconds: Longest time for a request.
        answer_seconds: Longest time for taking the answer.
    """

    limit: int
    read_seconds: float = READ_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    # The oldest first.
    _open: dict[socket.socket, _Times] = field(factory=dict, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)

    def admit(self, connection: socket.socket) -> bool:
        """Give *connection* a place; False if none could be made."""
        now = time.monotonic()
        deadline = now + _PATIENCE_SECONDS
        evicted = False
        with self._changed:
            while len(self._open) >= self.limit:
                evicted = evicted or self._evict(now)
                self._changed.wait(_TURN_SECONDS)
                if (now := time.monotonic()) > deadline and len(self._open) >= self.limit:
                    return False
            self._open[connection] = _Times(now)
            return True

    def serve(self, connection: socket.socket) -> Ending:
        """Note that *connection* has told all that it wants: what takes time now is ours.

        Returns:
            What is set once the client has gone, or the server stops.
        """
        with self._changed:
            times = self._open.get(connection)
            if times is None:
                return Ending()
            if times.read is None:
                times.read = time.monotonic()
            return times.ending

    def answer(self, connection: socket.socket) -> None:
        """Note that *connection* is being answered."""
        with self._changed:
            if (times := self._open.get(connection)) is not None and times.answered is None:
                times.answered = time.monotonic()

    def release(self, connection: socket.socket) -> None:
        """Give the place of *connection* back."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def end_late(self) -> None:
        """End the connections whose time is over; to be called again and again."""
        now = time.monotonic()
        with self._changed:
            for connection, times in self._open.items():
                if self._is_late(times, now):
                    end(connection)
            waiting = {
                connection: times.ending
                for connection, times in self._open.items()
                if times.read is not None and times.answered is None
            }
            endings = [waiting[connection] for connection in gone(waiting)]
        for ending in endings:
            ending.set("the viewer has gone")  # without the lock: it wakes what is not ours

    def hang_up(self) -> None:
        """End every connection; the threads that serve them then see it and release them."""
        with self._changed:
            for connection in self._open:
                end(connection)
            endings = [times.ending for times in self._open.values()]
        for ending in endings:
            ending.set("the server stops")

    def _is_late(self, times: _Times, now: float) -> bool:
        if times.read is None:
            return now > times.admitted + self.read_seconds
        return times.answered is not None and now > times.answered + self.answer_seconds

    def _evict(self, now: float) -> bool:
        """End one connection for another; tell whether there was one to be ended."""
        waiting = (
            one
            for one, times in self._open.items()
            if times.read is None and times.admitted <= now - _NEW_SECONDS
        )
        slow = (
            one
            for one, times in self._open.items()
            if times.answered is not None and times.answered < now - _STALLED_SECONDS
        )
        chosen = next(waiting, None) or next(slow, None)
        if chosen is None:
            return False
        # Not to be chosen again, while its thread takes its leave.
        self._open[chosen].read = self._open[chosen].answered = now
        end(chosen)
        return True


def gone(connections: Iterable[socket.socket]) -> list[socket.socket]:
    """Give the connections whose client has ended its side of them."""
    # The thread that serves one may have closed it, and be about to release it.
    by_number = {number: one for one in connections if (number := one.fileno()) >= 0}
    if not by_number:
        return []
    polled = select.poll()
    for number in by_number:
        polled.register(number, _GONE)
    return [one for number, seen in polled.poll(0) if _tells_so(seen, one := by_number[number])]


def _tells_so(seen: int, connection: socket.socket) -> bool:
    if seen != select.POLLIN:
        return True
    with contextlib.suppress(OSError):  # the next look tells
        # Below TLS, which peeks at nothing.
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return False


def end(connection: socket.socket) -> None:
    """End *connection* from another thread than the one that serves it, which then sees it."""
    with contextlib.suppress(OSError):  # the client may have gone already
        # Below TLS: its own shutdown takes from another thread what that is reading with.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
