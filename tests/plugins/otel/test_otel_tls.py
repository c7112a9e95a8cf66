"""Https: certificates are always verified, and what is wrong with one is told."""

import logging
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from pathlib import Path

import pytest

from hypervisor_jaeger import JaegerConfig
from hypervisor_observability.errors import RetryLater
from hypervisor_otel import OTelConfig, OTLPSender
from hypervisor_otel.grpc_sender import GRPCSender
from tests.certificates import Certificate
from tests.http_servers import Handler, serving
from tests.plugins.otel.fake_backend import StartBackend


class _Accepting(Handler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body()
        self.answer()


@contextmanager
def accepting(certificate: Certificate, *, from_all: bool = True) -> Iterator[int]:
    """Serve https; give the port.

    :param from_all: Whether a client needs no certificate; the server's own would do.
    """
    server = HTTPServer(("127.0.0.1", 0), _Accepting)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients hang up
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    if not from_all:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate.file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port


@pytest.fixture
def port(certificate: Certificate) -> Iterator[int]:
    """The port of an https server that accepts everything."""
    with accepting(certificate) as port:
        yield port


def probe(
    endpoint: str,
    ca_file: Path | None = None,
    own: Certificate | None = None,
    timeout_seconds: float = 5,
) -> str:
    config = OTelConfig(
        endpoint=endpoint,
        ca_file=ca_file,
        cert_file=None if own is None else own.file,
        key_file=None if own is None else own.key,
        timeout_seconds=timeout_seconds,
    )
    sender = OTLPSender(config, logging.getLogger("tests.otel"))
    try:
        return sender.probe()
    finally:
        sender.close()


def test_certificate_that_is_trusted_by_ca_file_is_accepted(
    certificate: Certificate, port: int
) -> None:
    answer = probe(f"https://localhost:{port}", certificate.file)

    assert answer == f"OTLP at https://localhost:{port}/v1/traces"


@pytest.mark.fault("O15")
def test_certificate_that_nobody_vouches_for_is_refused(port: int) -> None:
    with pytest.raises(RetryLater, match=r"(?i)certificate"):
        probe(f"https://localhost:{port}")


@pytest.mark.fault("O15")
def test_certificate_of_another_host_is_refused(certificate: Certificate, port: int) -> None:
    with pytest.raises(RetryLater, match=r"(?i)certificate.*127\.0\.0\.1"):
        probe(f"https://127.0.0.1:{port}", certificate.file)


@pytest.mark.fault("O15")
def test_plain_http_on_a_tls_port_means_later(port: int) -> None:
    with pytest.raises(RetryLater):
        probe(f"http://localhost:{port}")


@pytest.mark.fault("O15")
def test_tls_on_a_plain_port_means_later(start_backend: StartBackend) -> None:
    backend = start_backend()
    port = backend.port

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


# The client's own certificate


def test_client_shows_its_certificate_to_who_asks_for_one(certificate: Certificate) -> None:
    with accepting(certificate, from_all=False) as port:
        endpoint = f"https://localhost:{port}"
        with pytest.raises(RetryLater, match="cannot be reached"):
            probe(endpoint, certificate.file)

        assert probe(endpoint, certificate.file, own=certificate).startswith("OTLP at https://")


def test_certificate_or_key_alone_is_refused(certificate: Certificate) -> None:
    for config_class in (OTelConfig, JaegerConfig):
        with pytest.raises(ValueError, match="cert_file and key_file go together"):
            config_class(cert_file=certificate.file)
        with pytest.raises(ValueError, match="cert_file and key_file go together"):
            config_class(key_file=certificate.key)


@pytest.mark.parametrize("sender_class", [OTLPSender, GRPCSender])
def test_files_of_the_client_that_cannot_be_used_are_told(
    sender_class: Callable[[OTelConfig], object], certificate: Certificate, tmp_path: Path
) -> None:
    missing, odd = tmp_path / "missing.pem", tmp_path / "odd.pem"
    odd.write_text("no key")

    def make(file: Path, key: Path) -> object:
        return sender_class(OTelConfig(endpoint="https://h", cert_file=file, key_file=key))

    assert make(certificate.file, certificate.key)
    with pytest.raises(OSError, match=r"cert_file: cannot read .*missing\.pem: No such file"):
        make(missing, certificate.key)
    with pytest.raises(OSError, match=r"key_file: cannot read .*missing\.pem: No such file"):
        make(certificate.file, missing)
    with pytest.raises(ValueError, match="expected a certificate and its private key"):
        make(certificate.file, odd)
    with pytest.raises(ValueError, match="expected a certificate and its private key"):
        make(certificate.key, certificate.key)


def test_encrypted_key_is_told_and_no_password_asked_for(
    certificate: Certificate, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-in", str(certificate.key), "-aes256", "-passout", "pass:secret"]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)

    with pytest.raises(ValueError, match="unencrypted"):
        OTLPSender(OTelConfig(endpoint="https://h", cert_file=certificate.file, key_file=locked))
