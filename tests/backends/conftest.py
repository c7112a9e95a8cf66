"""Real servers on loopback, each started for the tests that need it and stopped after them."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.backends.servers import (
    REPOSITORY,
    Collectd,
    PrometheusServer,
    StatsDExporter,
    StatsDServer,
    daemon,
)
from tests.ports import free_port
from tests.programs import found_or_skip


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
