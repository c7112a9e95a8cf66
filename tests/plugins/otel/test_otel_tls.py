"""Https: certificates are always verified, and what is wrong with one is told."""

import logging
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from hypervisor_observability.errors import RetryLater
from hypervisor_otel import OTelConfig, OTLPSender

if TYPE_CHECKING:
    from tests.plugins.otel.conftest import Certificate


class _Accepting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(certificate: "Certificate") -> Iterator[int]:
    """The port of an https server that accepts everything."""
    server = HTTPServer(("127.0.0.1", 0), _Accepting)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients hang up
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def probe(endpoint: str, ca_file: Path | None = None, timeout_seconds: float = 5) -> str:
    config = OTelConfig(endpoint=endpoint, ca_file=ca_file, timeout_seconds=timeout_seconds)
    sender = OTLPSender(config, logging.getLogger("tests.otel"))
    try:
        return sender.probe()
    finally:
        sender.close()


def test_certificate_that_is_trusted_by_ca_file_is_accepted(
    certificate: "Certificate", port: int
) -> None:
    answer = probe(f"https://localhost:{port}", certificate.file)

    assert answer == f"OTLP at https://localhost:{port}/v1/traces"


@pytest.mark.fault("O15")
def test_certificate_that_nobody_vouches_for_is_refused(port: int) -> None:
    with pytest.raises(RetryLater, match=r"(?i)certificate"):
        probe(f"https://localhost:{port}")


@pytest.mark.fault("O15")
def test_certificate_of_another_host_is_refused(certificate: "Certificate", port: int) -> None:
    with pytest.raises(RetryLater, match=r"(?i)certificate.*127\.0\.0\.1"):
        probe(f"https://127.0.0.1:{port}", certificate.file)


@pytest.mark.fault("O15")
def test_plain_http_on_a_tls_port_means_later(port: int) -> None:
    with pytest.raises(RetryLater):
        probe(f"http://localhost:{port}")


@pytest.mark.fault("O15")
def test_tls_on_a_plain_port_means_later(start_backend: Callable[..., object]) -> None:
    backend = start_backend()
    port = backend.port  # type: ignore[attr-defined] # a FakeBackend

    with pytest.raises(RetryLater):
        probe(f"https://127.0.0.1:{port}", timeout_seconds=0.3)


def test_ca_file_without_certificates_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("no certificate")

    with pytest.raises(ValueError, match="expected certificates in PEM form"):
        OTLPSender(OTelConfig(endpoint="https://h", ca_file=empty))


def test_ca_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"ca_file: cannot read .*missing\.pem: No such file"):
        OTLPSender(OTelConfig(endpoint="https://h", ca_file=tmp_path / "missing.pem"))
