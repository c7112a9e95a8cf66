"""Servers of TCP and Unix streams that read when a test says so."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


SECONDS = 30


class StreamServer:
    """Accept connections one after the other, when it is asked to."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(8)
        self.listener.settimeout(SECONDS)
        self.connections: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(SECONDS)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for open_socket in (*self.connections, self.listener):
            open_socket.close()
        self.connections.clear()


def read(connection: socket.socket, lines: int) -> list[str]:
    """Read that many lines."""
    data = b""
    while data.count(b"\n") < lines:
        part = connection.recv(65_536)
        assert part, data
        data += part
    return data.decode("ascii").splitlines()


Serve = Callable[[str | tuple[str, int]], StreamServer]
