"""``http.client`` under one deadline, to every address of a host."""

import http.client
import socket
import ssl
from typing import cast

from .deadline import Deadline
from .deadline_socket import DeadlineSocket
from .dialling import connect, dial
from .lookup import Address
from .routes import Routes


class DeadlineHTTPConnection(http.client.HTTPConnection):
    """A connection to the first address that takes it, of which every wait ends in time.

    Attributes:
        address: Which one that is; None before it is connected.

    Args:
        routes: The addresses of the host.
        deadline: Of connecting, and of what is asked until ``give`` sets another.
        tls: How https is verified; None for http.
        server_name: Whom the certificate must name; the default is the host.
    """

    def __init__(
        self,
        routes: Routes,
        deadline: Deadline,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        super().__init__(routes.lookup.host, routes.lookup.port)
        self.address: Address | None = None
        self._routes = routes
        self._deadline = deadline
        self._tls = tls
        self._server_name = server_name or routes.lookup.host

    def connect(self) -> None:
        """Connect, TLS included.

        Raises:
            OSError: The connection is refused, or (``TimeoutError``) not made in time.
        """
        self.address, opened = dial(self._routes, self._deadline, self._open)
        # Whatever http.client needs of a socket, a DeadlineSocket has.
        self.sock = cast("socket.socket", DeadlineSocket(opened, self._deadline))

    def give(self, deadline: Deadline) -> None:
        """Set the deadline of what is asked next."""
        self._deadline = deadline
        if self.sock is not None:
            cast("DeadlineSocket", self.sock).deadline = deadline

    def _open(self, address: Address, deadline: Deadline) -> socket.socket:
        opened = connect(address, deadline)
        if self._tls is None:
            return opened
        try:
            opened.settimeout(deadline.left())
            return self._tls.wrap_socket(opened, server_hostname=self._server_name)
        except BaseException:
            opened.close()
            raise
