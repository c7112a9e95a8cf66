"""TLS: who the server is, and whether clients show who they are."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable

import pytest

from hypervisor_observability.serving.settings import ServerSettings
from tests.core.serving.certificates import Certificates
from tests.core.serving.served_site import WIDE_SECONDS, ServedSite
from tests.http_client import ask

MAX_CONNECTIONS = 16
Serve = Callable[..., ServedSite]


@pytest.fixture
def secure(serve: Serve, certificates: Certificates) -> ServedSite:
    files = ServerSettings(tls_certificate=certificates.certificate, tls_key=certificates.key)
    return serve(bound=files)


@pytest.fixture
def trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.certificate))


@pytest.mark.fault("P4")
def test_plain_http_and_old_tls_are_refused(secure: ServedSite, trusting: ssl.SSLContext) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        secure.ask()
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)ssl|reset|eof"):
        ask(secure.port, "/page", tls=old)

    assert ask(secure.port, "/page", tls=trusting).status == 200


@pytest.mark.fault("P4")
def test_client_without_a_certificate_is_refused_where_one_is_asked_for(
    serve: Serve, certificates: Certificates, trusting: ssl.SSLContext
) -> None:
    served = serve(
        bound=ServerSettings(
            tls_certificate=certificates.certificate,
            tls_key=certificates.key,
            tls_client_authority=certificates.other_certificate,
        )
    )

    # In TLS 1.3 the server refuses after the client's handshake: the request may meet its end.
    with pytest.raises(OSError, match=r"(?i)ssl|reset|eof|certificate|broken pipe"):
        ask(served.port, "/page", tls=trusting)
    trusting.load_cert_chain(certificates.other_certificate, certificates.other_key)
    assert ask(served.port, "/page", tls=trusting).status == 200


@pytest.mark.fault("P2")
def test_clients_that_never_finish_the_handshake_keep_nobody_out(
    secure: ServedSite, trusting: ssl.SSLContext
) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", secure.port), timeout=WIDE_SECONDS)
        for _ in range(3 * MAX_CONNECTIONS)
    ]
    try:
        assert ask(secure.port, "/page", tls=trusting).status == 200
    finally:
        for client in silent:
            client.close()


@pytest.mark.fault("P2")
def test_handshake_has_one_deadline_however_it_drips(secure: ServedSite) -> None:
    secure.server.connections.read_seconds = 0.3
    with socket.create_connection(("127.0.0.1", secure.port), timeout=0.02) as client:
        client.sendall(b"\x16\x03\x01\x02\x00")  # a record of 512 bytes (RFC 8446, 5.1)
        end, over = time.monotonic() + WIDE_SECONDS, False
        while not over and time.monotonic() < end:
            try:
                client.sendall(b"\1")
                over = client.recv(100) == b""
            except TimeoutError:
                pass
            except OSError:
                over = True

    assert over


def test_stop_hangs_up_on_secure_clients(secure: ServedSite, trusting: ssl.SSLContext) -> None:
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=WIDE_SECONDS)
    with trusting.wrap_socket(plain, server_hostname="localhost") as client:
        secure.server.stop()
        try:
            assert client.recv(10) == b""
        except (ssl.SSLError, ConnectionResetError):
            pass  # hung up without a word, which is what was asked for


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("missing.pem", "key"), r"test.tls_certificate: cannot read .*missing\.pem: No such file"),
        (("certificate", "missing.pem"), r"test.tls_key: cannot read"),
        (("certificate", "other_key"), "expected a certificate and its key"),
        (("key", "key"), "expected a certificate and its key"),
        (("certificate", "encrypted_key"), "the key is encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_told(
    serve: Serve, certificates: Certificates, files: tuple[str, str], said: str
) -> None:
    certificate, key = (
        getattr(certificates, name, certificates.key.parent / name) for name in files
    )

    with pytest.raises(OSError, match=said):
        serve(bound=ServerSettings(tls_certificate=certificate, tls_key=key))


def test_authority_that_is_none_is_told(serve: Serve, certificates: Certificates) -> None:
    files = ServerSettings(
        tls_certificate=certificates.certificate,
        tls_key=certificates.key,
        tls_client_authority=certificates.key,
    )

    with pytest.raises(OSError, match="tls_client_authority: expected certificates"):
        serve(bound=files)
