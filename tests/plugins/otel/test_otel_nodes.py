"""Hosts of several addresses, balancers with a bad node, and name servers that are silent."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from hypervisor_observability import Config, Observability
from hypervisor_observability.errors import RetryLater
from hypervisor_otel import encode_spans
from hypervisor_otel.grpc_sender import GRPCSender
from hypervisor_otel.sender import OTLPSender
from hypervisor_otel.sending import PartSender
from tests.certificates import Certificate
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import StartBackend
from tests.plugins.otel.spans import make_span

WIDE_SECONDS = 25.0
REQUEST_OF_ONE = encode_spans([make_span()], {"service.name": "shop"})


SenderTo = Callable[..., PartSender]


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the name ``nodes.example`` lead to ports of 127.0.0.1."""

    def lead(*ports: int, name: str = "nodes.example") -> None:
        real = socket.getaddrinfo

        def resolve(host: Any, *rest: Any, **more: Any) -> list[Any]:
            if host != name:
                return real(host, *rest, **more)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return lead


LeadsTo = Callable[..., None]
ENDPOINT = "http://nodes.example:4317"


class Node(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
    """A receiver over gRPC that answers as it is told to."""

    def __init__(self, code: grpc.StatusCode | None = None, *, silent: bool = False) -> None:
        self.code = code
        self.calls = 0
        self.leave = threading.Event()
        if not silent:
            self.leave.set()

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls += 1
            self.leave.wait(WIDE_SECONDS)
            if self.code is not None:
                context.abort(self.code, "draining")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def serve() -> Iterator[Callable[[Node], int]]:
    started: list[tuple[grpc.Server, Node]] = []

    def start(node: Node) -> int:
        server = grpc.server(ThreadPoolExecutor(2), handlers=[node])
        port: int = server.add_insecure_port("127.0.0.1:0")
        server.start()
        started.append((server, node))
        return port

    yield start
    for server, node in started:
        node.leave.set()
        server.stop(0).wait(10)


Serve = Callable[[Node], int]


@pytest.mark.fault("O2")
def test_first_address_that_drops_packets_leaves_time_for_the_second_over_http(
    sender_to: SenderTo, start_backend: StartBackend, leads_to: LeadsTo, black_hole: int
) -> None:
    backend = start_backend()
    leads_to(black_hole, backend.port)

    sender_to(ENDPOINT, timeout_seconds=3.0).send(REQUEST_OF_ONE)

    assert len(backend.requests) == 1


@pytest.mark.fault("O2")
def test_first_address_that_drops_packets_leaves_time_for_the_second_over_grpc(
    sender_to: SenderTo, serve: Serve, leads_to: LeadsTo, black_hole: int
) -> None:
    node = Node()
    leads_to(black_hole, serve(node))

    sender_to(ENDPOINT, kind=GRPCSender, timeout_seconds=3.0).send(REQUEST_OF_ONE)

    assert node.calls == 1


@pytest.mark.fault("O3")
@pytest.mark.parametrize("status", [408, 421, 429, 500, 502, 503, 504])
def test_node_that_answers_so_is_left_for_another_address(
    sender_to: SenderTo, start_backend: StartBackend, leads_to: LeadsTo, status: int
) -> None:
    draining, healthy = start_backend(acts.answering(status)), start_backend()
    leads_to(draining.port, healthy.port)
    sender = sender_to(ENDPOINT)

    with pytest.raises(Exception, match=f"answered {status}"):
        sender.send(REQUEST_OF_ONE)
    for _ in range(3):
        sender.send(REQUEST_OF_ONE)

    assert (len(draining.requests), len(healthy.requests), healthy.connections) == (1, 3, 1)


@pytest.mark.fault("O4")
@pytest.mark.parametrize("how", ["hanging", "closing", "resetting", "dripping"])
def test_node_that_breaks_off_or_is_silent_is_left_for_another_address(
    sender_to: SenderTo, start_backend: StartBackend, leads_to: LeadsTo, how: str
) -> None:
    bad, healthy = start_backend(getattr(acts, how)), start_backend()
    leads_to(bad.port, healthy.port)
    sender = sender_to(ENDPOINT, timeout_seconds=1.0)

    with pytest.raises(RetryLater):
        sender.send(REQUEST_OF_ONE)
    sender.send(REQUEST_OF_ONE)

    assert (len(bad.requests), len(healthy.requests)) == (1, 1)


@pytest.mark.fault("O3")
def test_node_that_is_draining_is_left_for_another_address_over_grpc(
    sender_to: SenderTo, serve: Serve, leads_to: LeadsTo
) -> None:
    draining, healthy = Node(grpc.StatusCode.UNAVAILABLE), Node()
    leads_to(serve(draining), serve(healthy))
    sender = sender_to(ENDPOINT, kind=GRPCSender)

    with pytest.raises(RetryLater, match="draining"):
        sender.send(REQUEST_OF_ONE)
    for _ in range(3):
        sender.send(REQUEST_OF_ONE)

    assert (draining.calls, healthy.calls) == (1, 3)


@pytest.mark.fault("O2")
def test_node_that_is_silent_is_left_for_another_address_over_grpc(
    sender_to: SenderTo, serve: Serve, leads_to: LeadsTo
) -> None:
    silent, healthy = Node(silent=True), Node()
    leads_to(serve(silent), serve(healthy))
    sender = sender_to(ENDPOINT, kind=GRPCSender, timeout_seconds=2.0)

    with pytest.raises(RetryLater, match="DEADLINE_EXCEEDED"):
        sender.send(REQUEST_OF_ONE)
    sender.send(REQUEST_OF_ONE)

    assert (silent.calls, healthy.calls) == (1, 1)


@pytest.mark.fault("S5")
@pytest.mark.parametrize("kind", [OTLPSender, GRPCSender])
def test_silent_name_server_is_not_waited_for_beyond_the_deadline(
    sender_to: SenderTo,
    start_backend: StartBackend,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[PartSender],
) -> None:
    port = start_backend().port if kind is OTLPSender else serve(Node())
    real, answers = socket.getaddrinfo, threading.Event()
    asking: set[int] = set()

    def resolve(host: Any, *rest: Any, **more: Any) -> list[Any]:
        if host != "nodes.example":
            return real(host, *rest, **more)
        asking.add(threading.get_ident())
        assert answers.wait(WIDE_SECONDS * 4)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sender = sender_to(ENDPOINT, kind=kind, timeout_seconds=0.3)
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(RetryLater, match=r"no answer within 0\.24 s to where nodes\.example"):
            sender.send(REQUEST_OF_ONE)
    took = time.monotonic() - began
    answers.set()

    later = sender_to(ENDPOINT, kind=kind, timeout_seconds=WIDE_SECONDS)
    later.send(REQUEST_OF_ONE)
    assert took < WIDE_SECONDS
    assert len(asking - {threading.get_ident()}) <= 2  # the one that hung, and perhaps one after
    assert threading.get_ident() not in asking


@pytest.mark.slow
@pytest.mark.fault("S5")
def test_plugin_outlives_a_silent_name_server_and_delivers_when_it_is_back(
    start_backend: StartBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = start_backend()
    real, silent = socket.getaddrinfo, threading.Event()
    silent.set()

    def resolve(host: Any, *rest: Any, **more: Any) -> list[Any]:
        if host != "nodes.example":
            return real(host, *rest, **more)
        if silent.is_set():
            time.sleep(1.5)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", backend.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    table = {"endpoint": ENDPOINT, "timeout_seconds": 1.0, "hook_timeout_seconds": 5.0}
    with Observability(Config(plugins={"otel": table})) as observability:
        for _ in range(4):
            with observability.recorder.saga("work"):
                pass
            time.sleep(1)
        assert observability.states()["otel"] == "running"
        silent.clear()
        # The pause between two tries has grown meanwhile.
        assert observability.flush(120)
        assert observability.counts()["otel"].delivered == 8


@pytest.mark.fault("O2")
def test_backend_that_is_slower_than_the_hang_limit_is_not_taken_for_a_hang(
    start_backend: StartBackend,
) -> None:
    def slowly(connection: socket.socket) -> None:
        time.sleep(2.5)
        acts.answering(200)(connection)

    backend = start_backend(slowly)
    tables = {
        name: {
            "endpoint": backend.endpoint,
            "timeout_seconds": WIDE_SECONDS,
            "hook_timeout_seconds": 0.5,
        }
        for name in ("otel", "jaeger")
    }
    with Observability(Config(plugins=tables)) as observability:
        with observability.recorder.saga("work"):
            pass
        assert observability.flush(60)
        assert observability.states() == {"otel": "running", "jaeger": "running"}
        counts = observability.counts()

    assert [counts[name].delivered for name in tables] == [2, 2]
    assert len(backend.requests) == 2


@pytest.mark.fault("O2")
def test_address_that_is_silent_when_tls_begins_leaves_time_for_the_next(
    sender_to: SenderTo, certificate: Certificate, leads_to: LeadsTo
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    arrived: list[bytes] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):

        def serve() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                with connection.makefile("rb") as reader:
                    arrived.extend(iter(reader.readline, b"\r\n"))
                    length = next(
                        line for line in arrived if line.lower().startswith(b"content-length")
                    )
                    reader.read(int(length.partition(b":")[2]))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        leads_to(silent.getsockname()[1], listener.getsockname()[1], name="localhost")
        endpoint = "https://localhost:4318"
        sender = sender_to(endpoint, timeout_seconds=3.0, ca_file=certificate.file)
        sender.send(REQUEST_OF_ONE)

    assert arrived[0].startswith(b"POST /v1/traces")
