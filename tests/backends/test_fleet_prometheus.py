"""A real Prometheus scrapes the agents of a fleet; their totals together are right."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_nats.config import NatsConfig
from tests.backends.servers import PrometheusServer
from tests.plugins.nats.conftest import nats_config, nats_server
from tests.plugins.nats.small_fleets import small_fleet
from tests.ports import free_ports
from tests.waiting import wait_until

pytestmark = pytest.mark.backend

__all__ = ["nats_config", "nats_server"]  # fixtures

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
COUNTER = "agent_hypervisor_ring_breaches_by_agent_total"
SCRAPED_SECONDS = 60


def totals_of_a_fleet() -> str:
    """Give the query that the documentation names, for a counter of ours."""
    section = PAGE.read_text("utf-8").partition("### Totals of a fleet")[2]
    query = section.split("```")[1].strip()
    return re.sub(r"\w+_total", COUNTER, query.replace("by (event_type) ", ""))


def test_totals_of_two_agents_are_right_across_a_takeover(
    nats_config: NatsConfig,
    configure_prometheus: Callable[..., PrometheusServer],
    tmp_path: Path,
) -> None:
    ports = free_ports(2)
    targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
    prometheus = configure_prometheus(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        "- job_name: agents\n"
        f"  static_configs: [{{targets: [{targets}]}}]\n"
    )
    total = totals_of_a_fleet()
    with small_fleet(nats_config, tmp_path, tuple(ports)) as fleet:

        def is_right() -> bool:
            return prometheus.value(total) == len(fleet.recorded)

        fleet.await_sharing()
        wait_until(is_right, SCRAPED_SECONDS)
        begun = time.time()
        killed, _ = fleet.agents
        killed.kill()
        fleet.record(8)
        wait_until(is_right, SCRAPED_SECONDS)
        (series,) = prometheus.query_range(total, begun, time.time())
        assert max(float(value) for _, value in series["values"]) <= len(fleet.recorded)
        killed.start()
        fleet.await_sharing()
        wait_until(is_right, SCRAPED_SECONDS)
