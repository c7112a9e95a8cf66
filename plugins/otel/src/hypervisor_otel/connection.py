"""One kept-alive HTTP connection: no proxies, no redirects, bounded in time and size."""

import http.client
import math
import ssl
from collections.abc import Mapping

from attrs import define, field, frozen

from hypervisor_observability.network import Address, Deadline, Lookup, Routes
from hypervisor_observability.network.http_connection import DeadlineHTTPConnection
from hypervisor_otel.endpoint import Endpoint, is_link_local

MAX_ANSWER_BYTES = 65_536
"""How much of an answer is read, unless told otherwise. An OTLP receiver's is under 100 bytes."""


class ForbiddenAddress(Exception):  # noqa: N818 - a verdict on an address
    """The host resolves to an address that must not be connected to."""


@frozen
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        content_type: The type of the body, in lower case, without parameters.
        retry_after: The header of that name; None where there is none.
        body: Its beginning, as much as was to be read.
        is_whole: Whether the body ended there.
    """

    status: int
    content_type: str = ""
    retry_after: str | None = None
    body: bytes = b""
    is_whole: bool = True


def routes_to(endpoint: Endpoint, *, allow_link_local: bool) -> Routes:
    """Give the addresses of the host of *endpoint*.

    Asking them raises ``ForbiddenAddress`` where one is link-local, unless that is allowed.
    """

    def check(address: Address) -> None:
        if not allow_link_local and is_link_local(str(address.place[0])):
            raise ForbiddenAddress

    # As long as no address is known, nothing else can be done with a deadline.
    return Routes(Lookup(endpoint.host, endpoint.port, wait_seconds=math.inf), check)


@define(eq=False)
class Connection:
    """Ask one endpoint, over one connection at a time. For one thread.

    Every address of the host is tried. Once one was left, the others are tried before it.

    Attributes:
        endpoint: Where to.
        tls: How https is verified; None for http.
        allow_link_local: Whether names may resolve to link-local addresses.
        began: Whether the last request came so far that it was being sent.
    """

    endpoint: Endpoint
    tls: ssl.SSLContext | None = None
    allow_link_local: bool = False
    began: bool = field(default=False, init=False)
    _routes: Routes = field(init=False)
    _http: DeadlineHTTPConnection | None = field(default=None, init=False)
    _address: Address | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._routes = routes_to(self.endpoint, allow_link_local=self.allow_link_local)

    def ask(
        self,
        method: str,
        target: str,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send a request and give the answer, whatever its status.

        A kept connection that the server has closed meanwhile is replaced by a new one, once.
        After any other failure the address is left.

        Args:
            method: Such as ``POST``.
            target: Path and query.
            deadline: Of all of it, from the look-up of the name to the last byte.
            headers: Of the request, beside Host and Content-Length.
            body: The content, if any.
            max_bytes: How much of the answer is read.

        Raises:
            ForbiddenAddress: The host resolves to a link-local address.
            UnansweredError: The name server has not answered in time.
            OSError: No connection, no answer in time (``TimeoutError``), or no trust.
            http.client.HTTPException: The answer is no HTTP.
        """
        self.began = False
        request = (method, target, body, {"Host": self.endpoint.authority, **headers})
        try:
            if self._http is not None:
                try:
                    return self._exchange(self._http, request, deadline, max_bytes)
                except ConnectionError:
                    # Servers close what was idle for a while; that says nothing of the backend.
                    self.close()
                    self.began = False
            return self._exchange(self._connect(deadline), request, deadline, max_bytes)
        except (OSError, http.client.HTTPException):
            self.leave()
            raise

    def leave(self) -> None:
        """Close the connection, and try the other addresses of the host first from now on.

        Behind one address, too, a new connection may lead to another node.
        """
        if self._address is not None:
            self._routes.avoid(self._address)
            self._address = None
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one. The next request opens another."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(
        self,
        connection: DeadlineHTTPConnection,
        request: tuple[str, str, bytes | None, Mapping[str, str]],
        deadline: Deadline,
        max_bytes: int,
    ) -> Answer:
        connection.give(deadline)
        self.began = True
        is_reusable = False
        try:
            with _response(connection, *request) as response:
                content = response.read(max_bytes)
                is_whole = response.isclosed() or not response.read(1)
                is_reusable = is_whole and not response.will_close
        finally:
            if not is_reusable:
                self.close()
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        retry_after = response.headers.get("Retry-After")
        return Answer(response.status, kind, retry_after, content, is_whole)

    def _connect(self, deadline: Deadline) -> DeadlineHTTPConnection:
        name = self.endpoint.server_name
        connection = DeadlineHTTPConnection(self._routes, deadline, self.tls, name)
        connection.connect()
        self._http, self._address = connection, connection.address
        return connection


def _response(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    try:
        connection.request(method, target, body, dict(headers))
    except ConnectionError as error:
        # A server that refuses a long body answers and closes before it has read it.
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException):
            raise error from None
    return connection.getresponse()
