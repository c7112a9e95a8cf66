"""An application under gunicorn: its workers journal, and ``hvobs agent`` shows all of them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from prometheus_client.parser import text_string_to_metric_families

from tests.commands import HVOBS
from tests.configurations import write_config
from tests.http_client import ask
from tests.ports import free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from _typeshed import StrPath

pytestmark = [
    pytest.mark.backend,
    pytest.mark.fault("P9"),
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs fork"),
]

WIDE_SECONDS = 60
WORKERS = 3
BREACHES = "agent_hypervisor_ring_breaches_by_agent_total"
RING = "agent_hypervisor_ring_current"

APPLICATION = """\
import os

from hypervisor_observability import EventType, Observability

observability = Observability.from_config("application.toml").start()


def application(environ, start_response):
    agent = f"worker-{os.getpid()}"
    observability.bus.record(EventType.RING_ASSIGNED, agent_did=agent, payload={"ring": 2})
    observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="all")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
JOURNAL = '[plugins.journal]\ndirectory = "journal"\n'


def answer_of(port: int, path: str) -> str:
    answer = ask(port, path)
    assert answer.status == 200, answer.text
    return answer.text


@define(eq=False)
class Site:
    """The application under gunicorn, with an agent beside it.

    Attributes:
        port: Where gunicorn answers.
        metrics_port: Where the agent does.
        server: gunicorn's master.
        answered: How many requests were answered.
    """

    port: int
    metrics_port: int
    server: "subprocess.Popen[bytes]"
    answered: int = field(default=0, init=False)

    def request(self) -> int:
        """Ask once; gives the process id of the worker that answered."""
        pid = int(answer_of(self.port, "/"))
        self.answered += 1
        return pid

    def workers(self, count: int, without: Collection[int] = ()) -> set[int]:
        """Ask until *count* workers have answered, none of them one of *without*."""
        found: set[int] = set()
        for _ in range(10_000):
            found.add(self.request())
            if len(found) >= count:
                break
        assert len(found) == count
        assert found.isdisjoint(without)
        return found

    def samples(self, name: str) -> dict[str, float]:
        """Scrape one metric of the agent; gives what is not zero, by agent."""
        return {
            sample.labels["agent_did"]: sample.value
            for family in text_string_to_metric_families(answer_of(self.metrics_port, "/metrics"))
            for sample in family.samples
            if sample.name == name and sample.value
        }

    def shows(self, workers: set[int]) -> bool:
        """Tell whether every answer is counted, and rings are those of *workers* alone."""
        rings = dict.fromkeys((f"worker-{pid}" for pid in workers), 2.0)
        return self.samples(BREACHES) == {"all": self.answered} and self.samples(RING) == rings


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask *process* to end, and see to it that it does."""
    process.terminate()
    try:
        process.wait(timeout=WIDE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(params=[[], ["--preload"]], ids=["each worker loads it", "preloaded"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    metrics_port = free_port()
    (tmp_path / "shop.py").write_text(APPLICATION)
    (tmp_path / "journal").mkdir()
    for name, more in (
        ("application", ""),
        ("agent", f"[plugins.prometheus]\nport = {metrics_port}\n"),
    ):
        write_config(JOURNAL + more, tmp_path / f"{name}.toml")

    def run(*command: "StrPath", **settings: Any) -> "subprocess.Popen[bytes]":
        # Into a file: a pipe that nobody reads would stop it once it is full.
        log = stack.enter_context((tmp_path / f"{Path(command[-1]).name}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **settings
        )
        stack.callback(end, process)
        return process

    with ExitStack() as stack:
        # The port is gunicorn's before it runs: nobody else can take it meanwhile.
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        number = listener.fileno()
        port = listener.getsockname()[1]
        server = run(
            *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}"),
            *("--workers", str(WORKERS), "--no-control-socket", *request.param),
            *("--graceful-timeout", "10", "shop:application"),
            pass_fds=[number],
        )
        run(*HVOBS, "agent", "--config", "agent.toml")
        site = Site(port, metrics_port, server)

        def answers() -> bool:
            assert server.poll() is None, (tmp_path / "shop:application.log").read_text()
            try:
                return bool(answer_of(metrics_port, "/-/ready"))
            except OSError:
                return False

        wait_until(answers, timeout=WIDE_SECONDS)
        yield site


def test_totals_are_exact_and_no_gauge_is_stale_whatever_becomes_of_the_workers(site: Site) -> None:
    first = site.workers(WORKERS)
    wait_until(lambda: site.shows(first), timeout=WIDE_SECONDS)

    killed = first.pop()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: site.shows(first), timeout=WIDE_SECONDS)
    second = site.workers(WORKERS, without={killed})
    assert first < second
    wait_until(lambda: site.shows(second), timeout=WIDE_SECONDS)

    # As at a new version: every worker ends in order, and another takes its place.
    site.server.send_signal(signal.SIGHUP)
    wait_until(lambda: site.shows(set()), timeout=WIDE_SECONDS)
    third = site.workers(WORKERS, without={killed, *second})
    wait_until(lambda: site.shows(third), timeout=WIDE_SECONDS)

    end(site.server)
    assert site.server.returncode == 0
    wait_until(lambda: site.shows(set()), timeout=WIDE_SECONDS)
