"""The sender against a backend that does whatever goes wrong with backends."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.network import Deadline, DeadlineSocket
from hypervisor_otel import OTLPSender, encode_spans
from tests.plugins.otel import acts
from tests.plugins.otel.acts import partial_success
from tests.plugins.otel.fake_backend import Connected, StartBackend
from tests.plugins.otel.spans import REQUEST_OF_TWO, make_span

SenderTo = Callable[..., OTLPSender]


def test_accepted_request_arrives_as_it_was_sent(connected: Connected) -> None:
    sender, backend = connected(headers={"api-key": Secret("hunter2")})

    sender.send(REQUEST_OF_TWO)

    arrived = backend.requests[0]
    assert arrived.line == "POST /v1/traces HTTP/1.1"
    assert ExportTraceServiceRequest.FromString(arrived.body) == REQUEST_OF_TWO
    assert arrived.headers["content-type"] == "application/x-protobuf"
    assert arrived.headers["host"] == f"127.0.0.1:{backend.port}"
    assert arrived.headers["api-key"] == "hunter2"
    assert arrived.headers["user-agent"].startswith("hypervisor-otel/")
    assert "content-encoding" not in arrived.headers


def test_compressed_request_is_smaller_and_the_same(connected: Connected) -> None:
    sender, backend = connected(compression="gzip")

    sender.send(REQUEST_OF_TWO)

    arrived = backend.requests[0]
    assert arrived.headers["content-encoding"] == "gzip"
    assert ExportTraceServiceRequest.FromString(gzip.decompress(arrived.body)) == REQUEST_OF_TWO
    assert len(arrived.body) < REQUEST_OF_TWO.ByteSize()


def test_one_connection_serves_many_requests(connected: Connected) -> None:
    sender, backend = connected()

    for _ in range(5):
        sender.send(REQUEST_OF_TWO)

    assert (len(backend.requests), backend.connections) == (5, 1)


@pytest.mark.parametrize("how", ["closing", "resetting"])
def test_connection_that_was_closed_while_idle_is_replaced_at_once(
    connected: Connected, how: str
) -> None:
    sender, backend = connected(acts.answering(200), getattr(acts, how), acts.answering(200))

    sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    assert (len(backend.requests), backend.connections) == (3, 2)


def test_answer_that_asks_to_close_is_obeyed(connected: Connected) -> None:
    sender, backend = connected(acts.answering(200, b"", "Connection: close"))

    sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    assert backend.connections == 2


@pytest.mark.fault("O1")
def test_nobody_listening_means_later(sender_to: SenderTo, free_port: int) -> None:
    with pytest.raises(RetryLater, match=f"127.0.0.1:{free_port}/v1/traces cannot be reached"):
        sender_to(f"http://127.0.0.1:{free_port}").send(REQUEST_OF_TWO)


@pytest.mark.fault("O1")
def test_name_that_does_not_resolve_means_later(sender_to: SenderTo) -> None:
    with pytest.raises(RetryLater, match=r"nowhere\.invalid:4318/v1/traces cannot be reached"):
        sender_to("http://nowhere.invalid:4318").send(REQUEST_OF_TWO)


@pytest.mark.fault("O11")
def test_name_of_a_link_local_address_is_refused(
    sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(Reject, match="link-local"):
        sender_to("http://metadata.example").send(REQUEST_OF_TWO)


def test_name_without_an_address_means_later(
    sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])

    with pytest.raises(RetryLater, match="no address"):
        sender_to("http://empty.example").send(REQUEST_OF_TWO)


def test_second_address_is_tried_when_the_first_refuses(
    sender_to: SenderTo,
    monkeypatch: pytest.MonkeyPatch,
    start_backend: StartBackend,
    free_port: int,
) -> None:
    backend = start_backend()
    rows = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        for port in (free_port, backend.port)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)

    sender_to("http://two.example").send(REQUEST_OF_TWO)

    assert len(backend.requests) == 1


@pytest.mark.fault("O2")
@pytest.mark.parametrize("how", ["hanging", "dripping"])
def test_deadline_holds_whatever_the_backend_does(connected: Connected, how: str) -> None:
    sender, _ = connected(getattr(acts, how), timeout_seconds=0.3)
    began = time.monotonic()

    with pytest.raises(RetryLater, match=r"did not answer within 0\.3 s"):
        sender.send(REQUEST_OF_TWO)

    assert time.monotonic() - began < 20


@pytest.mark.fault("O2")
def test_deadline_holds_for_a_body_that_nobody_reads(
    sender_to: SenderTo, long_request: ExportTraceServiceRequest
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"

        with pytest.raises(RetryLater, match="did not answer within"):
            sender_to(endpoint, timeout_seconds=3.0).send(long_request)


@pytest.mark.fault("O4")
@pytest.mark.parametrize("how", ["closing", "resetting"])
def test_connection_that_breaks_means_later(connected: Connected, how: str) -> None:
    sender, backend = connected(getattr(acts, how))

    with pytest.raises(RetryLater, match=f"127.0.0.1:{backend.port}"):
        sender.send(REQUEST_OF_TWO)


@pytest.mark.fault("O3")
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_backend_means_later_and_is_left_for_another_node(
    connected: Connected, status: int
) -> None:
    sender, backend = connected(acts.answering(status), acts.answering(200))

    with pytest.raises(RetryLater) as raised:
        sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    assert raised.value.after is None
    assert backend.connections == 2


@pytest.mark.fault("O5")
def test_backend_says_when_to_come_again(connected: Connected) -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    answers = ("Retry-After: 3", f"Retry-After: {in_a_minute}", "Retry-After: 99999999999999999999")
    sender, _ = connected(*(acts.answering(429, b"", answer) for answer in answers))
    waits = []

    for _ in answers:
        with pytest.raises(RetryLater) as raised:
            sender.send(REQUEST_OF_TWO)
        waits.append(raised.value.after)

    assert waits[0] == 3
    assert waits[1] is not None
    assert 30 < waits[1] <= 60
    assert waits[2] == 300


@pytest.mark.fault("O6")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_refusal_is_final_and_names_endpoint_and_status_without_secrets(
    sender_to: SenderTo, start_backend: StartBackend, status: int
) -> None:
    backend = start_backend(acts.answering(status))
    sender = sender_to(
        f"{backend.endpoint}/v1/traces?token=hunter2", headers={"k": Secret("hunter2")}
    )

    with pytest.raises(Reject, match=f"{backend.endpoint}/v1/traces answered {status}") as raised:
        sender.send(REQUEST_OF_TWO)

    assert "hunter2" not in str(raised.value)
    assert backend.requests[0].line == "POST /v1/traces?token=hunter2 HTTP/1.1"


@pytest.fixture
def long_request() -> ExportTraceServiceRequest:
    """Longer than what the system buffers."""
    spans = [make_span(attributes={str(n): "v" * 4_000 for n in range(100)})] * 60
    return encode_spans(spans, {})


@pytest.fixture
def server_that_reads_a_little() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Start one that goes on as told after the first bytes of a request; gives its endpoint."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(then: Callable[[socket.socket], None]) -> str:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1_000)
                then(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.fault("O6")
def test_refusal_of_a_body_that_was_not_read_is_understood(
    sender_to: SenderTo,
    long_request: ExportTraceServiceRequest,
    server_that_reads_a_little: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)
        time.sleep(0.2)

    endpoint = server_that_reads_a_little(refuse)

    # The system may throw the answer away with the connection; then it is tried again.
    with pytest.raises((Reject, RetryLater)):
        sender_to(endpoint).send(long_request)


@pytest.mark.fault("O4")
def test_reset_while_the_body_is_sent_means_later(
    sender_to: SenderTo,
    long_request: ExportTraceServiceRequest,
    server_that_reads_a_little: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    endpoint = server_that_reads_a_little(acts.resetting)

    with pytest.raises(RetryLater, match="cannot be reached: "):
        sender_to(endpoint).send(long_request)


def test_nothing_is_sent_after_the_deadline() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(TimeoutError):
        DeadlineSocket(near, Deadline.after(-1)).sendall(b"late")


@pytest.mark.fault("O11")
def test_redirect_is_not_followed(sender_to: SenderTo, start_backend: StartBackend) -> None:
    target = start_backend()
    backend = start_backend(acts.answering(307, b"", f"Location: {target.endpoint}/v1/traces"))

    with pytest.raises(Reject, match="redirects are not followed"):
        sender_to(backend.endpoint).send(REQUEST_OF_TWO)

    assert not target.requests


@pytest.mark.fault("O11")
def test_proxy_variables_are_not_read(
    sender_to: SenderTo, start_backend: StartBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, backend = start_backend(), start_backend()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.endpoint)

    sender_to(backend.endpoint).send(REQUEST_OF_TWO)

    assert (len(proxy.requests), len(backend.requests)) == (0, 1)


@pytest.mark.fault("O9")
@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_garbage_means_later(connected: Connected, garbage: bytes) -> None:
    sender, _ = connected(acts.sending(garbage))

    with pytest.raises(RetryLater, match="no whole HTTP"):
        sender.send(REQUEST_OF_TWO)


@pytest.mark.fault("O9")
def test_answer_of_a_mebibyte_is_read_in_part_and_its_connection_closed(
    connected: Connected, caplog: pytest.LogCaptureFixture
) -> None:
    sender, backend = connected(acts.answering(200, b"\0" * 1_048_576), acts.answering(200))

    sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    assert backend.connections == 2
    assert "not that of an OTLP receiver" in caplog.text


@pytest.mark.fault("O9")
def test_endless_answer_is_read_in_part(connected: Connected) -> None:
    sender, _ = connected(
        acts.sending(b"HTTP/1.1 400 No\r\nContent-Type: text/plain\r\n\r\n" + b"no" * 500_000)
    )

    with pytest.raises(Reject, match=r"400: nono.*\.\.\.$"):
        sender.send(REQUEST_OF_TWO)


@pytest.mark.fault("O8")
def test_refusal_of_some_spans_is_counted_and_logged(
    connected: Connected, caplog: pytest.LogCaptureFixture
) -> None:
    sender, _ = connected(acts.answering(200, partial_success(1, "too old")))

    sender.send(REQUEST_OF_TWO)

    assert sender.rejected_spans == 1
    assert "refused 1 of 2 spans: too old" in caplog.text


@pytest.mark.fault("O8")
@pytest.mark.parametrize("rejected", [2, 99])
def test_refusal_of_all_spans_is_a_refusal(connected: Connected, rejected: int) -> None:
    sender, _ = connected(acts.answering(200, partial_success(rejected)))

    with pytest.raises(Reject, match="refused all 2 spans: no reason given"):
        sender.send(REQUEST_OF_TWO)


@pytest.mark.fault("O8")
def test_warning_without_a_refusal_is_logged(
    connected: Connected, caplog: pytest.LogCaptureFixture
) -> None:
    sender, _ = connected(acts.answering(200, partial_success(0, "use https")))

    sender.send(REQUEST_OF_TWO)

    assert sender.rejected_spans == 0
    assert "accepts, and says: use https" in caplog.text


@pytest.mark.parametrize("name", ["user-agent", "User-Agent", "USER-AGENT"])
def test_user_agent_of_ones_own_stands_before_the_senders_in_one_header(
    sender_to: SenderTo, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heads: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as reader:
                lines = list(iter(reader.readline, b"\r\n"))
                heads.extend(lines)
                length = next(line for line in lines if line.lower().startswith(b"content-length"))
                reader.read(int(length.partition(b":")[2]))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sender_to(endpoint, headers={name: Secret("mine/2")}).send(REQUEST_OF_TWO)
        thread.join(20)

    agents = [line for line in heads if line.lower().startswith(b"user-agent:")]
    assert len(agents) == 1
    assert agents[0].startswith(b"User-Agent: mine/2 hypervisor-otel/")


@pytest.mark.parametrize("answer", ["Retry-After: 0", "Retry-After: -5", "past"])
def test_wait_of_no_time_asks_for_none(connected: Connected, answer: str) -> None:
    if answer == "past":
        answer = f"Retry-After: {formatdate(time.time() - 30, usegmt=True)}"
    sender, _ = connected(acts.answering(503, b"", answer))

    with pytest.raises(RetryLater) as raised:
        sender.send(REQUEST_OF_TWO)

    assert raised.value.after is None


@pytest.mark.fault("O2")
def test_deadline_holds_while_a_server_says_to_go_on_for_ever(connected: Connected) -> None:
    def continuing(connection: socket.socket) -> None:
        for _ in range(400):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)

    sender, _ = connected(continuing, timeout_seconds=0.3)
    began = time.monotonic()

    with pytest.raises(RetryLater, match="did not answer within"):
        sender.send(REQUEST_OF_TWO)

    assert time.monotonic() - began < 15
