"""The backend of the oracle's run: it remembers what it was sent, and misbehaves when told to."""

import json
import threading
import time
from enum import Enum
from http.server import ThreadingHTTPServer
from typing import Any

from tests.http_servers import Handler, serving

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

        class Moody(Handler):
            timeout = 10

            def do_POST(self) -> None:
                backend.answer(self)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
        server.daemon_threads = True
        self._serving = serving(server)
        self.port = self._serving.__enter__()

    def answer(self, handler: Handler) -> None:
        """Answer a request as the mood is."""
        body, mood = handler.body(), self.mood
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
        status = {Mood.REFUSES: 503, Mood.LIMITS: 429}.get(mood, 200)
        headers = {"Retry_After": "1"} if mood is Mood.LIMITS else {}
        handler.answer(status, b"taken", **headers)

    def close(self) -> None:
        """Stop serving."""
        self._serving.__exit__(None, None, None)

    def _take(self, body: bytes) -> None:
        with self._lock:
            for line in body.decode().splitlines():
                event_id, payload = json.loads(line)
                if event_id in self.taken:
                    self.again += 1
                    self.different += self.taken[event_id] != payload
                self.taken[event_id] = payload
