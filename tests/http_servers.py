"""HTTP servers on the loopback interface that answer as a test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    """What a test's handler needs to read and answer; writes no line for a request."""

    timeout = 30

    def body(self) -> bytes:
        """Read what the client sends."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer with *body* and *headers*, in whose names "_" stands for "-"."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    """Serve in a thread until the block is left; give the port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
