"""The backend of the oracle's run: it remembers what it was sent, and misbehaves when told to."""

import json
import threading
import time
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HANG_SECONDS = 4.0


class Mood(Enum):
    """How it answers."""

    GOOD = "takes everything"
    REFUSES = "answers 503"
    LIMITS = "answers 429 with Retry-After"
    HANGS = "does not answer in time"
    RESETS = "closes the connection"
    FORGETS = "takes the events and closes the connection"
    BABBLES = "answers garbage"


class OracleBackend:
    """A server on the loopback interface.

    Attributes:
        mood: How it answers at present.
        taken: Payload of each event that it took, by id.
        again: Events that it took more than once.
        different: Events that it took with another payload than before.
    """

    def __init__(self) -> None:
        self.mood = Mood.GOOD
        self.taken: dict[str, Any] = {}
        self.again = self.different = 0
        self._lock = threading.Lock()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                backend.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request as the mood is."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        mood = self.mood
        if mood in (Mood.GOOD, Mood.FORGETS):
            self._take(body)
        if mood is Mood.HANGS:
            time.sleep(_HANG_SECONDS)
        if mood in (Mood.HANGS, Mood.RESETS, Mood.FORGETS):
            handler.close_connection = True
            handler.connection.close()
            return
        if mood is Mood.BABBLES:
            handler.wfile.write(b"\x00garbage\r\n\r\n" * 100)
            handler.close_connection = True
            return
        answer = b"taken"
        handler.send_response({Mood.REFUSES: 503, Mood.LIMITS: 429}.get(mood, 200))
        if mood is Mood.LIMITS:
            handler.send_header("Retry-After", "1")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes) -> None:
        with self._lock:
            for line in body.decode().splitlines():
                event_id, payload = json.loads(line)
                if event_id in self.taken:
                    self.again += 1
                    self.different += self.taken[event_id] != payload
                self.taken[event_id] = payload
