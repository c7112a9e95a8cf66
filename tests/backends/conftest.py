"""Real servers on loopback, each started for the tests that need it and stopped after them."""

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
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import frozen

from tests.http_client import ask
from tests.ports import free_port
from tests.programs import found_or_skip

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


@pytest.fixture(scope="session")
def prometheus_program() -> Callable[[str], str]:
    """Find ``prometheus`` or ``promtool``."""

    def find(name: str) -> str:
        folder = os.environ.get("HVOBS_PROMETHEUS")
        found: str = found_or_skip(
            name,
            lambda: shutil.which(name, path=folder),
            "Install it (Debian: apt-get install --no-install-recommends prometheus), or name"
            " the folder that it is in with HVOBS_PROMETHEUS.",
        )
        return found

    return find


@pytest.fixture(scope="session")
def configure_prometheus(
    prometheus_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., PrometheusServer]]:
    """Start a Prometheus with a configuration, and files beside it."""
    program = prometheus_program("prometheus")
    with ExitStack() as stack:

        def start(config: str, **files: str) -> PrometheusServer:
            folder = tmp_path_factory.mktemp("prometheus")
            for name, text in {"prometheus": config, **files}.items():
                (folder / f"{name}.yml").write_text(text)
            server = PrometheusServer(free_port(), folder)
            command = [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{server.port}",
                "--enable-feature=exemplar-storage",
            ]
            stack.enter_context(daemon(command, folder / "prometheus.log", server.is_ready))
            return server

        yield start


@pytest.fixture(scope="session")
def start_prometheus(
    configure_prometheus: Callable[..., PrometheusServer],
) -> Callable[[int], PrometheusServer]:
    """Start a Prometheus that scrapes a port; the first scrape takes some seconds to come."""

    def start(scraped_port: int) -> PrometheusServer:
        return configure_prometheus(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            "scrape_configs:\n"
            "- job_name: agents\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{scraped_port}']}}]\n"
        )

    return start


@pytest.fixture
def start_web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start one of Prometheus' further servers on a port of its own, until the test ends."""
    with ExitStack() as stack:

        def start(program: str, *arguments: str) -> PrometheusServer:
            folder = tmp_path_factory.mktemp(Path(program).name)
            server = PrometheusServer(free_port(), folder)
            command = [program, f"--web.listen-address=127.0.0.1:{server.port}", *arguments]
            stack.enter_context(daemon(command, folder / "log", server.shows_metrics))
            return server

        yield start


@pytest.fixture(scope="session")
def start_alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], int]]:
    """Start an Alertmanager with a configuration; gives its port."""
    program = found_or_skip(
        "Alertmanager",
        lambda: shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"),
        "Install it (Debian: apt-get install --no-install-recommends prometheus-alertmanager).",
    )
    with ExitStack() as stack:

        def start(config: str) -> int:
            folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
            file = folder / "alertmanager.yml"
            file.write_text(config)
            command = [
                program,
                f"--config.file={file}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ]
            is_ready = PrometheusServer(port, folder).is_ready
            stack.enter_context(daemon(command, folder / "alertmanager.log", is_ready))
            return port

        yield start


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
def stack() -> Iterator[ExitStack]:
    """What has to be left at the end of the session."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture(scope="session")
def statsd_server(
    tmp_path_factory: pytest.TempPathFactory, stack: ExitStack
) -> Iterator[StatsDServer]:
    """StatsD on free ports, shared by the tests: each uses names of its own."""
    node = found_or_skip("node", lambda: shutil.which("node"), "Install Node.js.")
    folder = Path(os.environ.get("HVOBS_STATSD", REPOSITORY / ".servers/node_modules/statsd"))
    program = found_or_skip(
        "StatsD",
        lambda: folder / "stats.js" if (folder / "stats.js").is_file() else None,
        "Run npm install --prefix .servers --omit=optional statsd@0.9.0, or name the folder"
        " that it is in with HVOBS_STATSD.",
    )
    work = tmp_path_factory.mktemp("statsd")
    # The path of a socket has to be short.
    folder_of_socket = stack.enter_context(TemporaryDirectory(prefix="hv", dir="/tmp"))
    server = StatsDServer(
        free_port(socket.SOCK_DGRAM), free_port(), Path(folder_of_socket) / "s", free_port()
    )
    address = "127.0.0.1"
    settings = {
        "servers": [
            {"server": "./servers/udp", "address": address, "port": server.port},
            {"server": "./servers/tcp", "address": address, "port": server.tcp_port},
            {"server": "./servers/tcp", "socket": str(server.socket)},
        ],
        "mgmt_address": address,
        "mgmt_port": server.management_port,
        "flushInterval": 3_600_000,
        "backends": ["./backends/console"],
        "title": False,
    }
    config = work / "config.js"
    config.write_text(json.dumps(settings))
    with daemon([node, program, config], work / "statsd.log", server.is_ready):
        yield server


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
            return bool(self.get("/-/ready"))
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


@pytest.fixture(scope="session")
def statsd_exporter(
    tmp_path_factory: pytest.TempPathFactory, stack: ExitStack
) -> Iterator[StatsDExporter]:
    """statsd_exporter on free ports, shared by the tests: each uses names of its own."""
    local = REPOSITORY / ".servers/bin"
    find = partial(shutil.which, "statsd_exporter")
    found = find(path=str(local)) or find()
    if found is None and shutil.which("go") is None:
        pytest.skip("statsd_exporter is not on this machine, and there is no Go to build it with.")
    program = found_or_skip(
        "statsd_exporter",
        lambda: found,
        "Run GOBIN=$PWD/.servers/bin go install github.com/prometheus/statsd_exporter@v0.30.0",
    )
    folder_of_socket = stack.enter_context(TemporaryDirectory(prefix="hv", dir="/tmp"))
    server = StatsDExporter(
        free_port(socket.SOCK_DGRAM), free_port(), Path(folder_of_socket) / "s", free_port()
    )
    work = tmp_path_factory.mktemp("statsd_exporter")
    mapping = work / "mapping.yml"
    mapping.write_text("defaults: {observer_type: histogram, histogram_options: {buckets: [1, 5]}}")
    command = [
        program,
        f"--statsd.listen-udp=127.0.0.1:{server.port}",
        f"--statsd.listen-tcp=127.0.0.1:{server.tcp_port}",
        f"--statsd.listen-unixgram={server.socket}",
        f"--statsd.mapping-config={mapping}",
        f"--web.listen-address=127.0.0.1:{server.web_port}",
    ]
    with daemon(command, work / "statsd_exporter.log", server.is_ready):
        yield server


@frozen
class Collectd:
    """collectd with its statsd plugin, which refuses all that etsy's StatsD did not know."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "collectd.log").read_text(errors="replace")

    def is_ready(self) -> bool:
        return "entering read-loop" in self.log

    def values(self, name: str) -> dict[str, float]:
        """Give the last value of each metric whose name contains *name*."""
        found = {}
        for file in self.folder.glob(f"csv/*/statsd/*{name}*"):
            *_, line = file.read_text().splitlines()
            metric = file.name.rpartition("-")[0].rpartition("-")[0].rpartition("-")[0]
            found[metric] = float(line.rpartition(",")[2])
        return found


@pytest.fixture(scope="session")
def collectd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collectd]:
    """collectd on a free port, shared by the tests: each uses names of its own."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    program = found_or_skip(
        "collectd",
        lambda: shutil.which("collectd", path=path),
        "Install it (Debian: apt-get install --no-install-recommends collectd-core).",
    )
    server = Collectd(free_port(socket.SOCK_DGRAM), tmp_path_factory.mktemp("collectd"))
    config = server.folder / "collectd.conf"
    config.write_text(
        f"""
Hostname "tests"
FQDNLookup false
Interval 1
BaseDir "{server.folder}"
PIDFile "{server.folder}/pid"
LoadPlugin logfile
<Plugin logfile>
  File STDOUT
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "{server.folder}/csv"
</Plugin>
LoadPlugin statsd
<Plugin statsd>
  Host "127.0.0.1"
  Port "{server.port}"
  CounterSum true
  TimerSum true
</Plugin>
"""
    )
    with daemon([program, "-f", "-C", config], server.folder / "collectd.log", server.is_ready):
        yield server
