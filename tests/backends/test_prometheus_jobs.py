"""What a job leaves behind is read by a real Pushgateway and a real node exporter."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import Config, EventType, Observability
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from tests.backends.servers import PrometheusServer
from tests.programs import found_or_skip

pytestmark = pytest.mark.backend

Start = Callable[..., PrometheusServer]
BREACHES = "agent_hypervisor_ring_breaches_by_agent_total"
LATENCY = "agent_governance_evaluation_latency_ms"
HOSTILE = ('quote"}', "line\nbreak 1", "back\\slash", "é\u2028")


@pytest.fixture
def start(start_web_server: Callable[..., PrometheusServer]) -> Start:
    """Start one of Prometheus' further servers, found under Debian's name or its own."""

    def start(name: str, *arguments: str) -> PrometheusServer:
        program = found_or_skip(
            name,
            lambda: shutil.which(f"prometheus-{name}") or shutil.which(name.replace("-", "_")),
            f"Install it (Debian: apt-get install --no-install-recommends prometheus-{name}).",
        )
        return start_web_server(program, *arguments)

    return start


def run_job(config: PrometheusConfig, breaches: int) -> None:
    """Do some work, and leave its metrics behind."""
    plugin = PrometheusPlugin(config)
    with Observability(Config(service="nightly"), plugins=[plugin]) as observability:
        for agent in ("a", *HOSTILE):
            for _ in range(breaches):
                observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did=agent)
        observability.governance.record_decision(True, "a", "search", 4.0)


def breaches_at(server: PrometheusServer, **labels: str) -> dict[str, float]:
    """Give what is shown of agents under *labels*."""
    status, body = server.get("/metrics")
    assert status == 200
    return {
        sample.labels["agent_did"]: sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == BREACHES and labels.items() <= sample.labels.items()
    }


def test_pushgateway_shows_the_last_run_of_each_group(start: Start) -> None:
    gateway = start("pushgateway")
    url = f"http://127.0.0.1:{gateway.port}"
    for shard, breaches in (("7", 5), ("8", 1), ("7", 2)):
        config = PrometheusConfig(serve=False, pushgateway=url, push_grouping={"shard": shard})
        run_job(config, breaches)

    agents = ("a", *HOSTILE)
    assert breaches_at(gateway, job="nightly", shard="7") == dict.fromkeys(agents, 2)
    assert breaches_at(gateway, job="nightly", shard="8") == dict.fromkeys(agents, 1)
    _, body = gateway.get("/metrics")
    assert f"# TYPE {LATENCY} histogram" in body.decode()


def test_node_exporter_reads_the_file(start: Start, tmp_path: Path) -> None:
    exporter = start(
        "node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={tmp_path}",
    )
    for breaches in (5, 2):
        run_job(PrometheusConfig(serve=False, textfile=tmp_path / "nightly.prom"), breaches)

    assert breaches_at(exporter) == dict.fromkeys(("a", *HOSTILE), 2)
    _, body = exporter.get("/metrics")
    assert "node_textfile_scrape_error 0" in body.decode().splitlines()
    assert f"# TYPE {LATENCY} histogram" in body.decode()
