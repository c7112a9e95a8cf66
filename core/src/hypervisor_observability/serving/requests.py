"""One HTTP request: what is asked for, by whom, and what is answered."""

import contextlib
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from typing import Protocol

from attrs import define

from ..text.terminal_text import escape
from .admission import MAX_TARGET_CHARACTERS, admitted
from .coding import compressed, takes_gzip
from .connections import ANSWER_SECONDS
from .ending import Ending
from .pages import Page, Refused, Request
from .site import MakeStream, Site

_MAX_DISCARDED_BYTES = 65_536
_MAX_HEADER_BYTES = 65_536
_MAX_LOGGED_CHARACTERS = 500
_PIECE_BYTES = 65_536
RETRY_SECONDS = "2"
"""The header ``Retry-After`` of all that is refused because too much is asked for at once."""


class HandlingServer(Protocol):
    """What a handler knows of its server."""

    site: Site

    def request_is_read(self, handler: BaseHTTPRequestHandler) -> Ending:
        """Note that the client has said all that it wants; give what tells that it has gone."""

    def answer_begins(self, handler: BaseHTTPRequestHandler) -> None:
        """Note that the client gets its answer from now on."""

    def stream_place(self, handler: BaseHTTPRequestHandler) -> AbstractContextManager[Ending]:
        """Take the place of a stream for the client, instead of its own.

        Raises:
            Refused: There is none.
        """


class SiteHandler(BaseHTTPRequestHandler):
    """Answer one request and close the connection (HTTP/1.0).

    How long all of a request may take, and all of an answer, is the server's to watch: the
    timeout of the socket is one for each part, and a client that drips may have many.
    """

    server: HandlingServer  # type: ignore[assignment]  # it is made by a server of that kind
    timeout = ANSWER_SECONDS
    # An answer is several small writes, each of which is wanted now.
    disable_nagle_algorithm = True
    # Else a request that is none is answered as in HTTP/0.9, without a status line.
    default_request_version = "HTTP/1.0"
    raw_requestline: bytes
    _ending: Ending | None = None  # until all is read
    _has_begun = False

    def setup(self) -> None:
        """Take the connection over; with TLS, agree on keys first."""
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()

    def parse_request(self) -> bool:
        """Read the request line and the headers; answer, and give False, if they are unfit."""
        if len(self.raw_requestline.split()) == 2:
            self.command, self.request_version = "", self.default_request_version
            self.send_error(HTTPStatus.BAD_REQUEST, "the request line names no version of HTTP")
            return False
        whole = self.rfile
        self.rfile = _HeaderLines(whole)  # type: ignore[assignment]  # the base class reads lines
        try:
            is_fit = super().parse_request()
        finally:
            self.rfile = whole
        if is_fit and len(self.path) > MAX_TARGET_CHARACTERS:
            most = f"an address has {MAX_TARGET_CHARACTERS:,} characters at most"
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG, most)
            return False
        return is_fit

    def do_GET(self) -> None:
        """Answer with a page, or with a stream."""
        ending = self._finish_reading()
        try:
            self._serve(ending)
        except Refused as refused:
            self.send_error(refused.status, refused.text)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error, as the site tells of it."""
        if self._has_begun:
            return  # with a stream, which has no other way to tell than to end
        self._finish_reading()
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            # The base class says so of each method that has no function here.
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD"
        page = self.server.site.error_page(status, message or explain or status.description)
        self._answer(Page(page.content_type, page.body, status))

    def version_string(self) -> str:
        """Give the header ``Server``, which tells no version of anything."""
        return f"hypervisor-{self.server.site.name}"

    def log_request(self, code: int | str = "-", _: int | str = "-") -> None:
        """Log what was asked for, without its query."""
        path = getattr(self, "path", "")  # none of a request that is none
        self.log_message("%s %s %s", self.command, path.partition("?")[0], code)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep what the base class writes to stderr for those who look for it."""
        logger = self.server.site.logger
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s", escape((format % args)[:_MAX_LOGGED_CHARACTERS]))

    def _serve(self, ending: Ending) -> None:
        site = self.server.site
        target = admitted(site, self.path, self.headers)
        accept = self._header("Accept")
        if (stream := site.streams.get(target.path)) is not None:
            with self.server.stream_place(self) as of_stream:
                self._stream(target.path, stream, Request(accept, target.query, of_stream))
            return
        if (make := site.pages.get(target.path)) is None:
            raise Refused(HTTPStatus.NOT_FOUND, site.not_found)
        with self._telling(target.path):
            page = make(Request(accept, target.query, ending))
        if page.tag and f'"{page.tag}"' in self._header("If-None-Match"):
            page = Page("", b"", HTTPStatus.NOT_MODIFIED, page.tag)
        self._answer(page)

    def _stream(self, path: str, make: MakeStream, request: Request) -> None:
        begin = Page(self.server.site.stream_type, b"")
        if self.command == "HEAD":
            self._begin(begin, {})
            return
        chunks: Iterator[bytes] = iter(())
        try:
            with self._telling(path):
                chunks = make(request)
                chunk = next(chunks, None)
            self._begin(begin, {})
            while chunk is not None:
                for first in range(0, len(chunk), _PIECE_BYTES):
                    self.wfile.write(chunk[first : first + _PIECE_BYTES])
                with self._telling(path):
                    chunk = next(chunks, None)
        finally:
            if (close := getattr(chunks, "close", None)) is not None:
                close()

    @contextlib.contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """Have a failure to make what stands at *path* logged, and answered."""
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            self.server.site.tell_of_failure(path, error)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            raise Refused(status, "see the application's log") from error

    def _answer(self, page: Page) -> None:
        body, headers = page.body, {}
        if body and self.server.site.compressed and takes_gzip(self._header("Accept-Encoding")):
            body = compressed(body)
            headers["Content-Encoding"] = "gzip"
        if page.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            headers["Content-Length"] = str(len(body))
        self._begin(page, headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, page: Page, headers: Mapping[str, str]) -> None:
        """Send the status and all headers: those of the page, of the site, and *headers*."""
        self._has_begun = True
        site = self.server.site
        self.server.answer_begins(self)
        self.send_response(page.status)
        if page.content_type:
            self.send_header("Content-Type", page.content_type)
        kept = {"ETag": f'W/"{page.tag}"', "Cache-Control": "no-cache"} if page.tag else {}
        for name, value in {**site.headers, **kept, **headers}.items():
            self.send_header(name, value)
        match page.status:
            case HTTPStatus.OK:
                self.send_header("Vary", "Accept, Accept-Encoding")
            case HTTPStatus.METHOD_NOT_ALLOWED:
                self.send_header("Allow", "GET, HEAD")
            case HTTPStatus.UNAUTHORIZED:
                for challenge in site.credentials.challenges(site.realm):
                    self.send_header("WWW-Authenticate", challenge)
            case HTTPStatus.SERVICE_UNAVAILABLE:
                self.send_header("Retry-After", RETRY_SECONDS)
            case _:
                pass
        self.end_headers()

    def _header(self, name: str) -> str:
        headers = getattr(self, "headers", None)  # none of a request that is none
        return "" if headers is None else ", ".join(headers.get_all(name, []))

    def _finish_reading(self) -> Ending:
        """Discard the body, once, and note that all is read; give what tells if the client goes."""
        if self._ending is not None:
            return self._ending
        self._ending = Ending()  # should the client go while it is read
        # Closing a socket with unread bytes resets it, and the client misses the answer.
        length = self._header("Content-Length")
        if length.isdecimal() and len(length) < 20:
            self.rfile.read(min(int(length), _MAX_DISCARDED_BYTES))
        self._ending = self.server.request_is_read(self)
        return self._ending


@define(eq=False)
class _HeaderLines:
    """The lines of a request's headers, which have a bound in sum."""

    _whole: BufferedIOBase
    _left: int = _MAX_HEADER_BYTES

    def readline(self, limit: int) -> bytes:
        """Give the next line, or *limit* bytes of it.

        Raises:
            LineTooLong: All lines are too long together.
        """
        line = self._whole.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("the headers")
        return line
