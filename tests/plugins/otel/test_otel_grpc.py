"""OTLP over gRPC against a server that answers as it is told."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import pytest
from attrs import define, field
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from hypervisor_observability import Observability
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.hookspecs import PluginContext
from hypervisor_otel import OTelConfig, OTelPlugin, encode_spans
from hypervisor_otel.grpc_sender import GRPCSender
from tests.certificates import Certificate
from tests.plugins.otel.acts import partial_success
from tests.plugins.otel.spans import REQUEST_OF_TWO, make_span

Behaviour = Callable[[grpc.ServicerContext], bytes]
DETAILS = "grpc-status-details-bin"


def accepting(_: grpc.ServicerContext) -> bytes:
    return b""


def refusing(code: grpc.StatusCode, said: str = "no", details: bytes = b"") -> Behaviour:
    def behave(context: grpc.ServicerContext) -> bytes:
        if details:
            context.set_trailing_metadata((("other", "x"), (DETAILS, details)))
        context.abort(code, said)
        return b""  # abort has raised

    return behave


def retry_info(seconds: int) -> bytes:
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    other = AnyMessage()
    other.Pack(ErrorInfo(reason="BUSY"))
    packed: bytes = Status(code=8, details=[other, detail]).SerializeToString()
    return packed


def answering(body: bytes) -> Behaviour:
    return lambda _: body


@define(eq=False)
class FakeReceiver(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
    """Answer every call by the behaviour of its turn; the last is repeated."""

    behaviours: list[Behaviour]
    calls: list[tuple[str, dict[str, str], bytes]] = field(factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        headers = {name: str(value) for name, value in details.invocation_metadata}

        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls.append((details.method, headers, body))
            index = min(len(self.calls), len(self.behaviours)) - 1
            return self.behaviours[index](context)

        return grpc.unary_unary_rpc_method_handler(answer)


@define(eq=False)
class Serving:
    receiver: FakeReceiver
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Serve = Callable[..., Serving]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[grpc.Server] = []

    def start(*behaviours: Behaviour, credentials: grpc.ServerCredentials | None = None) -> Serving:
        receiver = FakeReceiver(list(behaviours) or [accepting])
        server = grpc.server(ThreadPoolExecutor(4), handlers=[receiver])
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        started.append(server)
        return Serving(receiver, port)

    yield start
    for server in started:
        server.stop(0).wait(10)


SenderTo = Callable[..., GRPCSender]


@pytest.fixture
def sender_to(sender_to: SenderTo) -> SenderTo:
    return partial(sender_to, kind=GRPCSender, protocol="grpc", timeout_seconds=10.0)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_request_arrives_whole_with_its_headers(
    serve: Serve, sender_to: SenderTo, compression: str
) -> None:
    serving = serve()
    sender = sender_to(
        serving.endpoint, headers={"Api-Key": Secret("hunter2")}, compression=compression
    )

    sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    first, second = serving.receiver.calls
    method, headers, body = first
    assert method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert headers["api-key"] == "hunter2"
    assert headers["user-agent"].startswith("hypervisor-otel/")
    assert ExportTraceServiceRequest.FromString(body) == REQUEST_OF_TWO
    assert second == first


@pytest.mark.fault("O5")
@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    ],
)
def test_receiver_that_is_busy_is_asked_again(
    serve: Serve, sender_to: SenderTo, code: grpc.StatusCode
) -> None:
    serving = serve(refusing(code, "later"), accepting)
    sender = sender_to(serving.endpoint)

    with pytest.raises(RetryLater, match=f"answered {code.name}: later"):
        sender.send(REQUEST_OF_TWO)
    sender.send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 2


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT: no"),
        (grpc.StatusCode.UNAUTHENTICATED, "credentials in 'headers' are missing or wrong: no"),
        (grpc.StatusCode.PERMISSION_DENIED, "do not allow this: no"),
        (grpc.StatusCode.UNIMPLEMENTED, "no OTLP receiver for this signal"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_receiver_that_refuses_is_not_asked_again(
    serve: Serve, sender_to: SenderTo, code: grpc.StatusCode, hint: str
) -> None:
    serving = serve(refusing(code))

    with pytest.raises(Reject, match=hint):
        sender_to(serving.endpoint).send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 1


@pytest.mark.parametrize(
    ("details", "after"),
    [
        (retry_info(7), 7.0),
        (retry_info(86_400), 300.0),
        (retry_info(0), None),
        (retry_info(-5), None),
    ],
)
def test_wait_that_the_receiver_asks_for_is_kept_within_bounds(
    serve: Serve, sender_to: SenderTo, details: bytes, after: float | None
) -> None:
    serving = serve(refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", details))

    with pytest.raises(RetryLater) as raised:
        sender_to(serving.endpoint).send(REQUEST_OF_TWO)

    assert raised.value.after == after


@pytest.mark.parametrize("details", [b"\xff\xff", Status(code=14).SerializeToString()])
def test_details_that_ask_for_no_wait_leave_it_to_the_backoff(
    serve: Serve, sender_to: SenderTo, details: bytes
) -> None:
    serving = serve(refusing(grpc.StatusCode.UNAVAILABLE, "", details))

    with pytest.raises(RetryLater) as raised:
        sender_to(serving.endpoint).send(REQUEST_OF_TWO)

    assert raised.value.after is None


def test_partial_success_is_counted_and_logged(
    serve: Serve, sender_to: SenderTo, caplog: pytest.LogCaptureFixture
) -> None:
    sender = sender_to(serve(answering(partial_success(1, "too old"))).endpoint)

    sender.send(REQUEST_OF_TWO)

    assert sender.rejected == 1
    assert "refused 1 of 2 spans: too old" in caplog.text


def test_partial_success_that_refuses_all_is_a_refusal(serve: Serve, sender_to: SenderTo) -> None:
    with pytest.raises(Reject, match="refused all 2 spans"):
        sender_to(serve(answering(partial_success(2))).endpoint).send(REQUEST_OF_TWO)


@pytest.mark.fault("O1")
def test_nobody_listening_is_told_and_tried_again(free_port: int, sender_to: SenderTo) -> None:
    sender = sender_to(f"http://127.0.0.1:{free_port}")

    with pytest.raises(RetryLater, match="UNAVAILABLE"):
        sender.send(REQUEST_OF_TWO)


def test_host_that_cannot_be_looked_up_is_tried_again(sender_to: SenderTo) -> None:
    with pytest.raises(RetryLater, match="cannot be reached"):
        sender_to("http://nobody.invalid:4317").probe()


@pytest.mark.fault("O14")
def test_receiver_that_hangs_is_left_at_the_deadline(serve: Serve, sender_to: SenderTo) -> None:
    leave = threading.Event()

    def hanging(_: grpc.ServicerContext) -> bytes:
        leave.wait(30)
        return b""

    sender = sender_to(serve(hanging).endpoint, timeout_seconds=0.2)
    began = time.monotonic()
    try:
        with pytest.raises(RetryLater, match="DEADLINE_EXCEEDED"):
            sender.send(REQUEST_OF_TWO)
    finally:
        leave.set()

    assert time.monotonic() - began < 20


def test_proxies_of_the_environment_are_not_used(
    serve: Serve, sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    serving = serve()

    sender_to(serving.endpoint).send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 1


@pytest.mark.fault("F8")
def test_name_of_a_link_local_address_is_refused(
    sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(0, 0, 0, "", ("169.254.169.254", 4317))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)

    with pytest.raises(Reject, match="link-local"):
        sender_to("http://metadata.example:4317").probe()


def test_ipv6_receiver_is_reached(sender_to: SenderTo, free_port: int) -> None:
    with pytest.raises(RetryLater, match=r"\[::1\]"):
        sender_to(f"http://[::1]:{free_port}", allow_link_local=True).probe()


def test_certificates_are_verified(
    serve: Serve, sender_to: SenderTo, certificate: Certificate
) -> None:
    file = certificate.file
    pair = (certificate.key.read_bytes(), file.read_bytes())
    serving = serve(credentials=grpc.ssl_server_credentials([pair]))

    sender_to(f"https://localhost:{serving.port}", ca_file=file).send(REQUEST_OF_TWO)
    with pytest.raises(RetryLater, match="UNAVAILABLE"):
        sender_to(f"https://localhost:{serving.port}").send(REQUEST_OF_TWO)
    with pytest.raises(RetryLater, match="UNAVAILABLE"):
        sender_to(f"https://127.0.0.1:{serving.port}", ca_file=file).send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 1


def test_client_shows_its_certificate_to_who_asks_for_one(
    serve: Serve, sender_to: SenderTo, certificate: Certificate
) -> None:
    file, key = certificate.file, certificate.key
    pair, trusted = (key.read_bytes(), file.read_bytes()), file.read_bytes()
    serving = serve(credentials=grpc.ssl_server_credentials([pair], trusted, True))
    endpoint = f"https://localhost:{serving.port}"

    with pytest.raises(RetryLater, match="UNAVAILABLE"):
        sender_to(endpoint, ca_file=file).send(REQUEST_OF_TWO)
    sender_to(endpoint, ca_file=file, cert_file=file, key_file=key).send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 1


def test_ca_file_that_holds_none_is_told(sender_to: SenderTo, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="ca_file: cannot read"):
        sender_to("https://h", ca_file=tmp_path / "no.pem")
    (tmp_path / "odd.pem").write_text("hello")
    with pytest.raises(ValueError, match="ca_file: expected certificates"):
        sender_to("https://h", ca_file=tmp_path / "odd.pem")


def test_plugin_sends_all_signals_over_grpc(serve: Serve) -> None:
    serving = serve()
    config = OTelConfig(
        protocol="grpc", endpoint=serving.endpoint, signals=("traces", "metrics", "logs")
    )

    with Observability(plugins=[OTelPlugin(config)]) as observability:
        with observability.recorder.saga("release"):
            pass
        assert observability.flush(30)

    services = {method.split("/")[1].rpartition(".")[2] for method, _, _ in serving.receiver.calls}
    assert services == {"TraceService", "MetricsService", "LogsService"}


def test_check_says_what_was_reached_over_grpc(serve: Serve, context: PluginContext) -> None:
    serving = serve()
    config = OTelConfig(protocol="grpc", endpoint=serving.endpoint)

    assert OTelPlugin(config).check(context) == f"OTLP over gRPC at {serving.endpoint}"


def test_missing_extra_keeps_the_plugin_down_and_is_told(
    context: PluginContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delitem(sys.modules, "hypervisor_otel.grpc_sender", raising=False)

    with pytest.raises(RuntimeError, match=r"needs the extra hypervisor-otel\[grpc\]"):
        OTelPlugin(OTelConfig(protocol="grpc")).start(context)


def test_headers_reach_grpc_as_metadata(serve: Serve, sender_to: SenderTo) -> None:
    serving = serve()
    headers = {"User-Agent": Secret("mine/2"), "X-Trace-Bin": Secret("AAH/"), "a.b_c": Secret("v")}

    sender_to(serving.endpoint, headers=headers).send(REQUEST_OF_TWO)

    _, arrived, _ = serving.receiver.calls[0]
    assert arrived["user-agent"].startswith("mine/2 hypervisor-otel/")
    assert arrived["x-trace-bin"] == repr(b"\x00\x01\xff")
    assert arrived["a.b_c"] == "v"


LARGE = "grpc: received message larger than max (5000000 vs. 4194304)"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, LARGE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "gRPC message exceeds maximum size 4194304: 5000000"),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Received message exceeds the maximum configured message size.",
        ),
        (
            grpc.StatusCode.OUT_OF_RANGE,
            "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304",
        ),
        (grpc.StatusCode.UNKNOWN, "Received http2 header with status: 413"),
    ],
)
def test_request_that_is_too_large_is_sent_in_parts_over_grpc(
    serve: Serve, sender_to: SenderTo, code: grpc.StatusCode, said: str
) -> None:
    request = encode_spans([make_span(span_id=f"{n + 1:016x}") for n in range(16)], {})

    def limited(context: grpc.ServicerContext) -> bytes:
        if len(serving.receiver.calls[-1][2]) > 2_000:
            context.abort(code, said)
        return b""

    serving = serve(limited)
    sender_to(serving.endpoint).send(request)

    bodies = [body for _, _, body in serving.receiver.calls if len(body) <= 2_000]
    ids = [
        span.span_id
        for body in bodies
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for span in group.scope_spans[0].spans
    ]
    assert ids == [bytes.fromhex(f"{n + 1:016x}") for n in range(16)]


def test_server_with_the_limit_of_grpc_gets_parts_that_it_takes(
    serve: Serve, sender_to: SenderTo
) -> None:
    text = {str(n): "x" * 4_000 for n in range(20)}
    spans = [make_span(span_id=f"{n + 1:016x}", attributes=text) for n in range(80)]
    request = encode_spans(spans, {})
    assert request.ByteSize() > 4 * 1024 * 1024
    serving = serve()

    sender_to(serving.endpoint, timeout_seconds=60.0).send(request)

    assert len(serving.receiver.calls) == 2  # and none that it refused


def test_quota_that_is_used_up_is_not_taken_for_a_size(serve: Serve, sender_to: SenderTo) -> None:
    serving = serve(refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota exceeded"))

    with pytest.raises(Reject, match="quota"):
        sender_to(serving.endpoint).send(REQUEST_OF_TWO)

    assert len(serving.receiver.calls) == 1
