"""The receiver for tests and demonstrations: official messages, bounded, gone when stopped."""

import gzip
import socket
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from hypervisor_otel import OTelConfig, OTLPSender, encode_spans
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_otel.receiver_server import MAX_BODY_BYTES
from tests.http_client import ask
from tests.plugins.otel.spans import make_span

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    with OTLPReceiver(max_spans=3) as started:
        yield started


@pytest.fixture
def body() -> bytes:
    return encode_spans([make_span()], {"service.name": "s"}).SerializeToString()


def post(
    receiver: OTLPReceiver, body: bytes, headers: dict[str, str], path: str = "/v1/traces"
) -> tuple[int, bytes]:
    port = int(receiver.endpoint.rpartition(":")[2])
    answer = ask(port, path, method="POST", body=body, headers=headers)
    return answer.status, answer.body


def test_spans_are_kept_with_their_resource(receiver: OTLPReceiver, body: bytes) -> None:
    status, answer = post(receiver, body, PROTOBUF)

    assert status == 200
    assert ExportTraceServiceResponse.FromString(answer) == ExportTraceServiceResponse()
    (span,) = receiver.spans
    assert span.name == "saga.step.validate"
    assert span.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert span.span_id == "b7ad6b7169203331"
    assert span.parent_span_id == "00f067aa0ba902b7"
    assert span.attributes["agent.saga.id"] == "deploy-v2"
    assert span.resource == {"service.name": "s"}
    assert span.scope_name == "hypervisor-observability"
    assert span.scope_version


def test_root_span_has_no_parent(receiver: OTLPReceiver) -> None:
    receiver.keep(encode_spans([make_span(parent_span_id=None)], {}))

    assert receiver.spans[0].parent_span_id is None


def test_compressed_spans_are_kept(receiver: OTLPReceiver, body: bytes) -> None:
    status, _ = post(receiver, gzip.compress(body), {**PROTOBUF, "Content-Encoding": "gzip"})

    assert (status, len(receiver.spans)) == (200, 1)


def test_newest_spans_are_kept_and_all_are_counted(receiver: OTLPReceiver) -> None:
    for number in range(5):
        receiver.keep(encode_spans([make_span(name=str(number))], {}))

    assert [span.name for span in receiver.spans] == ["2", "3", "4"]
    assert (receiver.received_spans, receiver.requests) == (5, 5)
    assert receiver.wait_for(5, timeout=0)
    assert not receiver.wait_for(6, timeout=0.01)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        (PROTOBUF, "/v1/profiles", 404),
        ({"Content-Type": "application/json"}, "/v1/traces", 415),
        ({**PROTOBUF, "Content-Length": "x"}, "/v1/traces", 411),
        ({**PROTOBUF, "Content-Length": str(MAX_BODY_BYTES + 1)}, "/v1/traces", 413),
        ({**PROTOBUF, "Content-Length": "9" * 50}, "/v1/traces", 413),
        ({**PROTOBUF, "Content-Encoding": "br"}, "/v1/traces", 400),
        ({**PROTOBUF, "Content-Encoding": "gzip"}, "/v1/traces", 400),
        (PROTOBUF, "/v1/traces", 400),
    ],
)
def test_what_is_no_export_is_refused(
    receiver: OTLPReceiver, headers: dict[str, str], path: str, status: int
) -> None:
    assert post(receiver, b"\xff\xff", headers, path)[0] == status
    assert not receiver.spans


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"\0" * (MAX_BODY_BYTES + 1)), gzip.compress(b"")[:-2]],
    ids=["too long", "broken off"],
)
def test_body_that_is_too_long_unpacked_or_broken_off_is_refused(
    receiver: OTLPReceiver, packed: bytes
) -> None:
    assert post(receiver, packed, {**PROTOBUF, "Content-Encoding": "gzip"})[0] == 400


def test_client_that_goes_away_is_no_news(
    receiver: OTLPReceiver, body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    address = receiver.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=5) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n")
        connection.sendall(b"Content-Length: 50\r\n\r\n")

    assert post(receiver, body, PROTOBUF)[0] == 200
    assert capfd.readouterr() == ("", "")


def test_stopping_closes_the_port_and_kept_connections() -> None:
    receiver = OTLPReceiver()
    receiver.start()
    host, _, port = receiver.endpoint.removeprefix("http://").partition(":")
    kept = socket.create_connection((host, int(port)), timeout=10)
    sender = OTLPSender(OTelConfig(endpoint=receiver.endpoint))
    sender.send(encode_spans([make_span()], {}))

    receiver.stop()
    receiver.stop()

    assert kept.recv(1) == b""
    kept.close()
    sender.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=10)
    assert len(receiver.spans) == 1
    with pytest.raises(RuntimeError, match="not started"):
        _ = receiver.endpoint
