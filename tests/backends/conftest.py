"""Real servers on loopback, each started for the tests that need it and stopped after them."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import frozen

REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 60
"""Far above what any of the servers takes to start, on a busy machine too."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
    """A Prometheus that scrapes one target each second."""

    port: int

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Give the vector that *promql* evaluates to."""
        status, body = self.get("/api/v1/query?" + urlencode({"query": promql}))
        assert status == 200, body
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return result

    def value(self, promql: str) -> float | None:
        """Give the only value that *promql* evaluates to; None if there is none."""
        result = self.query(promql)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None


FindOrSkip = Callable[[str, Callable[[], Any], str], Any]


@pytest.fixture(scope="session")
def prometheus_program(server_or_skip: FindOrSkip) -> Callable[[str], str]:
    """Find ``prometheus`` or ``promtool``."""

    def find(name: str) -> str:
        folder = os.environ.get("HVOBS_PROMETHEUS")
        found: str = server_or_skip(
            name,
            lambda: shutil.which(name, path=folder),
            "Install it (Debian: apt-get install --no-install-recommends prometheus), or name"
            " the folder that it is in with HVOBS_PROMETHEUS.",
        )
        return found

    return find


@pytest.fixture(scope="session")
def start_prometheus(
    prometheus_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], PrometheusServer]]:
    """Start a Prometheus that scrapes a port; the first scrape takes some seconds to come."""
    program = prometheus_program("prometheus")
    with ExitStack() as stack:

        def start(scraped_port: int) -> PrometheusServer:
            folder = tmp_path_factory.mktemp("prometheus")
            config = folder / "prometheus.yml"
            config.write_text(
                "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                "scrape_configs:\n"
                "- job_name: agents\n"
                f"  static_configs: [{{targets: ['127.0.0.1:{scraped_port}']}}]\n"
            )
            server = PrometheusServer(free_port())
            command = [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{server.port}",
            ]
            stack.enter_context(daemon(command, folder / "prometheus.log", server.is_ready))
            return server

        yield start


@frozen
class StatsDServer:
    """Etsy's StatsD, which keeps what it gets for an hour."""

    port: int
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
            return self.ask("health") == "health: up\n"
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


@pytest.fixture(scope="session")
def statsd_server(
    server_or_skip: FindOrSkip, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StatsDServer]:
    """StatsD on free ports, shared by the tests: each uses names of its own."""
    node = server_or_skip("node", lambda: shutil.which("node"), "Install Node.js.")
    folder = Path(os.environ.get("HVOBS_STATSD", REPOSITORY / ".servers/node_modules/statsd"))
    program = server_or_skip(
        "StatsD",
        lambda: folder / "stats.js" if (folder / "stats.js").is_file() else None,
        "Run npm install --prefix .servers --omit=optional statsd@0.9.0, or name the folder"
        " that it is in with HVOBS_STATSD.",
    )
    server = StatsDServer(free_port(socket.SOCK_DGRAM), free_port())
    settings = {
        "address": "127.0.0.1",
        "port": server.port,
        "mgmt_address": "127.0.0.1",
        "mgmt_port": server.management_port,
        "flushInterval": 3_600_000,
        "backends": ["./backends/console"],
        "title": False,
    }
    work = tmp_path_factory.mktemp("statsd")
    config = work / "config.js"
    config.write_text(json.dumps(settings))
    with daemon([node, program, config], work / "statsd.log", server.is_ready):
        yield server
