"""Who may read: users with a password, holders of the token, clients with a certificate."""

import base64
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_observability.config import Secret
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_prometheus import PrometheusConfig
from tests.certificates import make_certificate
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


def test_metrics_are_served_by_https(make_served: MakeServed, tmp_path: Path) -> None:
    certificate, key = tmp_path / "one.pem", tmp_path / "one.key"
    make_certificate(certificate, key, "DNS:localhost", "IP:127.0.0.1")
    served = make_served(tls_certificate=certificate, tls_key=key)
    served.start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    answer = ask(served.plugin.port, "/-/ready", tls=trusting)

    assert (answer.status, answer.body) == (200, b"ready\n")
    assert served.plugin.url.startswith("https://127.0.0.1:")


def test_file_that_cannot_be_read_is_told_before_the_start(
    make_served: MakeServed, tmp_path: Path
) -> None:
    served = make_served(tls_certificate=tmp_path / "no.pem", tls_key=tmp_path / "no.key")

    with pytest.raises(OSError, match=r"plugins\.prometheus\.tls_certificate: cannot read"):
        served.check()
