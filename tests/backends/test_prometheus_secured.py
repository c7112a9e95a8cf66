"""A real Prometheus reads guarded metrics with the configuration that is written for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from hypervisor_observability import Observability
from hypervisor_observability.config import Secret
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_prometheus.alerts import PYTHON_JOB
from hypervisor_prometheus.scraping import Scraped, scrape_config_text
from tests.backends.servers import PrometheusServer
from tests.certificates import make_certificate
from tests.waiting import wait_until

pytestmark = [pytest.mark.backend, pytest.mark.slow]

ARRIVAL_SECONDS = 90
# Where the configuration says that an operator puts them.
PLACE = "/etc/prometheus/"
SECRETS = {"token": "t0ken", "password": "s3cret:wörd"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both sides show each other: certificates, a token, a password."""
    made: Path = tmp_path_factory.mktemp("secrets")
    for certificate, key in (("agents-ca.pem", "agents.key"), ("client.pem", "client.key")):
        make_certificate(made / certificate, made / key, "DNS:localhost", "IP:127.0.0.1")
    for name, secret in SECRETS.items():
        (made / f"agents-{name}").write_text(secret)
    return made


def served_by(folder: Path, way: str, **secrets: Secret) -> PrometheusConfig:
    config = PrometheusConfig(
        port=0, tls_certificate=folder / "agents-ca.pem", tls_key=folder / "agents.key"
    )
    if way == "token":
        return evolve(config, bearer_token=secrets["token"])
    return evolve(
        config,
        username="scraper",
        password=secrets["password"],
        tls_client_authority=folder / "client.pem",
    )


@pytest.mark.parametrize("way", ["token", "password and certificate"])
def test_guarded_metrics_are_read_by_whoever_may_and_nobody_else(
    folder: Path, configure_prometheus: Callable[..., PrometheusServer], way: str
) -> None:
    config = served_by(folder, way, **{name: Secret(text) for name, text in SECRETS.items()})
    plugin = PrometheusPlugin(config)
    other = PrometheusPlugin(served_by(folder, way, **dict.fromkeys(SECRETS, Secret("another"))))
    with Observability(plugins=[plugin]), Observability(plugins=[other]):
        ports = plugin.port, other.port
        scraped = Scraped([f"127.0.0.1:{port}" for port in ports], dotnet=[], interval_seconds=1)
        text = scrape_config_text(scraped, config)
        server = configure_prometheus(text.replace(PLACE, f"{folder}/"))

        def up(port: int) -> float | None:
            return server.value(f'up{{job="{PYTHON_JOB}",instance="127.0.0.1:{port}"}}')

        wait_until(lambda: None not in (up(plugin.port), up(other.port)), ARRIVAL_SECONDS)
        assert (up(plugin.port), up(other.port)) == (1, 0)
        found = server.query('agent_hypervisor_ring_breaches_by_severity_total{severity="high"}')
        assert [one["metric"]["instance"] for one in found] == [f"127.0.0.1:{plugin.port}"]
