"""One HTTP request: what is asked for, by whom, and what is answered."""

import logging
import ssl
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Protocol
from urllib.parse import urlsplit

from attrs import Factory, field, frozen

from ..text.limited_log import LimitedLog
from ..text.terminal_text import escape
from .coding import compressed, takes_gzip
from .connections import ANSWER_SECONDS
from .credentials import Credentials
from .loopback import is_loopback
from .pages import Page, Refused, Request, text_page
from .targets import read_target

_MAX_DISCARDED_BYTES = 65_536
_MAX_LOGGED_CHARACTERS = 500


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
    _log: LimitedLog = field(
        init=False, default=Factory(lambda site: LimitedLog(site.logger.name), takes_self=True)
    )

    def tell_of_failure(self, what: str, error: BaseException) -> None:
        """Log that *what* failed, at a limited rate, with nothing that commands a terminal.

        The exception's text may hold what the client sent.
        """
        lines = "".join(traceback.format_exception(error))
        self._log.warning(type(error).__name__, "%s failed: %s\n%s", what, error, lines)


class HandlingServer(Protocol):
    """What a handler knows of its server."""

    site: Site

    def request_is_read(self, handler: BaseHTTPRequestHandler) -> None:
        """Note that the client has said all that it wants."""

    def answer_begins(self, handler: BaseHTTPRequestHandler) -> None:
        """Note that the client gets its answer from now on."""


class SiteHandler(BaseHTTPRequestHandler):
    """Answer one request and close the connection (HTTP/1.0).

    How long all of a request may take, and all of an answer, is the server's to watch: the
    timeout of the socket is one for each part, and a client that drips may have many.
    """

    server: HandlingServer  # type: ignore[assignment]  # it is made by a server of that kind
    timeout = ANSWER_SECONDS
    # Else a request that is none is answered as in HTTP/0.9, without a status line.
    default_request_version = "HTTP/1.0"
    server_version = "hypervisor-prometheus"
    sys_version = ""
    _is_read = False

    def setup(self) -> None:
        """Take the connection over; with TLS, agree on keys first."""
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()

    def do_GET(self) -> None:
        """Answer with a page."""
        self._finish_reading()
        site = self.server.site
        try:
            target = read_target(self.path)
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        path = target.path
        hosts = [*self.headers.get_all("Host", []), *target.hosts]
        if len(hosts) > 1 + len(target.hosts):
            self.send_error(HTTPStatus.BAD_REQUEST, "more than one Host")
            return
        # Without one, it is no browser: they all send it.
        if site.local_only and not all(map(_is_local, hosts)):
            # A page in a browser may have pointed a name of its own at this machine.
            self.send_error(HTTPStatus.FORBIDDEN, "served under names of this machine only")
            return
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
            page = make(Request(self._header("Accept"), target.query))
        except Refused as refused:
            self.send_error(refused.status, refused.text)
            return
        except Exception as error:  # noqa: BLE001 - whoever scrapes is told, and the next scrape may succeed
            site.tell_of_failure(path, error)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "see the application's log")
            return
        self._answer(page.status, page)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error, in plain text."""
        self._finish_reading()
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            # The base class says so of each method that has no function here.
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD"
        text = f"{status.value} {status.phrase}: {message or explain or status.description}\n"
        self._answer(status, text_page(text))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep what the base class writes to stderr for those who look for it."""
        logger = self.server.site.logger
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s", escape((format % args)[:_MAX_LOGGED_CHARACTERS]))

    def _answer(self, status: HTTPStatus, page: Page) -> None:
        body = page.body
        self.server.answer_begins(self)
        self.send_response(status)
        if page.content_type:
            self.send_header("Content-Type", page.content_type)
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if status is HTTPStatus.UNAUTHORIZED:
            for challenge in self.server.site.credentials.challenges:
                self.send_header("WWW-Authenticate", challenge)
        if status is HTTPStatus.OK:
            self.send_header("Vary", "Accept, Accept-Encoding")
            if takes_gzip(self._header("Accept-Encoding")):
                body = compressed(body)
                self.send_header("Content-Encoding", "gzip")
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _header(self, name: str) -> str:
        return ", ".join(self.headers.get_all(name, []))

    def _finish_reading(self) -> None:
        """Discard the body, once, and note that all is read."""
        if self._is_read:
            return
        self._is_read = True
        # Closing a socket with unread bytes resets it, and the client misses the answer.
        headers = getattr(self, "headers", None)  # none of a request that is none
        length = (headers and headers.get("Content-Length")) or ""
        if length.isdecimal() and len(length) < 20:
            self.rfile.read(min(int(length), _MAX_DISCARDED_BYTES))
        self.server.request_is_read(self)


def _is_local(host: str) -> bool:
    if not set(host).isdisjoint("/?#@"):
        return False  # part of it would be read as something else
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
