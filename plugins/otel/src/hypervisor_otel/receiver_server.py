"""The HTTP server of the receiver: bounded bodies, answers in protobuf, loopback only."""

import socket
import socketserver
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.message import DecodeError, Message

from hypervisor_otel.answers import PROTOBUF
from hypervisor_otel.signals import LOGS, METRICS, TRACES

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Longest body that is taken, before and after it is unpacked."""

_REQUESTS = {signal.path: signal.empty for signal in (TRACES, METRICS, LOGS)}

_IDLE_SECONDS = 30.0
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's manual, inflateInit2: 16 asks for gzip


class ReceiverServer(ThreadingHTTPServer):
    """Listen on a free port of 127.0.0.1.

    Args:
        keep: Called with each request that was understood, from any thread.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, keep: Callable[[Message], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keep = keep
        self._handlers: set[_Handler] = set()
        self._lock = threading.Lock()

    def server_bind(self) -> None:
        """Bind, without looking up the host's own name as an HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def note(self, handler: "_Handler") -> None:
        """Remember who serves a connection."""
        with self._lock:
            self._handlers.add(handler)

    def forget(self, handler: "_Handler") -> None:
        """Forget one whose connection has ended."""
        with self._lock:
            self._handlers.discard(handler)

    def close_connections(self) -> None:
        """End the threads that wait on kept connections."""
        with self._lock:
            waiting = tuple(self._handlers)
        for handler in waiting:
            with suppress(OSError):  # the client may have been faster
                handler.connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: ReceiverServer

    def setup(self) -> None:
        super().setup()
        self.server.note(self)

    def finish(self) -> None:
        self.server.forget(self)
        super().finish()

    def do_POST(self) -> None:
        status, request = self._request()
        if request is None:
            # What is left of the body would be taken for the next request.
            self.close_connection = True
            self._answer(status, b"")
            return
        self.server.keep(request)
        self._answer(status, b"")  # an answer whose fields are all unset has no bytes

    def _request(self) -> tuple[int, Message | None]:
        """Read the request; give the status to answer, and None where it is refused."""
        length = self.headers.get("Content-Length", "")
        empty = _REQUESTS.get(self.path.partition("?")[0])
        if empty is None:
            return 404, None
        if self.headers.get_content_type() != PROTOBUF:
            return 415, None
        if not (length.isascii() and length.isdigit()):
            return 411, None
        if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            return 413, None
        try:
            body = _unpacked(self.rfile.read(int(length)), self.headers.get("Content-Encoding"))
            request = empty()
            request.ParseFromString(body)
            return 200, request
        except (DecodeError, zlib.error, ValueError):
            return 400, None

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", PROTOBUF)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: what arrived is what there is to see."""


def _unpacked(body: bytes, encoding: str | None) -> bytes:
    if encoding in {None, "identity"}:
        return body
    if encoding != "gzip":
        msg = "an encoding that is neither gzip nor identity"
        raise ValueError(msg)
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    plain = unpacker.decompress(body, MAX_BODY_BYTES)
    if not unpacker.eof:
        msg = "a body that is broken off, or too long once unpacked"
        raise ValueError(msg)
    return plain
