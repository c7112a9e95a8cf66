"""The fixtures for authors of plugins, turned on by name as they turn them on."""

import gzip
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hypervisor_observability import (
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    MetricFamily,
    PluginContext,
    Recorder,
)
from hypervisor_observability.testing import Fault, HTTPReceiver, OTLPReceiver, UDPReceiver
from hypervisor_observability.testing.fixtures import (
    http_receiver,
    otlp_receiver,
    plugin_context,
    recorder,
    recording_bus,
    sample_events,
    sample_metrics,
    sample_spans,
    udp_receiver,
)
from tests.http_client import Answer, ask
from tests.programs import run

__all__ = [
    "http_receiver",
    "otlp_receiver",
    "plugin_context",
    "recorder",
    "recording_bus",
    "sample_events",
    "sample_metrics",
    "sample_spans",
    "udp_receiver",
]


def test_recorder_writes_to_the_recording_bus(
    recording_bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a"):
        pass

    assert len(recording_bus.all_events) == 2


def test_samples_have_a_failed_saga(
    sample_events: Sequence[HypervisorEvent],
    sample_spans: Sequence[FinishedSpan],
    sample_metrics: Sequence[MetricFamily],
    plugin_context: PluginContext,
) -> None:
    types = {event.event_type.value for event in sample_events}
    assert {"session.created", "saga.step_failed", "saga.compensating"} <= types
    assert {"saga", "step", "compensation", "agent", "session"} <= {
        span.scope for span in sample_spans
    }
    assert plugin_context.metrics.collect() == sample_metrics
    assert sample_metrics


def post(receiver: HTTPReceiver, body: bytes = b"x", path: str = "/", **headers: str) -> Answer:
    return ask(receiver.port, path, method="POST", body=body, headers=headers)


def test_http_receiver_keeps_requests_and_fails_on_demand(http_receiver: HTTPReceiver) -> None:
    assert post(http_receiver, b"first").status == 200
    with http_receiver.failing(Fault.BUSY):
        busy = post(http_receiver, b"second")
    with http_receiver.failing(Fault.REFUSED), pytest.raises(OSError, match="refused"):
        post(http_receiver, b"third")
    with http_receiver.failing(Fault.UNANSWERED), pytest.raises(OSError):
        post(http_receiver, b"fourth")
    assert post(http_receiver, b"fifth").status == 200

    assert (busy.status, busy.headers["Retry-After"]) == (429, "2")
    assert http_receiver.texts() == ["first", "fourth", "fifth"]
    assert http_receiver.wait_for(lambda: http_receiver.offered == 4)
    assert not http_receiver.wait_for(lambda: False, timeout=0.01)


def test_http_receiver_takes_chunks_and_gzip_and_refuses_what_is_neither(
    http_receiver: HTTPReceiver,
) -> None:
    packed, coding = gzip.compress(b"packed"), {"Content-Encoding": "gzip"}
    assert post(http_receiver, packed, **coding).status == 200
    assert post(http_receiver, packed[:-4], **coding).status == 400
    with socket.create_connection((http_receiver.host, http_receiver.port), 30) as plain:
        plain.sendall(
            b"PUT /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
        )
        assert plain.recv(100).startswith(b"HTTP/1.1 200")

    first, request = http_receiver.requests
    assert first.text == "packed"
    assert (request.method, request.path, request.body) == ("PUT", "/p", b"abc")


def test_otlp_receiver_takes_the_three_signals_and_decodes_them(
    otlp_receiver: OTLPReceiver,
) -> None:
    assert post(otlp_receiver, b"", "/v1/traces").status == 200
    assert post(otlp_receiver, b"", "/v2/traces").status == 404

    (request,) = otlp_receiver.decoded("traces")
    assert list(request.resource_spans) == []
    assert otlp_receiver.decoded("logs") == []


def test_udp_receiver_keeps_lines(udp_receiver: UDPReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a:1|c\nb:2|c", (udp_receiver.host, udp_receiver.port))
        assert udp_receiver.wait_for(lambda: udp_receiver.offered)
        with udp_receiver.failing(Fault.REFUSED):
            sender.sendto(b"lost", (udp_receiver.host, udp_receiver.port))

    assert udp_receiver.lines() == ["a:1|c", "b:2|c"]
    with pytest.raises(ValueError, match="UDPReceiver has no"), udp_receiver.failing(Fault.BUSY):
        pass


def test_author_turns_the_fixtures_on_by_name(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["hypervisor_observability.testing.fixtures"]\n'
    )
    (tmp_path / "test_it.py").write_text(
        "def test_it(recording_bus, otlp_receiver, udp_receiver, sample_spans): assert sample_spans"
    )
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path)

    assert "1 passed" in done.stdout, done.stdout


def test_importing_the_contracts_imports_no_pytest() -> None:
    program = "import sys, hypervisor_observability.testing; print('pytest' in sys.modules)"

    assert run([sys.executable, "-c", program], check=True).stdout == "False\n"
