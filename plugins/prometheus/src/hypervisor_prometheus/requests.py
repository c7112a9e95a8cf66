"""One HTTP request: what is asked for, by whom, and what is answered."""

import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Protocol
from urllib.parse import urlsplit

from attrs import field, frozen

from hypervisor_prometheus.coding import compressed, takes_gzip
from hypervisor_prometheus.credentials import Credentials
from hypervisor_prometheus.loopback import is_loopback

TIMEOUT_SECONDS = 5.0
_MAX_DISCARDED_BYTES = 65_536
_TEXT = "text/plain; charset=utf-8"


@frozen
class Page:
    """What is answered with 200 OK.

    Attributes:
        content_type: The header of that name.
        body: The bytes, not compressed.
    """

    content_type: str
    body: bytes


@frozen
class Request:
    """What a page may depend on.

    Attributes:
        accept: The header ``Accept``; empty where there is none.
    """

    accept: str = ""


@frozen
class Site:
    """All that a server shows.

    Attributes:
        pages: The pages by their path.
        local_only: Whether only names of this machine are answered to (header ``Host``).
        credentials: What a client must show for other pages than *open_pages*.
        open_pages: Paths that everybody may read.
        logger: Told of pages that cannot be made.
    """

    pages: dict[str, Callable[[Request], Page]] = field(repr=False)
    local_only: bool
    logger: logging.Logger
    credentials: Credentials = field(factory=Credentials)
    open_pages: frozenset[str] = frozenset()


class SiteServer(Protocol):
    """What a handler knows of its server."""

    site: Site

    def request_is_read(self, handler: BaseHTTPRequestHandler) -> None:
        """Note that the client has said what it wants."""


class SiteHandler(BaseHTTPRequestHandler):
    """Answer one request and close the connection (HTTP/1.0).

    The socket has a timeout: a client that stops reading or writing is let go.
    """

    server: SiteServer  # type: ignore[assignment]  # it is made by a server of that kind
    timeout = TIMEOUT_SECONDS
    # Else a request that is none is answered as in HTTP/0.9, without a status line.
    default_request_version = "HTTP/1.0"
    server_version = "hypervisor-prometheus"
    sys_version = ""

    def setup(self) -> None:
        """Take the connection over; with TLS, agree on keys first."""
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()

    def do_GET(self) -> None:
        """Answer with a page."""
        self.server.request_is_read(self)
        site = self.server.site
        if site.local_only and not _is_local(self.headers.get("Host")):
            # A page in a browser may have pointed a name of its own at this machine.
            self.send_error(HTTPStatus.FORBIDDEN, "served under names of this machine only")
            return
        path = urlsplit(self.path).path
        if path not in site.open_pages and not site.credentials.admit(
            self.headers.get("Authorization")
        ):
            self.send_error(HTTPStatus.UNAUTHORIZED, "show the user and password, or the token")
            return
        make = site.pages.get(path)
        if make is None:
            self.send_error(HTTPStatus.NOT_FOUND, "there is /metrics, /-/healthy and /-/ready")
            return
        try:
            page = make(Request(self.headers.get("Accept") or ""))
        except Exception as error:  # whoever scrapes is told, and the next scrape may succeed
            site.logger.warning("%s could not be made: %s", self.path, error, exc_info=error)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "see the application's log")
            return
        self._answer(HTTPStatus.OK, page)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error, in plain text."""
        self.server.request_is_read(self)
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            # The base class says so of each method that has no function here.
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD"
            self._discard_body()
        text = f"{status.value} {status.phrase}: {message or explain or status.description}\n"
        self._answer(status, Page(_TEXT, text.encode("utf-8", "replace")))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep what the base class writes to stderr for those who look for it."""
        self.server.site.logger.debug(format, *args)

    def _answer(self, status: HTTPStatus, page: Page) -> None:
        body = page.body
        self.send_response(status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if status is HTTPStatus.UNAUTHORIZED:
            for challenge in self.server.site.credentials.challenges:
                self.send_header("WWW-Authenticate", challenge)
        if status is HTTPStatus.OK:
            self.send_header("Vary", "Accept, Accept-Encoding")
            if takes_gzip(self.headers.get("Accept-Encoding") or ""):
                body = compressed(body)
                self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _discard_body(self) -> None:
        # Closing a socket with unread bytes resets it, and the client misses the answer.
        length = self.headers.get("Content-Length") or ""
        if length.isdecimal() and len(length) < 20:
            self.rfile.read(min(int(length), _MAX_DISCARDED_BYTES))


def text_page(text: str) -> Page:
    """Give a page of plain text."""
    return Page(_TEXT, text.encode())


def _is_local(host: str | None) -> bool:
    if host is None:
        return True  # no browser: they all send it
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
