"""A small HTTP server: bounded threads, bounded patience, and a port that is let go."""

import contextlib
import os
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..text.terminal_text import escape
from .connections import Connections
from .ending import Ending
from .requests import RETRY_SECONDS, SiteHandler
from .site import Site
from .streams import Streams

_POLL_SECONDS = 0.05
_REFUSAL_SECONDS = 0.1


class SiteServer(ThreadingHTTPServer):
    """Serve a site at an address, in daemon threads.

    Binds and listens at once; nothing is answered before ``start``.

    Args:
        host: Address or name of an interface; empty for all.
        port: TCP port; 0 for a free one.
        site: What to serve.
        tls: With it, https alone is served.

    Raises:
        OSError: The address cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    # On Windows the option would let two servers share the port.
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, site: Site, tls: ssl.SSLContext | None = None) -> None:
        self.site = site
        self._tls = tls
        self.connections = Connections(site.max_connections)
        self.streams = Streams(site.max_streams, site.stream_seconds)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._thread: threading.Thread | None = None
        super().__init__((host, port), SiteHandler)

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's full name that the base class makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # the host is a str here

    def start(self) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(
            target=self.serve_forever,
            args=(_POLL_SECONDS,),
            name=f"hvobs-{self.site.name}-{self.server_port}",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, free the port and hang up on every client."""
        # In a forked child the thread is gone, waiting for it would never end, and the
        # clients are the parent's.
        if self._thread is not None and self._thread.is_alive():
            self.shutdown()
            self._thread.join()
            self.streams.hang_up()
            self.connections.hang_up()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection. Its keys are agreed on in its own thread: that may take long."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        try:
            wrapped = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        except OSError:  # gone already
            connection.close()
            raise
        return wrapped, address

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection in a thread of its own, if there is a place for it."""
        assert isinstance(request, socket.socket)  # noqa: S101 - tells mypy; the tuple is UDP's
        if not self.connections.admit(request):
            if self._tls is None:
                request.settimeout(_REFUSAL_SECONDS)
                request.sendall(_busy(self.site))
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection, under the site's name."""
        threading.current_thread().name = f"hvobs-{self.site.name}-request"
        super().process_request_thread(request, client_address)

    def close_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection and give its place back."""
        super().close_request(request)
        assert isinstance(request, socket.socket)  # noqa: S101 - tells mypy; the tuple is UDP's
        self.connections.release(request)

    def service_actions(self) -> None:
        """End the connections whose time is over; called at each turn of ``serve_forever``."""
        self.connections.end_late()
        self.streams.end_late()

    def request_is_read(self, handler: BaseHTTPRequestHandler) -> Ending:
        """Keep the handler's connection from being evicted; tell once its client has gone."""
        return self.connections.serve(handler.connection)

    def answer_begins(self, handler: BaseHTTPRequestHandler) -> None:
        """Begin to count the time that the client takes for the answer."""
        self.connections.answer(handler.connection)

    @contextlib.contextmanager
    def stream_place(self, handler: BaseHTTPRequestHandler) -> Iterator[Ending]:
        """Take the place of a stream, and give back the one among the requests.

        Raises:
            Refused: There is none.
        """
        with self.streams.place(handler.connection) as ending:
            self.connections.release(handler.connection)
            yield ending

    def handle_error(self, _request: object, client_address: object) -> None:
        """Log that a client went away, or whatever else went wrong with it."""
        error = sys.exception()
        if isinstance(error, OSError):
            self.site.logger.debug("%s went away: %s", client_address, escape(str(error)))
        elif error is not None:
            self.site.tell_of_failure(f"request of {client_address}", error)


def _busy(site: Site) -> bytes:
    """Give the whole answer to a client for whom there is no thread."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    page = site.error_page(status, "too many requests at once")
    headers = {**site.headers, "Content-Type": page.content_type, "Retry-After": RETRY_SECONDS}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.0 {status.value} {status.phrase}", *lines, "", ""])
    return head.encode("latin-1") + page.body
