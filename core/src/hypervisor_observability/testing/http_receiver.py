"""An HTTP server on loopback that keeps what it is sent, and fails as a test says."""

import socket
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from attrs import define, field, frozen

from .receiver import LOOPBACK, MAX_KEPT, Fault, Receiver

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Longest body that is taken, before and after it is unpacked."""

_ELSEWHERE = "/login"
_DRIP_SECONDS = 0.02
_IDLE_SECONDS = 60.0
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's manual, inflateInit2: 16 asks for gzip
_JOIN_SECONDS = 30.0


@frozen
class ReceivedRequest:
    """A request as it arrived.

    Attributes:
        method: Such as ``POST``.
        path: With its query.
        headers: By their names in lower case.
        body: Unpacked, if it was sent with gzip.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")


@define(eq=False)
class HTTPReceiver(Receiver):
    """Take requests of any method and path.

    Attributes:
        requests: Those that were accepted.
        status: The status of an answer that accepts.
        answer_headers: Headers of such an answer.
        answer_body: Its body.
        error_status: The status of an answer while ``Fault.ERROR``.
        refused_text: Requests whose body holds this text are answered with 400; empty: none.
        busy_status: The status of an answer while ``Fault.BUSY``.
        retry_after_seconds: What ``Retry-After`` asks for while ``Fault.BUSY``.
    """

    status: int = 200
    answer_headers: Mapping[str, str] = field(factory=dict)
    answer_body: bytes = b""
    error_status: int = 500
    busy_status: int = field(default=429, init=False)
    refused_text: str = field(default="", init=False)
    retry_after_seconds: int = field(default=2, init=False)
    requests: list[ReceivedRequest] = field(factory=list, init=False, repr=False)
    _bound: socket.socket | None = field(default=None, init=False)
    _accepting: threading.Thread | None = field(default=None, init=False)
    _connections: dict[socket.socket, threading.Thread] = field(factory=dict, init=False)
    _ended: threading.Event = field(factory=threading.Event, init=False)

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen on a free port of loopback.

        Raises:
            OSError: There is none.
        """
        self._ended.clear()
        self._bind()
        self._listen()

    def stop(self) -> None:
        """Free the port, and end every connection and thread. What has arrived stays."""
        self._ended.set()
        self._close()

    def change(self, fault: Fault | None) -> None:
        """Begin to fail in this way, or work again with None."""
        before, self.fault = self.fault, fault
        if fault is Fault.REFUSED:
            # A port that is bound and not listened on refuses, and stays ours.
            self._close()
            self._bind()
        elif before is Fault.REFUSED:
            self._listen()
        elif before is not None and fault is None:
            self._end_connections()  # what hangs in an answer hangs no longer

    def texts(self) -> Sequence[str]:
        """Give the bodies of the requests that were accepted, oldest first."""
        with self.changed:
            return [request.text for request in self.requests]

    def handle(self, request: ReceivedRequest, handler: "Handler") -> None:
        """Answer a request, or fail to."""
        fault = self.fault
        taken = fault in {None, Fault.UNANSWERED, Fault.UNNAMED}
        refused = taken and bool(self.refused_text) and self.refused_text in request.text
        with self.changed:
            self.offered += 1
            if taken and not refused and len(self.requests) < MAX_KEPT:
                self.requests.append(request)
            self.changed.notify_all()
        if fault is Fault.SILENT:
            self._ended.wait(_IDLE_SECONDS)
        elif fault is Fault.DRIPPING:
            self._drip(handler)
        elif fault is Fault.UNANSWERED:
            with suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
        elif fault is Fault.ERROR:
            handler.answer(self.error_status)
        elif fault is Fault.BUSY:
            handler.answer(self.busy_status, Retry_After=str(self.retry_after_seconds))
        elif fault is Fault.REDIRECTED:
            if request.path == _ELSEWHERE:
                handler.answer()
            else:
                handler.answer(302, Location=_ELSEWHERE)
        elif refused:
            handler.answer(400)
        else:
            handler.answer(self.status, self.answer_body, **self.answer_headers)

    def _drip(self, handler: "Handler") -> None:
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self._ended.wait(_DRIP_SECONDS) and self.fault is Fault.DRIPPING:
                handler.wfile.write(b"x")

    # The port

    def _bind(self) -> None:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, self.port))
        self._bound, self.port = bound, bound.getsockname()[1]

    def _listen(self) -> None:
        bound = self._bound
        if bound is None:
            raise RuntimeError("the receiver is not started")
        bound.listen(128)
        bound.settimeout(0.05)  # closing a socket does not wake who accepts on it
        self._accepting = threading.Thread(
            target=self._accept, args=(bound,), name="http-receiver", daemon=True
        )
        self._accepting.start()

    def _accept(self, bound: socket.socket) -> None:
        while self._bound is bound:
            try:
                connection, address = bound.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve, args=(connection, address), name="http-receiver", daemon=True
            )
            with self.changed:  # who ends connections joins their threads
                thread.start()
                self._connections[connection] = thread

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            with suppress(OSError):  # a client that goes away in the middle is no news
                Handler(connection, address, self)  # type: ignore[arg-type]  # it asks the server nothing
        finally:
            with self.changed:
                self._connections.pop(connection, None)
            connection.close()

    def _close(self) -> None:
        bound, self._bound = self._bound, None
        if self._accepting is not None:
            self._accepting.join(_JOIN_SECONDS)
            self._accepting = None
        if bound is not None:
            bound.close()
        self._end_connections()

    def _end_connections(self) -> None:
        with self.changed:
            open_now = list(self._connections.items())
        silenced, self._ended = self._ended, threading.Event()
        silenced.set()
        for connection, thread in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN_SECONDS)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and has the receiver answer them."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: HTTPReceiver  # type: ignore[assignment]  # of which it uses nothing but handle()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method
            return self._take
        raise AttributeError(name)

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer with *body* and *headers*, in whose names "_" stands for "-"."""
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: what arrived is what there is to see."""

    def _take(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = self._unpacked(self._body(headers), headers.get("content-encoding", ""))
        except (ValueError, zlib.error):
            self.close_connection = True
            self.answer(400)
            return
        self.server.handle(ReceivedRequest(self.command, self.path, headers, body), self)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self._read(int(headers.get("content-length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(1_000).partition(b";")[0], 16)
        chunk = self._read(size)
        self.rfile.readline(1_000)
        return chunk

    def _read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_BODY_BYTES:
            raise ValueError("a body too long")
        return self.rfile.read(size)

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        if encoding.lower() != "gzip":
            return body
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        plain = unpacker.decompress(body, MAX_BODY_BYTES)
        if not unpacker.eof:
            raise ValueError("a body that is broken off, or too long once unpacked")
        return plain
