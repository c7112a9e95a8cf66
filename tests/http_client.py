"""One request to a server on the loopback interface."""

import http.client
import ssl
from contextlib import closing

from attrs import frozen


@frozen
class Answer:
    """What a server answers."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    port: int,
    path: str = "/metrics",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Ask 127.0.0.1 at *port*, and read the whole answer, over a connection of its own.

    :param tls: What is known of the server; None for plain HTTP.
    """
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
    )
    with closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
