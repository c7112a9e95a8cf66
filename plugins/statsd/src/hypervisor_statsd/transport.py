"""Text to a StatsD server, over a connection that is made when it is needed, and made again."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from attrs import define, field

from hypervisor_observability.network import (
    Address,
    Deadline,
    Lookup,
    Resolve,
    Routes,
    system_addresses,
)
from hypervisor_statsd import clients
from hypervisor_statsd.clients import (
    Client,
    PartlySentError,
    TCPClient,
    UDPClient,
    UnixClient,
    UnixgramClient,
)
from hypervisor_statsd.config import StatsDConfig, Via
from hypervisor_statsd.traffic import Traffic

Connect = Callable[[Deadline], Client]

MAX_PLACES = 8
"""How many addresses are tried for one text; the next one begins with the others."""

_NETWORK_CLIENTS: dict[Via, Callable[[Address, Deadline], Client]] = {
    Via.UDP: UDPClient,
    Via.TCP: TCPClient,
}
_LOCAL_CLIENTS: dict[Via, Callable[[Path, Deadline], Client]] = {
    Via.UNIX: UnixClient,
    Via.UNIXGRAM: UnixgramClient,
}


class Server:
    """Where a server is to be found at present.

    Args:
        config: Says where.
        resolve: How a name is looked up.
    """

    def __init__(self, config: StatsDConfig, resolve: Resolve = system_addresses) -> None:
        self._config = config
        kind = socket.SOCK_STREAM if config.via.is_stream else socket.SOCK_DGRAM
        lookup = Lookup(config.host, config.port, kind, resolve, config.lookup_seconds)
        self._routes = Routes(lookup)

    def places(self, deadline: Deadline) -> Sequence[tuple[object, Connect]]:
        """Give each place where it may be, with how to connect to it, the likeliest first.

        A place differs from another one if what is to be reached there is another thing, so
        that whoever is connected to one that is not among them has to connect anew.

        Raises:
            OSError: It is nowhere, or where it is cannot be told in time.
        """
        config = self._config
        if config.socket is None:
            connect = _NETWORK_CLIENTS[config.via]
            addresses = self._routes.addresses(deadline)[:MAX_PLACES]
            return [(address, partial(connect, address)) for address in addresses]
        # Another socket may have been put at the same path: its server was started again.
        found = config.socket.stat()
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket")
        place = found.st_dev, found.st_ino, found.st_ctime_ns
        return [(place, partial(_LOCAL_CLIENTS[config.via], config.socket))]

    def avoid(self, place: object) -> None:
        """Have it looked for anew, elsewhere first: it could not be reached at *place*."""
        if isinstance(place, Address):
            self._routes.avoid(place)


@define(eq=False)
class Transport:
    """Send to a server, wherever it is.

    Attributes:
        server: Looked for when something is sent.
        traffic: Where it is counted how often the system said that something was not sent, or
            did not arrive.
    """

    server: Server
    traffic: Traffic = field(factory=Traffic)
    _client: Client | None = field(default=None, init=False)
    _place: object = field(default=None, init=False)

    def send(self, text: str, deadline: Deadline | None = None) -> None:
        """Send ASCII lines, by *deadline* and within ``SEND_SECONDS`` whatever has to be done.

        What an old connection refuses is sent once more over a new one: the server may have
        been started again.

        Raises:
            OSError: The server cannot be found, or the system could not send. That nobody
                listens for datagrams shows at once on the same machine, over a network later
                or never. ``PartlySentError`` where a part was sent.
        """
        seconds = clients.SEND_SECONDS
        deadline = Deadline.after(seconds) if deadline is None else deadline.within(seconds)
        places = self._found(deadline)
        if self._client is None or not self._sent_as_before(self._client, text, deadline):
            self._send_anew(text, places, deadline)

    def raise_refusal(self, *, wait_seconds: float = 0) -> None:
        """Raise if the system has learnt that what was sent has not arrived.

        Args:
            wait_seconds: How long to wait for it.

        Raises:
            OSError: It has.
        """
        if self._client is None:
            return
        with self._closing_on_failure():
            self._client.raise_refusal(wait_seconds)

    def close(self) -> None:
        """Let go of the socket; the next text opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _sent_as_before(self, client: Client, text: str, deadline: Deadline) -> bool:
        try:
            client.send(text, deadline)
            return True
        except OSError as error:
            self.traffic.send_errors += 1
            # Of a full queue: the server is there, and slow.
            if not isinstance(error, TimeoutError):
                self.close()
            if isinstance(error, TimeoutError | PartlySentError):
                raise
            return False

    def _found(self, deadline: Deadline) -> Sequence[tuple[object, Connect]]:
        with self._closing_on_failure():
            places = self.server.places(deadline)
        if self._client is not None and self._place not in [place for place, _ in places]:
            self.close()
        return places

    def _send_anew(
        self, text: str, places: Sequence[tuple[object, Connect]], deadline: Deadline
    ) -> None:
        failure = OSError(errno.EDESTADDRREQ, os.strerror(errno.EDESTADDRREQ))
        for number, (place, connect) in enumerate(places):
            try:
                share = deadline.share(len(places) - number)
                self._client, self._place = connect(share), place
                self._client.send(text, share)
                return
            except OSError as error:
                self.close()
                self.server.avoid(place)
                failure = error
                if isinstance(error, PartlySentError):
                    break
        self.traffic.send_errors += 1
        raise failure

    @contextlib.contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.traffic.send_errors += 1
            self.close()
            raise
