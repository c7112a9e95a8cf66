"""The statsd package's clients, connected to one address, telling what it lets pass in silence.

The package gives no error of UDP to its caller, and of a stream not how much was sent before
one; its pipeline does not tell which metrics went into which datagram. A counter's difference
must be kept until it is sent, so the clients here say all of that.
"""

import errno
import os
import socket
from pathlib import Path
from typing import Protocol

from statsd import StatsClient, TCPStatsClient, UnixSocketStatsClient

from hypervisor_observability.network import Address, Deadline

SEND_SECONDS = 2.0
"""Longest time for connecting, and for sending one text: a full socket, a host that is silent."""


class PartlySentError(OSError):
    """A stream broke while something was being sent.

    Attributes:
        sent_bytes: How much of it the system had taken.
    """

    def __init__(self, error: OSError, sent_bytes: int) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self.sent_bytes = sent_bytes


class Client(Protocol):
    """A connection to one address."""

    def send(self, text: str, deadline: Deadline) -> None:
        """Send ASCII lines by *deadline*.

        Raises:
            PartlySentError: A part was sent, and the connection is of no more use.
            OSError: Nothing was.
        """

    def raise_refusal(self, wait_seconds: float = 0) -> None:
        """Raise if the system has learnt that what was sent before has not arrived.

        Args:
            wait_seconds: How long to wait for it.

        Raises:
            OSError: It has.
        """

    def close(self) -> None:
        """Let go of the socket."""


class _Refusals:
    """Read what a connected socket has learnt since it was last asked."""

    _sock: socket.socket

    def raise_refusal(self, wait_seconds: float = 0) -> None:
        """Raise if the server's machine has said that nobody listens (RFC 1122, 4.1.3.3)."""
        if wait_seconds:
            self._read(wait_seconds)
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def _read(self, wait_seconds: float) -> bytes | None:
        """Give what the server says, which is nothing but an end; None where it is silent."""
        self._sock.settimeout(wait_seconds)
        try:
            return self._sock.recv(4096)
        except (BlockingIOError, TimeoutError):
            return None
        finally:
            self._sock.settimeout(SEND_SECONDS)


class UDPClient(_Refusals, StatsClient):  # type: ignore[misc]  # the statsd package has no types
    """Datagrams to a host."""

    def __init__(self, address: Address, deadline: Deadline) -> None:
        host, port, *_ = address.place
        super().__init__(host, port, ipv6=address.family == socket.AF_INET6)
        try:
            self._sock.settimeout(deadline.left())
            self._sock.connect(address.place)
        except OSError:
            self.close()
            raise

    def send(self, text: str, deadline: Deadline) -> None:
        """Send one datagram."""
        self._sock.settimeout(deadline.left())
        self._sock.send(text.encode("ascii"))
        self.raise_refusal()


class _Stream(_Refusals):
    """Lines over a connection."""

    def send(self, text: str, deadline: Deadline) -> None:
        """Send lines, each with its end."""
        data = memoryview(f"{text}\n".encode("ascii"))
        sent = 0
        try:
            self._raise_if_closed()
            while sent < len(data):
                # A server that reads a byte a second may not take a while for each of them.
                self._sock.settimeout(deadline.left())
                sent += self._sock.send(data[sent:])
        except OSError as error:
            if not sent:
                raise
            raise PartlySentError(error, sent) from error

    def raise_refusal(self, wait_seconds: float = 0) -> None:
        """Raise if the server has closed the connection."""
        super().raise_refusal(wait_seconds)
        self._raise_if_closed()

    def _raise_if_closed(self) -> None:
        if self._read(0) == b"":
            raise ConnectionResetError(errno.ECONNRESET, "the server has closed the connection")


class TCPClient(_Stream, TCPStatsClient):  # type: ignore[misc]  # the statsd package has no types
    """Lines over TCP."""

    def __init__(self, address: Address, deadline: Deadline) -> None:
        host, port, *_ = address.place
        super().__init__(host, port, ipv6=address.family == socket.AF_INET6)
        # To the very address: a zone of IPv6 is lost on the package's way.
        self._sock = _connected(address.family, socket.SOCK_STREAM, address.place, deadline)


class UnixClient(_Stream, UnixSocketStatsClient):  # type: ignore[misc]  # the same
    """Lines over a socket in the file system."""

    def __init__(self, path: Path, deadline: Deadline) -> None:
        super().__init__(str(path))
        self._sock = _connected(socket.AF_UNIX, socket.SOCK_STREAM, str(path), deadline)


class UnixgramClient(_Refusals, UnixSocketStatsClient):  # type: ignore[misc]  # the same
    """Datagrams over a socket in the file system, as DogStatsD takes them."""

    def __init__(self, path: Path, deadline: Deadline) -> None:
        super().__init__(str(path))
        # For datagrams, which the package does not.
        self._sock = _connected(socket.AF_UNIX, socket.SOCK_DGRAM, str(path), deadline)

    def send(self, text: str, deadline: Deadline) -> None:
        """Send one datagram; a full queue is waited for."""
        self._sock.settimeout(deadline.left())
        self._sock.send(text.encode("ascii"))


def _connected(
    family: socket.AddressFamily,
    kind: socket.SocketKind,
    place: str | tuple[str | int, ...],
    deadline: Deadline,
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.settimeout(deadline.left())
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock
