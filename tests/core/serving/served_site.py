"""A site that is served on a free port, and clients that write their own requests."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator

from attrs import define, field

from hypervisor_observability.serving.binding import bind
from hypervisor_observability.serving.pages import Page, Request
from hypervisor_observability.serving.server import SiteServer
from hypervisor_observability.serving.settings import ServerSettings
from hypervisor_observability.serving.site import Site
from hypervisor_observability.serving.streams import Streams
from tests.http_client import Answer, ask

WIDE_SECONDS = 30
"""Far above what anything here takes; whoever waits so long hangs."""

OPEN = "/-/healthy"


@define(eq=False)
class Shown:
    """What the page says.

    Attributes:
        body: As it stands.
        before: Called before it is given.
    """

    body: bytes = b"what is shown\n"
    before: Callable[[], object] = lambda: None

    def page(self, _: Request) -> Page:
        self.before()
        return Page("text/plain; charset=utf-8", self.body)


@define(eq=False)
class Ticks:
    """A stream that says "tick" whenever the test has it do so.

    Attributes:
        closed: Why each stream ended, in their order.
    """

    closed: list[str] = field(factory=list)
    _ticks: int = 0
    _changed: threading.Condition = field(factory=threading.Condition)

    def tick(self) -> None:
        with self._changed:
            self._ticks += 1
            self._changed.notify_all()

    def stream(self, request: Request) -> Iterator[bytes]:
        request.ending.call(self._wake)
        seen = self._ticks
        try:
            yield b"begun\n"
            while not request.ending.is_set():
                with self._changed:
                    if self._ticks == seen and not request.ending.is_set():
                        self._changed.wait(WIDE_SECONDS)
                    ticks, seen = self._ticks - seen, self._ticks
                yield b"tick\n" * ticks
            yield f"end: {request.ending.why}\n".encode()
        finally:
            self.closed.append(request.ending.why)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


@define(eq=False)
class ServedSite:
    """A server of "/page", of the probe, and of the stream "/ticks"."""

    server: SiteServer
    shown: Shown
    ticks: Ticks

    @property
    def port(self) -> int:
        return self.server.server_port

    @property
    def streams(self) -> Streams:
        return self.server.streams

    def ask(
        self,
        path: str = "/page",
        method: str = "GET",
        **headers: str,
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = b"x" * 1_000 if method == "POST" else None
        return ask(self.port, path, method=method, body=body, headers=named)

    def connect(self) -> socket.socket:
        return connect(self.port)

    def raw_answer(self, request: bytes) -> bytes:
        return raw_answer(self.port, request)

    def watch(self) -> socket.socket:
        """Open the stream, and read up to its first line."""
        client = self.connect()
        client.sendall(b"GET /ticks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(b"begun\n"):
            part = client.recv(1_000)
            assert part, f"no stream: {received!r}"
            received += part
        return client


def make_served(
    *,
    pages: dict[str, Callable[[Request], Page]] | None = None,
    streams: dict[str, Callable[[Request], Iterator[bytes]]] | None = None,
    bound: ServerSettings | None = None,
    **settings: object,
) -> ServedSite:
    """Serve a site with *settings*, where *bound* says; whoever asks for it stops the server."""
    shown, ticks = Shown(), Ticks()
    site = Site(
        "test",
        {
            "/": shown.page,
            "/page": shown.page,
            OPEN: lambda _: Page("text/plain", b"healthy\n"),
            **(pages or {}),
        },
        logging.getLogger("tests.serving"),
        streams={"/ticks": ticks.stream, **(streams or {})},
        open_pages=frozenset({OPEN}),
        **settings,  # type: ignore[arg-type]  # as the test says
    )
    server = bind(bound or ServerSettings(), site, "plugins.test.")
    served = ServedSite(server, shown, ticks)
    served.server.start()
    return served


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WIDE_SECONDS)


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def raw_answer(port: int, request: bytes) -> bytes:
    with connect(port) as client:
        client.sendall(request)
        return read_all(client)


def fail_with(text: str) -> Callable[[], None]:
    """Give what raises an exception with *text*."""

    def fail() -> None:
        raise RuntimeError(text)

    return fail


def request_threads() -> list[str]:
    """Give the names of the threads that serve a request of such a site."""
    return [one.name for one in threading.enumerate() if one.name == "hvobs-test-request"]
