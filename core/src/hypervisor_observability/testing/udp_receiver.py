"""A UDP socket on loopback that keeps what it is sent."""

import socket
import threading
from collections.abc import Sequence
from typing import ClassVar

from attrs import define, field

from .receiver import LOOPBACK, MAX_KEPT, Fault, Receiver

_MAX_DATAGRAM_BYTES = 65_535
_QUEUE_BYTES = 4 * 1024 * 1024


@define(eq=False)
class UDPReceiver(Receiver):
    """Take datagrams.

    Attributes:
        datagrams: Those that have arrived, oldest first.
    """

    datagrams: list[bytes] = field(factory=list, init=False, repr=False)
    _socket: socket.socket | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.REFUSED, Fault.UNNAMED})

    def start(self) -> None:
        """Bind a free port of loopback.

        Raises:
            OSError: There is none.
        """
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        bound.bind((LOOPBACK, self.port))
        bound.settimeout(0.05)  # closing a socket does not wake who receives on it
        self._socket, self.port = bound, bound.getsockname()[1]
        self._thread = threading.Thread(
            target=self._receive, args=(bound,), name="udp-receiver", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Free the port. What has arrived stays."""
        bound, self._socket = self._socket, None
        if bound is not None and self._thread is not None:
            self._thread.join()
            bound.close()

    def change(self, fault: Fault | None) -> None:
        """Begin to fail in this way, or work again with None."""
        before, self.fault = self.fault, fault
        if fault is Fault.REFUSED:
            self.stop()  # the system then answers that nothing listens there
        elif before is Fault.REFUSED:
            self.start()

    def texts(self) -> Sequence[str]:
        """Give the datagrams, oldest first."""
        with self.changed:
            return [datagram.decode("utf-8", "replace") for datagram in self.datagrams]

    def lines(self) -> Sequence[str]:
        """Give the lines of all datagrams, oldest first."""
        return [line for text in self.texts() for line in text.splitlines()]

    def _receive(self, bound: socket.socket) -> None:
        while self._socket is bound:
            try:
                datagram = bound.recv(_MAX_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            with self.changed:
                self.offered += 1
                if len(self.datagrams) < MAX_KEPT:
                    self.datagrams.append(datagram)
                self.changed.notify_all()
