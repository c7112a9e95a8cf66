"""Datagrams to a StatsD server, over a socket that tells when one is refused."""

import contextlib
import os
import select
import socket
from collections.abc import Iterator

from attrs import define, field
from statsd import StatsClient

_SEND_SECONDS = 2.0


class _Client(StatsClient):  # type: ignore[misc]  # the statsd package has no types
    """The statsd package's UDP client, connected, so that refusals come back to it.

    The package lets every failure pass in silence, and its pipeline does not tell which
    metrics went into which datagram; a counter's difference must be kept until it is sent.
    """

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        super().__init__(address[0], port, ipv6=family == socket.AF_INET6)
        self._sock.settimeout(_SEND_SECONDS)
        try:
            self._sock.connect(self._addr)
        except OSError:
            self.close()
            raise

    @property
    def socket(self) -> socket.socket:
        """The socket, connected to the server."""
        connected: socket.socket = self._sock
        return connected

    def _send(self, data: str) -> None:
        self._sock.send(data.encode("ascii"))


@define(eq=False)
class Transport:
    """Send datagrams to *host* and *port*.

    The name is looked up when something is sent, and again after each failure.

    Attributes:
        host: Name or address.
        port: UDP port.
    """

    host: str
    port: int
    _client: _Client | None = field(default=None, init=False)

    def send(self, datagram: str) -> None:
        """Send ASCII text.

        Raises:
            OSError: The host is unknown, or the system could not send. That nobody listens
                shows at once on the same machine, over a network later or never.
        """
        with self._closing_on_failure():
            if self._client is None:
                self._client = _Client(self.host, self.port)
            self._client._send(datagram)
        self.raise_refusal()

    def raise_refusal(self, *, wait_seconds: float = 0) -> None:
        """Raise if the server's machine has said that nobody listens (ICMP, RFC 1122, 4.1.3.3).

        Args:
            wait_seconds: How long to wait for its word.

        Raises:
            OSError: It has.
        """
        if self._client is None:
            return
        with self._closing_on_failure():
            connected = self._client.socket
            if wait_seconds:
                select.select([connected], [], [], wait_seconds)
            error = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))

    def close(self) -> None:
        """Let go of the socket; the next datagram opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextlib.contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.close()
            raise
