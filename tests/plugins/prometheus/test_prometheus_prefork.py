"""A prefork server's workers, one journal directory, and the agent that shows all of them."""

import multiprocessing
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import Config, DeliveryConfig, EventType, Observability
from hypervisor_observability.host.agent import Agent
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.fault("P9"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Forking beside threads is what these tests are about.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
WIDE_SECONDS = 60
WORKERS = 4
BREACHES = "agent_hypervisor_ring_breaches_by_agent_total"
RING = "agent_hypervisor_ring_current"
SESSIONS = "agent_hypervisor_sessions_active"


def serve(observability: Observability, number: int, connection: Connection) -> None:
    """Work as a worker does: a request for each number that comes; ends when None does."""
    agent, session = f"worker-{number}", f"s-{number}"
    observability.bus.record(EventType.RING_ASSIGNED, agent_did=agent, payload={"ring": 2})
    observability.bus.record(EventType.SESSION_CREATED, session_id=session)
    while (breaches := connection.recv()) is not None:
        for _ in range(breaches):
            for name in (agent, "all"):
                observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did=name)
        connection.send("done")
    observability.stop()


@frozen
class Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection

    def work(self, breaches: int) -> None:
        self.connection.send(breaches)
        assert self.connection.poll(WIDE_SECONDS)
        self.connection.recv()

    def end(self) -> None:
        self.connection.send(None)
        self.process.join(WIDE_SECONDS)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        assert self.process.pid
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(WIDE_SECONDS)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    """Workers forked from a master whose observability has started, as with ``--preload``."""
    context = multiprocessing.get_context("fork")
    workers = []
    with Observability(Config(plugins={"journal": {"directory": tmp_path}})) as observability:
        observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="all")
        for number in range(WORKERS):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(observability, number, theirs))
            process.start()
            workers.append(Worker(process, ours))
        yield workers
        for worker in workers:
            if worker.process.is_alive():
                worker.kill()


@contextmanager
def agent_of(directory: Path) -> Iterator[Callable[[str], dict[str, float]]]:
    """Run an agent, and give what scrapes one metric of it: values by agent."""
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    config = Config(
        delivery=DeliveryConfig(interval_seconds=0.01),
        plugins={"journal": {"directory": directory}},
    )
    with Agent(config, plugins=[plugin]) as agent:

        def scrape(name: str) -> dict[str, float]:
            assert agent.flush(WIDE_SECONDS)
            with urllib.request.urlopen(plugin.url, timeout=WIDE_SECONDS) as answer:
                text = answer.read().decode()
            return {
                sample.labels.get("agent_did", ""): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == name and sample.value
            }

        yield scrape


def test_totals_are_those_of_all_workers_and_no_gauge_outlives_its_worker(
    tmp_path: Path, workers: list[Worker]
) -> None:
    with agent_of(tmp_path) as scrape:
        for number, worker in enumerate(workers, 1):
            worker.work(number * 10)

        totals = {f"worker-{number}": (number + 1) * 10.0 for number in range(WORKERS)}
        assert scrape(BREACHES) == {**totals, "all": 101}
        assert scrape(RING) == {f"worker-{number}": 2 for number in range(WORKERS)}
        assert scrape(SESSIONS) == {"": WORKERS}

        workers[0].kill()
        workers[1].end()

        wait_until(lambda: scrape(RING) == {"worker-2": 2, "worker-3": 2}, timeout=WIDE_SECONDS)
        assert scrape(SESSIONS) == {"": 2}
        assert scrape(BREACHES) == {**totals, "all": 101}


def test_totals_hold_over_the_agents_restart_and_workers_that_died_meanwhile(
    tmp_path: Path, workers: list[Worker]
) -> None:
    for worker in workers:
        worker.work(10)
    with agent_of(tmp_path) as scrape:
        assert scrape(BREACHES)["all"] == 41
    workers[0].work(1)
    workers[0].kill()
    workers[1].work(2)

    with agent_of(tmp_path) as scrape:
        assert scrape(BREACHES)["all"] == 44
        assert "worker-0" not in scrape(RING)
        wait_until(lambda: scrape(SESSIONS) == {"": WORKERS - 1}, timeout=WIDE_SECONDS)
        workers[2].work(3)
        assert scrape(BREACHES)["all"] == 47
