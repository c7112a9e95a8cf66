"""A socket whose operations all share one deadline.

A socket's own timeout starts anew with each operation, so a server that sends a byte a second
would hold up its client for as long as it likes.
"""

import io
import socket
from typing import TYPE_CHECKING

from attrs import define

from .deadline import Deadline

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


@define(eq=False)
class DeadlineSocket:
    """A socket for ``http.client``, under a deadline.

    Attributes:
        wrapped: A connected socket, plain or TLS.
        deadline: When every operation must have ended. Set it again before each exchange.
    """

    wrapped: socket.socket
    deadline: Deadline

    def arm(self) -> None:
        """Limit the next operation to the time that is left.

        Raises:
            TimeoutError: No time is left.
        """
        self.wrapped.settimeout(self.deadline.left())

    def sendall(self, data: "ReadableBuffer") -> None:
        """Send all of *data*."""
        view = memoryview(data).cast("B")
        while view:
            self.arm()
            view = view[self.wrapped.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader. The connection ends once both this socket and the reader are closed."""
        raw = self.wrapped.makefile("rb", buffering=0)
        return io.BufferedReader(_DeadlineReader(self, raw))

    def close(self) -> None:
        """Close the socket."""
        self.wrapped.close()


class _DeadlineReader(io.RawIOBase):
    """Read from a socket's raw reader, arming the deadline before each read."""

    def __init__(self, owner: DeadlineSocket, raw: socket.SocketIO) -> None:
        self._owner = owner
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        self._owner.arm()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
