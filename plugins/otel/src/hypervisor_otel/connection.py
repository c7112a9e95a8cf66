"""One kept-alive HTTP connection: no proxies, no redirects, bounded in time and size."""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from typing import cast

from attrs import define, field, frozen

from hypervisor_otel.deadline_socket import DeadlineSocket, seconds_until
from hypervisor_otel.endpoint import Endpoint, is_link_local

MAX_ANSWER_BYTES = 65_536
"""How much of an answer is read. An OTLP receiver's is under 100 bytes."""


class ForbiddenAddress(Exception):  # noqa: N818 - a verdict on an address
    """The host resolves to an address that must not be connected to."""


@frozen
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        content_type: The type of the body, in lower case, without parameters.
        retry_after: The header of that name; None where there is none.
        body: At most the first 64 KiB.
        is_whole: Whether the body ended there.
    """

    status: int
    content_type: str = ""
    retry_after: str | None = None
    body: bytes = b""
    is_whole: bool = True


@define(eq=False)
class Connection:
    """Post to one endpoint, over one connection at a time. For one thread.

    Attributes:
        endpoint: Where to.
        tls: How https is verified; None for http.
        allow_link_local: Whether names may resolve to link-local addresses.
    """

    endpoint: Endpoint
    tls: ssl.SSLContext | None = None
    allow_link_local: bool = False
    _http: http.client.HTTPConnection | None = field(default=None, init=False)

    def post(self, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> Answer:
        """Post *body* and give the answer, whatever its status.

        A kept connection that the server has closed meanwhile is replaced by a new one, once.
        Looking up the host's name is not under the timeout: no resolver offers one.

        Args:
            body: The content.
            headers: Of the request, beside Host and Content-Length.
            timeout_seconds: For all of it together.

        Raises:
            ForbiddenAddress: The host resolves to a link-local address.
            OSError: No connection, no answer in time (``TimeoutError``), or no trust.
            http.client.HTTPException: The answer is no HTTP.
        """
        deadline = time.monotonic() + timeout_seconds
        if self._http is not None:
            try:
                return self._exchange(self._http, body, headers, deadline)
            except ConnectionError:
                # Servers close what was idle for a while; that says nothing of the backend.
                pass
        return self._exchange(self._connect(deadline), body, headers, deadline)

    def close(self) -> None:
        """Close the connection, if there is one. The next post opens another."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Answer:
        cast("DeadlineSocket", connection.sock).deadline = deadline
        is_reusable = False
        try:
            with self._ask(connection, body, headers) as response:
                content = response.read(MAX_ANSWER_BYTES)
                is_whole = response.isclosed() or not response.read(1)
                is_reusable = is_whole and not response.will_close
        finally:
            if not is_reusable:
                self.close()
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        retry_after = response.headers.get("Retry-After")
        return Answer(response.status, kind, retry_after, content, is_whole)

    def _ask(
        self, connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        everything = {"Host": self.endpoint.authority, **headers}
        try:
            connection.request("POST", self.endpoint.target, body, everything)
        except ConnectionError as error:
            # A server that refuses a long body answers and closes before it has read it.
            try:
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                raise error from None
        return connection.getresponse()

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        self.close()
        connection = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port)
        # Whatever http.client needs of a socket, a DeadlineSocket has.
        connection.sock = cast("socket.socket", DeadlineSocket(self._open(deadline), deadline))
        self._http = connection
        return connection

    def _open(self, deadline: float) -> socket.socket:
        """Connect to the first address of the host that takes the connection."""
        found = socket.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)
        if not self.allow_link_local and any(is_link_local(str(row[4][0])) for row in found):
            raise ForbiddenAddress
        error: OSError = ConnectionError("the host has no address")
        for family, kind, protocol, _, address in found:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(seconds_until(deadline))
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._secure(opened, deadline)
            except OSError as failure:
                opened.close()
                error = failure
        raise error

    def _secure(self, opened: socket.socket, deadline: float) -> socket.socket:
        if self.tls is None:
            return opened
        opened.settimeout(seconds_until(deadline))
        return self.tls.wrap_socket(opened, server_hostname=self.endpoint.host)
