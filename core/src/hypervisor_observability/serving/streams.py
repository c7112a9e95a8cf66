"""The open streams of a server: how many there may be, for how long, and when they end."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

from attrs import define, field

from .connections import ANSWER_SECONDS, end, gone
from .ending import Ending
from .pages import Refused

_PARTING_SECONDS = 0.5
_KEPT_BYTES = 262_144
_SILENT_MILLISECONDS = 30_000


@define(eq=False)
class _Stream:
    ending: Ending
    until: float  # monotonic seconds


@define(eq=False)
class Streams:
    """Streams, at most *limit* at once, each for a bounded time.

    Attributes:
        limit: How many there may be.
        seconds: Longest life of a stream.
    """

    limit: int
    seconds: float
    _open: dict[socket.socket, _Stream] = field(factory=dict, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    _are_over: bool = field(default=False, init=False)

    def __len__(self) -> int:
        """Give the number of open streams."""
        return len(self._open)

    @contextlib.contextmanager
    def place(self, connection: socket.socket) -> Iterator[Ending]:
        """Have a place for the stream of *connection*, and what tells of its end.

        Raises:
            Refused: There is none.
        """
        stream = _Stream(Ending(), time.monotonic() + self.seconds)
        with self._changed:
            if self._are_over:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the server stops")
            if len(self._open) >= self.limit:
                raise Refused(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{self.limit} streams are open, which is the most there may be:"
                    " close one of the pages",
                )
            self._open[connection] = stream
        try:
            _tune(connection)
            yield stream.ending
        finally:
            with self._changed:
                del self._open[connection]
                self._changed.notify_all()

    def end_late(self) -> None:
        """End the streams that nobody takes, and those whose time is over; called regularly."""
        now = time.monotonic()
        ended: list[tuple[Ending, str]] = []
        with self._changed:
            if not self._open:
                return
            for connection in gone(self._open):
                ended.append((self._open[connection].ending, "the viewer has gone"))
                end(connection)
            for connection, stream in self._open.items():
                if now > stream.until:
                    ended.append((stream.ending, "a stream has its time, which is over"))
                if now > stream.until + ANSWER_SECONDS:
                    end(connection)
        for ending, why in ended:
            ending.set(why)  # without the lock: it wakes what is not ours

    def hang_up(self) -> None:
        """End all streams: each may say so, then its connection ends. There will be no others."""
        with self._changed:
            self._are_over = True
            endings = [stream.ending for stream in self._open.values()]
        for ending in endings:
            ending.set("the server stops")
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout=_PARTING_SECONDS)
            for connection in self._open:
                end(connection)


def _tune(connection: socket.socket) -> None:
    """Bound what the system keeps of a stream that is not taken, and for how long it hopes."""
    with contextlib.suppress(OSError):  # the client may have gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KEPT_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_MILLISECONDS)
