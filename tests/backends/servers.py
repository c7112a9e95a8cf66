"""Real servers on loopback: how they run, and what can be asked of them."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import frozen

from tests.http_client import ask
from tests.ports import takes_datagrams

REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 60
"""Far above what any of the servers takes to start, on a busy machine too."""


@contextmanager
def daemon(
    command: Sequence[str | Path], log: Path, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run *command* in a process group of its own until the block is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    continue
        process.wait()


@frozen
class PrometheusServer:
    """A Prometheus, as a rule one that scrapes one target each second."""

    port: int
    folder: Path

    def get(self, path: str) -> tuple[int, bytes]:
        answer = ask(self.port, path)
        return answer.status, answer.body

    def is_ready(self) -> bool:
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def shows_metrics(self) -> bool:
        """Whether it can be scraped itself."""
        try:
            return self.get("/metrics")[0] == 200
        except OSError:
            return False

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Give the vector that *promql* evaluates to."""
        found: list[dict[str, Any]] = self.ask("query", query=promql)["result"]
        return found

    def query_range(self, promql: str, since: float, until: float) -> list[dict[str, Any]]:
        """Give what *promql* evaluates to in each tenth of a second of a time."""
        found: list[dict[str, Any]] = self.ask(
            "query_range", query=promql, start=since, end=until, step=0.1
        )["result"]
        return found

    def ask(self, what: str, **parameters: object) -> Any:
        """Give the data that the HTTP API answers with."""
        status, body = self.get(f"/api/v1/{what}?{urlencode(parameters)}")
        assert status == 200, body
        return json.loads(body)["data"]

    def value(self, promql: str) -> float | None:
        """Give the only value that *promql* evaluates to; None if there is none."""
        result = self.query(promql)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None


@frozen
class StatsDServer:
    """Etsy's StatsD, which keeps what it gets for an hour."""

    port: int
    tcp_port: int
    socket: Path
    management_port: int

    def ask(self, command: str) -> str:
        """Send *command* to the management port and give the answer."""
        with socket.create_connection(("127.0.0.1", self.management_port), timeout=10) as client:
            client.sendall(f"{command}\n".encode())
            answer = b""
            while not answer.endswith(b"END\n\n" if command != "health" else b"\n"):
                part = client.recv(65_536)
                if not part:
                    break
                answer += part
            return answer.decode()

    def is_ready(self) -> bool:
        try:
            return self.ask("health") == "health: up\n" and takes_datagrams(self.port)
        except OSError:
            return False

    def numbers(self, command: str) -> Mapping[str, float]:
        """Give what ``counters`` or ``gauges`` shows: JavaScript, close to a dict of ours."""
        return {name: float(text) for name, text in self._entries(command)}

    def timers(self) -> Mapping[str, list[float]]:
        """Give the observations of each timer."""
        return {
            name: [float(part) for part in text.strip("[ ]").split(",")]
            for name, text in self._entries("timers")
        }

    def _entries(self, command: str) -> Iterator[tuple[str, str]]:
        entry = r"(?:'([^']*)'|(\w+)): (\[[^\]]*\]|[^\s,}]+)"
        for quoted, bare, text in re.findall(entry, self.ask(command)):
            yield quoted or bare, text


@frozen
class StatsDExporter:
    """Prometheus' statsd_exporter, which shows what it gets as metrics."""

    port: int
    tcp_port: int
    socket: Path
    web_port: int

    def get(self, path: str) -> str:
        answer = ask(self.web_port, path)
        assert answer.status == 200
        return answer.text

    def is_ready(self) -> bool:
        try:
            return bool(self.get("/-/ready")) and takes_datagrams(self.port)
        except OSError:
            return False

    def samples(self, beginning: str = "") -> dict[str, float]:
        """Give what it shows, by name and labels as they stand in its text."""
        lines = [line for line in self.get("/metrics").splitlines() if line[:1] != "#"]
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines)
            if name.startswith(beginning)
        }

    def bad_lines(self) -> float:
        """How many lines it could not read."""
        return sum(self.samples("statsd_exporter_sample_errors_total").values()) + sum(
            self.samples("statsd_exporter_tag_errors_total").values()
        )


@frozen
class Collectd:
    """collectd with its statsd plugin, which refuses all that etsy's StatsD did not know."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "collectd.log").read_text(errors="replace")

    def is_ready(self) -> bool:
        # Its plugins listen in threads of their own, which may come later.
        return "entering read-loop" in self.log and takes_datagrams(self.port)

    def values(self, name: str) -> dict[str, float]:
        """Give the last value of each metric whose name contains *name*."""
        found = {}
        for file in self.folder.glob(f"csv/*/statsd/*{name}*"):
            # Below a heading; it may be writing a line at this moment.
            _, *lines = file.read_text().rpartition("\n")[0].split("\n")
            metric = file.name.rpartition("-")[0].rpartition("-")[0].rpartition("-")[0]
            if lines:
                found[metric] = float(lines[-1].rpartition(",")[2])
        return found
