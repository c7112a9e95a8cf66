"""A wire between a client and a server, which can be cut, or carry nothing for a while."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK_BYTES = 65_536


class Wire:
    """Carries what clients of its port and the server send each other.

    Args:
        server_port: Of the server, on loopback.

    Attributes:
        port: Where clients connect.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self._carries = threading.Event()
        self._carries.set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Have no connection through it."""
        self.close()
        try:
            yield
        finally:
            self._listen()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Keep connections open and carry nothing; what is sent meanwhile arrives later."""
        self._carries.clear()
        try:
            yield
        finally:
            self._carries.set()

    def close(self) -> None:
        """End it, and all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._ends |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self._carries.wait()
                target.sendall(data)
        with self._lock:
            self._ends.discard(source)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
