"""Who may read: users with a password, holders of the token, clients with a certificate."""

import base64
import http.client
import logging
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.config import Secret
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_observability.serving.credentials import Credentials
from hypervisor_prometheus import PrometheusConfig
from tests.certificates import make_certificate, openssl
from tests.http_client import ask
from tests.plugins.prometheus.served import Served

MAX_CONNECTIONS = 16
MakeServed = Callable[..., Served]


WIDE_SECONDS = 30


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def guarded(make_served: MakeServed) -> Served:
    served = make_served(
        username="prometheus", password=Secret("s3cret:wörd"), bearer_token=Secret("t0ken")
    )
    served.start()
    return served


@pytest.mark.parametrize(
    "shown", [basic("prometheus", "s3cret:wörd"), "Bearer t0ken", "bearer  t0ken"]
)
def test_right_credentials_are_let_in(guarded: Served, shown: str) -> None:
    assert guarded.ask(Authorization=shown).status == 200


@pytest.mark.fault("P4")
@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Basic",
        "Bearer",
        "Bearer t0ke",
        "Bearer t0kens",
        "Basic t0ken",
        "Basic %%%",
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        basic("prometheus", "s3cret"),
        basic("Prometheus", "s3cret:wörd"),
        basic("", ""),
        "Digest t0ken",
        "t0ken",
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/", "/admin"])
def test_wrong_credentials_are_refused(guarded: Served, shown: str, path: str) -> None:
    headers = {"Authorization": shown} if shown else {}
    answer = guarded.ask(path, **headers)

    assert answer.status == 401
    assert answer.headers.get_all("WWW-Authenticate") == [
        'Basic realm="metrics", charset="UTF-8"',
        'Bearer realm="metrics"',
    ]
    assert "s3cret" not in answer.text
    assert "t0ken" not in answer.text


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_probes_need_no_password(guarded: Served, path: str) -> None:
    assert guarded.ask(path).status == 200


@pytest.mark.fault("P4")
@given(st.text(max_size=60))
def test_no_header_but_the_right_one_is_admitted(shown: str) -> None:
    credentials = Credentials("u", Secret("p"), Secret("t"))
    right = {basic("u", "p"), "Bearer t"}

    admitted = credentials.admit(shown)

    scheme, _, rest = shown.partition(" ")
    assert admitted == (f"{scheme.capitalize()} {rest.strip(' ')}" in right)


@pytest.mark.parametrize(
    ("only", "shown", "admitted"),
    [
        (Credentials("u", Secret("p")), basic("u", "p"), True),
        (Credentials("u", Secret("p")), "Bearer ", False),
        (Credentials(bearer_token=Secret("t")), "Bearer t", True),
        (Credentials(bearer_token=Secret("t")), basic("", ""), False),
        (Credentials(), None, True),
    ],
)
def test_what_is_not_set_lets_nobody_in(
    only: Credentials, shown: str | None, admitted: bool
) -> None:
    assert only.admit(shown) is admitted
    assert only.admit(None) is (not only.are_asked_for)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"username": "u"}, "a username alone keeps nobody out"),
        ({"username": "u:v", "password": "p"}, "username"),
        ({"username": "u", "password": ""}, "password: the value is not accepted"),
        ({"bearer_token": ""}, "bearer_token: the value is not accepted"),
        ({"tls_key": "k.pem"}, "tls_certificate and tls_key go together"),
        ({"tls_certificate": "c.pem"}, "tls_certificate and tls_key go together"),
        ({"tls_client_authority": "a.pem"}, "needs tls_certificate and tls_key"),
        ({"textfile": "metrics.txt"}, "files named *.prom"),
        ({"pushgateway": "localhost:9091"}, "expected a URL"),
        ({"pushgateway": "http://u:p@localhost"}, "no user and password"),
        ({"push_grouping": {"job": "x"}}, "set by push_job"),
        ({"push_grouping": {"a b": "x"}}, "'a b' is no name of a label"),
        ({"push_job": ""}, "push_job"),
        ({"push_timeout_seconds": 0}, "push_timeout_seconds"),
    ],
)
def test_table_that_cannot_be_used_is_told(table: dict[str, object], said: str) -> None:
    where = ("plugins", "prometheus")
    config, found = structure(table, PrometheusConfig, Origin("test.toml"), where)

    assert config is None
    assert len(found) == 1
    assert said in str(found[0])


def test_secrets_are_not_shown() -> None:
    config = PrometheusConfig(username="u", password=Secret("p4ss"), bearer_token=Secret("t0ken"))

    assert "p4ss" not in repr(config)
    assert "t0ken" not in repr(config.credentials)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "unencrypted and without a password"),
        ({"bearer_token": Secret("t")}, "unencrypted"),
    ],
)
def test_remote_server_warns_of_what_it_lacks(
    make_served: MakeServed,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, object],
    said: str,
) -> None:
    make_served(host="0.0.0.0", allow_remote=True, **settings).start()

    (warning,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.endswith(said)


# TLS


@frozen
class Certificates:
    """A certificate for localhost, its key, and another pair that nobody knows."""

    certificate: Path
    key: Path
    other_certificate: Path
    other_key: Path
    encrypted_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    one, two = ((folder / f"{name}.pem", folder / f"{name}.key") for name in ("one", "two"))
    for pair in (one, two):
        make_certificate(*pair, "DNS:localhost", "IP:127.0.0.1")
    encrypted = folder / "encrypted.key"
    openssl(
        *("pkcs8", "-topk8", "-in", one[1], "-out", encrypted),
        *("-passout", "pass:x", "-v2", "aes-128-cbc"),
    )
    return Certificates(*one, *two, encrypted)


@pytest.fixture
def secure(make_served: MakeServed, certificates: Certificates) -> Served:
    served = make_served(tls_certificate=certificates.certificate, tls_key=certificates.key)
    served.start()
    return served


@pytest.fixture
def trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.certificate))


def test_metrics_are_served_by_https(secure: Served, trusting: ssl.SSLContext) -> None:
    answer = ask(secure.plugin.port, "/-/ready", tls=trusting)

    assert (answer.status, answer.body) == (200, b"ready\n")
    assert secure.plugin.url.startswith("https://127.0.0.1:")


@pytest.mark.fault("P4")
def test_plain_http_and_old_tls_are_refused(secure: Served, trusting: ssl.SSLContext) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        secure.ask()
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)ssl|reset|eof"):
        ask(secure.plugin.port, tls=old)

    assert ask(secure.plugin.port, tls=trusting).status == 200


@pytest.mark.fault("P4")
def test_client_without_a_certificate_is_refused_where_one_is_asked_for(
    make_served: MakeServed, certificates: Certificates, trusting: ssl.SSLContext
) -> None:
    served = make_served(
        tls_certificate=certificates.certificate,
        tls_key=certificates.key,
        tls_client_authority=certificates.other_certificate,
    )
    served.start()

    # In TLS 1.3 the server refuses after the client's handshake: the request may meet its end.
    with pytest.raises(OSError, match=r"(?i)ssl|reset|eof|certificate|broken pipe"):
        ask(served.plugin.port, tls=trusting)
    trusting.load_cert_chain(certificates.other_certificate, certificates.other_key)
    assert ask(served.plugin.port, tls=trusting).status == 200


@pytest.mark.fault("P2")
def test_clients_that_never_finish_the_handshake_keep_nobody_out(
    secure: Served, trusting: ssl.SSLContext
) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", secure.plugin.port), timeout=WIDE_SECONDS)
        for _ in range(3 * MAX_CONNECTIONS)
    ]
    try:
        assert ask(secure.plugin.port, tls=trusting).status == 200
    finally:
        for client in silent:
            client.close()


@pytest.mark.fault("P2")
def test_handshake_has_one_deadline_however_it_drips(secure: Served) -> None:
    assert secure.plugin._server is not None
    secure.plugin._server.connections.read_seconds = 0.3
    with socket.create_connection(("127.0.0.1", secure.plugin.port), timeout=0.02) as client:
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


def test_stop_hangs_up_on_secure_clients(secure: Served, trusting: ssl.SSLContext) -> None:
    plain = socket.create_connection(("127.0.0.1", secure.plugin.port), timeout=WIDE_SECONDS)
    with trusting.wrap_socket(plain, server_hostname="localhost") as client:
        secure.plugin.stop()
        try:
            assert client.recv(10) == b""
        except (ssl.SSLError, ConnectionResetError):
            pass  # hung up without a word, which is what was asked for


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("missing.pem", "key"), r"tls_certificate: cannot read .*missing\.pem: No such file"),
        (("certificate", "missing.pem"), r"tls_key: cannot read"),
        (("certificate", "other_key"), "expected a certificate and its key"),
        (("key", "key"), "expected a certificate and its key"),
        (("certificate", "encrypted_key"), "the key is encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_told(
    make_served: MakeServed, certificates: Certificates, files: tuple[str, str], said: str
) -> None:
    certificate, key = (
        getattr(certificates, name, certificates.key.parent / name) for name in files
    )
    served = make_served(tls_certificate=certificate, tls_key=key)

    with pytest.raises(OSError, match=said):
        served.start()
    with pytest.raises(OSError, match=said):
        served.check()


def test_authority_that_is_none_is_told(
    make_served: MakeServed, certificates: Certificates
) -> None:
    served = make_served(
        tls_certificate=certificates.certificate,
        tls_key=certificates.key,
        tls_client_authority=certificates.key,
    )

    with pytest.raises(OSError, match="tls_client_authority: expected certificates"):
        served.start()


# Many


@pytest.mark.fault("P2")
@pytest.mark.slow
def test_five_hundred_half_open_connections_do_not_keep_a_scrape_out(served: Served) -> None:
    halves = []
    try:
        for number in range(500):
            client = socket.create_connection(("127.0.0.1", served.plugin.port), WIDE_SECONDS)
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: " if number % 2 else b"")
            halves.append(client)
        began = time.monotonic()
        status = served.ask().status
        took = time.monotonic() - began
    finally:
        for client in halves:
            client.close()

    assert status == 200
    # It takes milliseconds; a scrape that had to wait for a place would wait 5 s for a time-out.
    assert took < 4
