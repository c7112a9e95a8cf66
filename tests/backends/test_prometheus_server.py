"""A real Prometheus scrapes the plugin, and answers questions about what happened."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from hypervisor_observability import EventType, Observability
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from tests.backends.servers import PrometheusServer
from tests.http_client import ask
from tests.programs import run
from tests.waiting import wait_until

pytestmark = pytest.mark.backend

SCRAPED_SECONDS = 60
HOSTILE = ("\ud800", 'quote"}', "line\nbreak 1", "back\\slash", "nul\0", "é\u2028", "tab\t\r")
START = 1_800_000_000.0


@pytest.fixture(scope="module")
def observability() -> Iterator[Observability]:
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    with Observability(plugins=[plugin]) as running:
        record = partial(running.bus.record, agent_did="did:mesh:a", session_id="s1")
        record(EventType.RING_ASSIGNED, payload={"to_ring": 3}, timestamp=START)
        record(EventType.RING_ELEVATED, payload={"to_ring": 0}, timestamp=START)
        record(EventType.RING_DEMOTED, payload={"to_ring": 0}, timestamp=START + 2.5)
        for _ in range(3):
            record(EventType.RING_BREACH_DETECTED)
        for hostile in HOSTILE:
            record(EventType.RING_BREACH_DETECTED, agent_did=hostile, session_id="hostile")
        running.governance.record_decision(True, "did:mesh:a", "search", 4.0)
        running.governance.record_decision(False, "did:mesh:a", "delete", 8.0)
        yield running


@pytest.fixture(scope="module")
def prometheus(
    observability: Observability, start_prometheus: Callable[[int], PrometheusServer]
) -> PrometheusServer:
    server = start_prometheus(observability.plugin("prometheus").port)
    wait_until(lambda: server.value("up") == 1, timeout=SCRAPED_SECONDS)
    return server


@pytest.mark.parametrize(
    ("promql", "value"),
    [
        ("sum(agent_hypervisor_ring_transitions_total{agent_did='did:mesh:a'})", 3),
        ("agent_hypervisor_ring_transitions_total{event_type='ring.elevated'}", 1),
        ("agent_hypervisor_ring_breaches_total{agent_did='did:mesh:a',session_id='s1'}", 3),
        ("agent_hypervisor_ring_current{agent_did='did:mesh:a'}", 0),
        ("agent_hypervisor_ring_elevation_duration_seconds{agent_did='did:mesh:a'}", 2.5),
        ("sum(agent_governance_policy_decisions_total)", 2),
    ],
)
def test_promql_finds_what_happened(
    prometheus: PrometheusServer, promql: str, value: float
) -> None:
    assert prometheus.value(promql) == value


def test_histogram_has_quantiles(prometheus: PrometheusServer) -> None:
    quantile = prometheus.value(
        "histogram_quantile(0.5, sum by (le) (agent_governance_evaluation_latency_ms_bucket))"
    )

    assert quantile is not None
    assert 0 < quantile <= 10


def test_no_hostile_label_is_lost_or_breaks_the_scrape(prometheus: PrometheusServer) -> None:
    found = prometheus.query("agent_hypervisor_ring_breaches_total{session_id='hostile'}")

    assert {series["metric"]["agent_did"] for series in found} == {"\\ud800", *HOSTILE[1:]}
    assert {series["value"][1] for series in found} == {"1"}
    assert prometheus.value("count({__name__=~'.+_created'})") is None


def test_next_scrape_shows_what_is_new(
    observability: Observability, prometheus: PrometheusServer
) -> None:
    observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="late", session_id="s2")

    promql = "agent_hypervisor_ring_breaches_total{agent_did='late'}"
    wait_until(lambda: prometheus.value(promql) == 1, timeout=SCRAPED_SECONDS)


def test_promtool_accepts_the_text(
    observability: Observability, prometheus_program: Callable[[str], str]
) -> None:
    text = ask(observability.plugin("prometheus").port).text
    done = run([prometheus_program("promtool"), "check", "metrics"], input=text)
    # Milliseconds are part of a name that the .NET package has too.
    remarks = [line for line in done.stderr.splitlines() if "evaluation_latency_ms" not in line]

    assert remarks == []
    # 3: there were remarks on style (promtool's main.go, lintErrExitCode).
    assert done.returncode in {0, 3}
