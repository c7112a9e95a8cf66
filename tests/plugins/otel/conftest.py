"""A backend that misbehaves on demand, and spans to send to it."""

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

import pytest
from attrs import define, field, frozen

from hypervisor_observability.hookspecs import PluginContext
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.spans.record import (
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from tests.certificates import make_certificate

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT_ID = "00f067aa0ba902b7"
PROTOBUF = "application/x-protobuf"


@frozen
class Request:
    """What a client asked."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[socket.socket], None]


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


class Behaviours:
    """What the fake backend can do with a request."""

    @staticmethod
    def sending(data: bytes) -> Behaviour:
        return lambda connection: connection.sendall(data)

    @classmethod
    def answering(
        cls, status: int, body: bytes = b"", *headers: str, kind: str = PROTOBUF
    ) -> Behaviour:
        lines = [
            f"HTTP/1.1 {status} Whatever",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return cls.sending("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    @staticmethod
    def closing(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def resetting(connection: socket.socket) -> None:
        # A socket that lingers for no time is closed by a reset (socket(7), SO_LINGER). The
        # duplicate has to go too: the system resets when the last descriptor is closed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())

    @staticmethod
    def hanging(connection: socket.socket) -> None:
        connection.recv(1)

    @staticmethod
    def dripping(connection: socket.socket) -> None:
        for _ in range(200):
            connection.sendall(b"H")
            time.sleep(0.05)


@pytest.fixture
def acts() -> type[Behaviours]:
    return Behaviours


class NoMetrics:
    def collect(self) -> Sequence[MetricFamily]:
        return ()


@pytest.fixture
def context() -> PluginContext:
    return PluginContext(
        name="otel",
        service="checkout-agents",
        logger=logging.getLogger("tests.otel"),
        metrics=NoMetrics(),
        clock=time.time_ns,
    )


@pytest.fixture
def make_span() -> Callable[..., FinishedSpan]:
    return _make_span


def _make_span(**changes: object) -> FinishedSpan:
    values: dict[str, object] = {
        "name": "saga.step.validate",
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "parent_span_id": PARENT_ID,
        "start_ns": 1_700_000_000_123_456_789,
        "end_ns": 1_700_000_001_123_456_790,
        "kind": SpanKind.INTERNAL,
        "status": SpanStatus.ERROR,
        "status_message": "connection_timeout",
        "attributes": {
            "agent.saga.id": "deploy-v2",
            "agent.saga.attempt": 2,
            "agent.hypervisor.expired": True,
            "score": 0.25,
        },
        "events": (SpanEvent("checkpoint", 1_700_000_000_500_000_001, {"n": 1}),),
        "links": (SpanLink("ab" * 16, "cd" * 8, {"link.type": "caused_by"}),),
        "agent_did": "did:mesh:orchestrator",
        "session_id": "s1",
        "scope": "step",
        "closed_by": "0123456789abcdef",
    }
    return FinishedSpan(**{**values, **changes})  # type: ignore[arg-type] # any field may be changed


@pytest.fixture
def start_backend() -> Iterator[Callable[..., FakeBackend]]:
    """Start a fake backend: ``start_backend(behaviour, ...)``."""
    started: list[FakeBackend] = []

    def start(*behaviours: Behaviour) -> FakeBackend:
        fake = FakeBackend(behaviours or (Behaviours.answering(200),))
        fake.start()
        started.append(fake)
        return fake

    yield start
    for fake in started:
        fake.stop()


@frozen
class Certificate:
    """A self-signed certificate for ``localhost``, and its key."""

    file: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "localhost.pem")
    make_certificate(made.file, made.key, "DNS:localhost")
    return made
