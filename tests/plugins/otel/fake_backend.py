"""A backend that misbehaves on demand."""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedIOBase
from typing import Any

from attrs import define, field, frozen

from tests.plugins.otel.acts import Behaviour


@frozen
class Request:
    """What a client asked."""

    line: str
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class FakeBackend:
    """Answer each request as told; the last behaviour is repeated. On loopback."""

    behaviours: Sequence[Behaviour]
    requests: list[Request] = field(factory=list)
    connections: int = 0
    _listener: socket.socket = field(init=False)
    _open: list[socket.socket] = field(factory=list)

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            # On a descriptor of its own, so that a behaviour may close the connection.
            with connection.makefile("rb") as reader:
                while (request := _read_request(reader)) is not None:
                    self.requests.append(request)
                    index = min(len(self.requests), len(self.behaviours)) - 1
                    self.behaviours[index](connection)


def _read_request(reader: BufferedIOBase) -> Request | None:
    line = reader.readline().decode("latin-1").strip()
    if not line:
        return None
    headers = {}
    while header := reader.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))
    return Request(line, headers, body)


StartBackend = Callable[..., FakeBackend]
"""Starts a backend that does one behaviour after the other: ``start_backend(*behaviours)``."""
Connected = Callable[..., tuple[Any, FakeBackend]]
"""Gives a sender, and the backend that it sends to: ``connected(*behaviours, **settings)``."""
