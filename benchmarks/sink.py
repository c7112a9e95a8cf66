"""A receiver in a process of its own, which counts what arrives.

Usage: python -m benchmarks.sink otlp|udp|hung. Prints its port, and serves until its standard
input ends. ``otlp`` decodes each body with the official protobuf classes and counts spans;
``udp`` counts lines; ``hung`` takes connections and never answers. The counts are told to who
connects to the same TCP port (``GET /count`` for OTLP) and speaks HTTP.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RECEIVE_BUFFER_BYTES = 64 * 1024 * 1024
# Linux lets an administrator pass the system's bound (socket(7)); Python does not name it.
_SO_RCVBUFFORCE = 33


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(str(self.server.count()).encode())  # type: ignore[attr-defined]  # it is a _Server

    def do_POST(self) -> None:
        self.server.take(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[attr-defined]  # it is a _Server
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, port: int, *, count: Callable[[], int], take: Callable[[bytes], None]
    ) -> None:
        self.count = count
        self.take = take
        super().__init__(("127.0.0.1", port), _Handler)


def otlp() -> int:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    counts: list[int] = []

    def take(body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        counts.append(
            sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        )

    return _serve(_Server(0, count=lambda: sum(counts), take=take))


def udp() -> int:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    except OSError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    receiver.bind(("127.0.0.1", 0))
    port = int(receiver.getsockname()[1])
    lines = 0

    def receive() -> None:
        nonlocal lines
        while True:
            lines += receiver.recv(65_536).count(b"\n") + 1

    threading.Thread(target=receive, daemon=True).start()
    return _serve(_Server(port, count=lambda: lines, take=lambda _: None))


def hung() -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listeners.append(listener)
    return int(listener.getsockname()[1])


listeners: list[socket.socket] = []
"""Sockets that must stay open."""


def _serve(server: _Server) -> int:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main() -> None:
    port = {"otlp": otlp, "udp": udp, "hung": hung}[sys.argv[1]]()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # whoever is still connected need not be waited for


if __name__ == "__main__":
    main()
