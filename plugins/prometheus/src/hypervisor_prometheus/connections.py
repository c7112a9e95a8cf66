"""The open connections of a server: how many there may be, and who has to go for another."""

import contextlib
import socket
import threading

from attrs import define, field

_PATIENCE_SECONDS = 0.2


@define(eq=False)
class Connections:
    """Connections, at most *limit* at once.

    When all places are taken, the connection that has waited longest without telling what
    it wants is closed for the new one, so that slow or silent clients cannot keep a scrape
    out.

    Attributes:
        limit: How many there may be.
    """

    limit: int
    _open: set[socket.socket] = field(factory=set, init=False)
    # Those whose request was not read to its end, the oldest first.
    _reading: dict[socket.socket, None] = field(factory=dict, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)

    def admit(self, connection: socket.socket) -> bool:
        """Give *connection* a place; False if none could be made."""
        with self._changed:
            if len(self._open) >= self.limit:
                self._evict_oldest_reader()
                self._changed.wait_for(
                    lambda: len(self._open) < self.limit, timeout=_PATIENCE_SECONDS
                )
            if len(self._open) >= self.limit:
                return False
            self._open.add(connection)
            self._reading[connection] = None
            return True

    def serve(self, connection: socket.socket) -> None:
        """Note that *connection* has told what it wants, and is no longer to be evicted."""
        with self._changed:
            self._reading.pop(connection, None)

    def release(self, connection: socket.socket) -> None:
        """Give the place of *connection* back."""
        with self._changed:
            self._reading.pop(connection, None)
            self._open.discard(connection)
            self._changed.notify_all()

    def hang_up(self) -> None:
        """End every connection; the threads that serve them then see it and release them."""
        with self._changed:
            for connection in self._open:
                _end(connection)

    def _evict_oldest_reader(self) -> None:
        oldest = next(iter(self._reading), None)
        if oldest is not None:
            del self._reading[oldest]
            _end(oldest)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client may have gone already
        # Below TLS: its own shutdown takes from another thread what that is reading with.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
