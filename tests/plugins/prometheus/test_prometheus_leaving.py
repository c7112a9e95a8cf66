"""Jobs that end: what they leave behind for a scraper to find."""

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import (
    Config,
    EventType,
    MetricFamily,
    MetricKind,
    Observability,
    hookimpl,
)
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin, push, write_textfile
from tests.http_servers import Handler, serving
from tests.plugins.prometheus.served import Served

ONE = MetricFamily(name="one", kind=MetricKind.GAUGE, help="One", series={(): 1})
BREACHES = 'agent_hypervisor_ring_breaches_total{agent_did="a",session_id="s"}'


class _Gateway(Handler):
    """Keeps what it is asked, and answers with the status that its server names."""

    server: Any

    def do_PUT(self) -> None:
        self.server.asked.append((self.path, self.body().decode()))
        self.send_response(self.server.status, self.server.reason)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT  # noqa: N815 - a redirect that was followed would ask so


@pytest.fixture
def gateway() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    server.asked, server.status, server.reason = [], 200, None
    server.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield server


def run_job(config: PrometheusConfig, events: int = 3) -> None:
    plugin = PrometheusPlugin(config)
    with Observability(Config(service="nightly"), plugins=[plugin]) as observability:
        for _ in range(events):
            observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="a", session_id="s")


@pytest.mark.parametrize("events", [0, 3, 20_000])
def test_textfile_has_everything_that_the_job_emitted(tmp_path: Path, events: int) -> None:
    file = tmp_path / "job.prom"

    run_job(PrometheusConfig(serve=False, textfile=file), events)

    text = file.read_text()
    assert list(text_string_to_metric_families(text))
    assert (f"{BREACHES} {float(events)}" in text) == bool(events)
    assert [path.name for path in tmp_path.iterdir()] == ["job.prom"]
    assert file.stat().st_mode & 0o777 == 0o644


class _Reader:
    """A backend that takes everything, or whose far end is never there."""

    name = "reader"

    def __init__(self, *, works: bool) -> None:
        self.works = works

    @hookimpl
    def start(self, context: object) -> None:
        if not self.works:
            raise ConnectionError("nobody is there")

    @hookimpl
    def export_events(self, events: object) -> None:
        pass


class _Source:
    """Instruments nothing; waits for what is there, or for what nobody imports."""

    name = "source"

    def __init__(self, *targets: str, works: bool = True) -> None:
        self.targets, self.works = targets, works

    @hookimpl
    def instrument(self, context: object) -> None:
        if not self.works:
            raise ValueError("this framework is odd")

    @hookimpl
    def uninstrument(self) -> None:
        pass


@pytest.mark.parametrize(
    ("source", "source_up"),
    [(_Source("json"), "1.0"), (_Source("json", works=False), "0.0"), (_Source("antigravity"), "")],
    ids=["worked", "failed", "waited"],
)
@pytest.mark.parametrize(("works", "reader_up"), [(True, "1.0"), (False, "0.0")])
def test_textfile_reports_as_down_only_what_was_down_before_the_end(
    tmp_path: Path, *, works: bool, reader_up: str, source: _Source, source_up: str
) -> None:
    file = tmp_path / "job.prom"
    prometheus = PrometheusPlugin(PrometheusConfig(serve=False, textfile=file))
    with Observability(plugins=[prometheus, _Reader(works=works), source]) as observability:
        observability.bus.record(EventType.VFS_WRITE)

    up = re.findall(r'^\w+_(?:plugin|source)_up{\w+="(\w+)"} (.*)', file.read_text(), re.MULTILINE)
    wanted = {"prometheus": "1.0", "metrics": "1.0", "reader": reader_up, "source": source_up}
    assert dict(up) == {name: value for name, value in wanted.items() if value}


def test_textfile_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "job.prom"
    file.write_text("old")
    write_textfile(lambda: [ONE], file)

    assert file.read_text() == "# HELP one One\n# TYPE one gauge\none 1.0\n"

    def fail() -> list[MetricFamily]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_textfile(fail, file)
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="job"):
        write_textfile(lambda: [ONE], file)
    assert [path.name for path in tmp_path.iterdir()] == ["job.prom"]


def test_metrics_are_pushed_at_the_end(gateway: Any) -> None:
    run_job(
        PrometheusConfig(
            serve=False, pushgateway=gateway.url, push_grouping={"instance": "a/b", "shard": "1"}
        )
    )

    ((path, body),) = gateway.asked
    assert path == "/metrics/job/nightly/instance@base64/YS9i/shard/1"
    assert f"{BREACHES} 3.0" in body


def test_job_may_have_another_name(gateway: Any) -> None:
    run_job(PrometheusConfig(serve=False, pushgateway=gateway.url + "/prefix/", push_job="j"))

    assert gateway.asked[0][0] == "/prefix/metrics/job/j"


@pytest.mark.parametrize("status", [302, 400, 500])
def test_gateway_that_refuses_is_told_and_nothing_else_suffers(
    gateway: Any, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.status = status
    file = tmp_path / "job.prom"

    run_job(PrometheusConfig(serve=False, pushgateway=gateway.url, textfile=file))

    assert f"metrics were not pushed to {gateway.url}: HTTP Error {status}" in caplog.text
    assert len(gateway.asked) == 1
    assert file.exists()
    with pytest.raises(OSError, match=str(status)):
        push(lambda: [ONE], gateway.url, job="j")


def test_answer_of_a_gateway_commands_nobody_who_reads_the_log(
    gateway: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.status, gateway.reason = 500, "no\x1b]0;owned\x07"

    run_job(PrometheusConfig(serve=False, pushgateway=gateway.url))

    (message,) = [one for one in caplog.messages if "not pushed" in one]
    assert "owned" in message
    assert message.isprintable()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_textfile_takes_the_place_of_a_file_only(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "job.prom"
    if kind == "link":
        (tmp_path / "other").write_text("precious")
        file.symlink_to("other")
    else:
        os.mkfifo(file)
    run_job(PrometheusConfig(serve=False, textfile=file))

    assert "is not replaced by a file" in caplog.text
    assert not file.is_file() or file.is_symlink()
    assert kind != "link" or file.read_text() == "precious"


def test_proxies_of_the_environment_are_not_used(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    push(lambda: [ONE], gateway.url, job="j")

    assert len(gateway.asked) == 1


def test_file_that_cannot_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_job(PrometheusConfig(serve=False, textfile=tmp_path / "missing" / "job.prom"))

    assert "metrics were not written" in caplog.text


def test_plugin_that_serves_leaves_its_metrics_too(
    make_served: Callable[..., Served], tmp_path: Path
) -> None:
    served = make_served(textfile=tmp_path / "x.prom")
    served.metrics.families = [ONE]
    served.start()
    assert served.ask().status == 200
    served.plugin.stop()

    assert "one 1.0" in (tmp_path / "x.prom").read_text()


def test_plugin_that_was_not_started_leaves_nothing(
    make_served: Callable[..., Served], tmp_path: Path
) -> None:
    make_served(textfile=tmp_path / "x.prom").plugin.stop()

    assert list(tmp_path.iterdir()) == []


def test_check_tells_what_is_left(make_served: Callable[..., Served], tmp_path: Path) -> None:
    nothing = make_served(serve=False)
    file = make_served(serve=False, textfile=tmp_path / "x.prom", pushgateway="http://g:9091")

    assert nothing.check() == "nothing is served or left"
    assert file.check() == f"at the end: {tmp_path / 'x.prom'}, http://g:9091"


def test_check_tells_that_a_textfile_cannot_be_replaced(
    make_served: Callable[..., Served], tmp_path: Path
) -> None:
    (tmp_path / "x.prom").symlink_to("elsewhere")
    served = make_served(serve=False, textfile=tmp_path / "x.prom")

    with pytest.raises(OSError, match=r"prometheus\.textfile: .*x\.prom is a symbolic link"):
        served.check()


def test_job_that_just_ends_leaves_its_metrics(tmp_path: Path) -> None:
    (tmp_path / "hypervisor.toml").write_text(
        '[plugins.prometheus]\nserve = false\ntextfile = "job.prom"\n'
    )
    program = (
        "from hypervisor_observability import EventType, Observability\n"
        "running = Observability.from_config('hypervisor.toml').start()\n"
        "for _ in range(5_000):\n"
        "    running.bus.record(EventType.RING_BREACH_DETECTED, agent_did='a', session_id='s')\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)

    assert f"{BREACHES} 5000.0" in (tmp_path / "job.prom").read_text()


@pytest.mark.parametrize("said", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H", b""])
def test_gateway_that_drips_or_is_silent_is_given_up_in_time(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                for _ in range(400):
                    connection.sendall(said)
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(TimeoutError):
            push(lambda: [ONE], url, job="j", timeout=0.5)

    assert time.monotonic() - began < 15


@pytest.mark.usefixtures("silent_name_server")
def test_name_server_that_is_silent_is_given_up_in_time() -> None:
    with pytest.raises(TimeoutError, match=r"to where gateway\.example is"):
        push(lambda: [ONE], "http://gateway.example:9091", job="j", timeout=0.3)
