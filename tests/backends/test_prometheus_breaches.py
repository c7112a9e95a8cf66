"""On a real Prometheus breaches are seen to be as many as they were, a lone first one too."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from attrs import frozen

from hypervisor_observability import EventType, HypervisorEvent, Observability
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.metrics.withdrawals import LINGER_NS
from hypervisor_observability.testing import context_for
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_prometheus.alerts import AGENT_ALERTS
from tests.backends.servers import PrometheusServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.backend, pytest.mark.slow]

ARRIVAL_SECONDS = 90
ALERT = next(alert.promql for alert in AGENT_ALERTS if alert.name == "RingBreach")
SEVERITY = "agent_hypervisor_ring_breaches_by_severity_total"
BY_AGENT = "agent_hypervisor_ring_breaches_by_agent_total"
BREACHES = "agent_hypervisor_ring_breaches_total"


@pytest.fixture(scope="module")
def late() -> Iterator[Observability]:
    """An application whose agent has joined, and has done nothing wrong when it is scraped."""
    with Observability(plugins=[PrometheusPlugin(PrometheusConfig(port=0))]) as observability:
        observability.bus.record(
            EventType.RING_ASSIGNED, agent_did="calm", session_id="s1", payload={"ring": 3}
        )
        yield observability


@pytest.fixture(scope="module")
def early() -> Iterator[Observability]:
    """An application in which a ring is breached before anybody has scraped it."""
    with Observability(plugins=[PrometheusPlugin(PrometheusConfig(port=0))]) as observability:
        observability.bus.record(
            EventType.RING_BREACH_DETECTED, agent_did="hasty", payload={"severity": "critical"}
        )
        yield observability


@pytest.fixture(scope="module")
def prometheus(
    late: Observability,
    early: Observability,
    configure_prometheus: Callable[..., PrometheusServer],
) -> PrometheusServer:
    jobs = {"late": late, "early": early}
    server = configure_prometheus(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        + "".join(
            f"- job_name: {name}\n  static_configs:"
            f" [{{targets: ['127.0.0.1:{one.plugin('prometheus').port}']}}]\n"
            for name, one in jobs.items()
        )
    )
    wait_until(lambda: server.value("sum(up)") == 2, timeout=ARRIVAL_SECONDS)
    # What is asked about growth needs two scrapes.
    scrapes = f"min(count_over_time({SEVERITY}[5m]))"
    wait_until(lambda: (server.value(scrapes) or 0) >= 2, timeout=ARRIVAL_SECONDS)
    return server


def test_lone_breach_of_a_quiet_agent_has_increased_every_counter_of_it(
    late: Observability, prometheus: PrometheusServer
) -> None:
    growth = {
        "by severity": f'increase({SEVERITY}{{job="late",severity="high"}}[5m])',
        "by agent": f'increase({BY_AGENT}{{job="late",agent_did="calm"}}[5m])',
        "by session": f'increase({BREACHES}{{job="late",agent_did="calm",session_id="s1"}}[5m])',
        "alert": f'{ALERT} and on (job) up{{job="late"}}',
    }
    before = {name: prometheus.value(promql) for name, promql in growth.items()}
    assert before == {"by severity": 0, "by agent": 0, "by session": 0, "alert": None}

    record = partial(late.bus.record, EventType.RING_BREACH_DETECTED, payload={"severity": "high"})
    record(agent_did="calm", session_id="s1")

    for promql in growth.values():
        # More than one breach is made of it where the scrapes are fewer than the time asked for.
        wait_until(partial(prometheus.value, promql), ARRIVAL_SECONDS)


def test_breach_before_the_first_scrape_is_seen_by_the_alert(
    prometheus: PrometheusServer,
) -> None:
    found = prometheus.query(f'{ALERT} and on (job) up{{job="early"}}')

    assert [(one["metric"]["breach"], float(one["value"][1])) for one in found] == [("critical", 1)]
    # What asks for growth alone is blind to it.
    assert prometheus.value(f'sum(increase({SEVERITY}{{job="early"}}[5m]))') == 0


@frozen
class Aged:
    """Metrics behind a real Prometheus, whose clock can be put forward.

    Attributes:
        clock_ns: How far it was put forward.
    """

    prometheus: PrometheusServer
    registry: MetricsRegistry
    clock_ns: list[int]

    def session(self, session: str, breaches: int, total: int) -> None:
        """Go through a session of one agent, until its series is gone from Prometheus too."""
        record = partial(HypervisorEvent, agent_did="a", session_id=session)
        self.registry.observe([record(event_type=EventType.RING_ASSIGNED)])
        self.registry.observe([record(event_type=EventType.RING_BREACH_DETECTED)] * breaches)
        wait_until(lambda: self.prometheus.value(BY_AGENT) == total, ARRIVAL_SECONDS)
        self.registry.observe([record(event_type=EventType.SESSION_TERMINATED)])
        self.clock_ns[0] += 2 * LINGER_NS
        gone = f"absent({BREACHES})"
        wait_until(lambda: self.prometheus.value(gone) == 1, ARRIVAL_SECONDS)


@pytest.fixture
def aged(start_prometheus: Callable[[int], PrometheusServer]) -> Iterator[Aged]:
    clock_ns = [0]
    registry = MetricsRegistry(now_ns=lambda: time.time_ns() + clock_ns[0])
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    plugin.start(context_for("prometheus", registry))
    try:
        yield Aged(start_prometheus(plugin.port), registry, clock_ns)
    finally:
        plugin.stop()


def test_growth_of_the_twins_is_what_happened_however_many_sessions_have_ended(
    aged: Aged,
) -> None:
    for session, breaches, total in (("s0", 0, 0), ("s1", 5, 5), ("s2", 1, 6), ("s3", 3, 9)):
        aged.session(session, breaches, total)

    ask = aged.prometheus.value
    grown = f"sum(max_over_time({BY_AGENT}[5m]) - min_over_time({BY_AGENT}[5m]))"
    assert (ask(grown), ask(f"sum(resets({BY_AGENT}[5m]))")) == (9, 0)
    # The same, but for what Prometheus expects of the time after the last scrape.
    increase = ask(f"sum(increase({BY_AGENT}[5m]))")
    assert increase is not None
    assert 9 <= increase < 13
