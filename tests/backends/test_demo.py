"""``hvobs demo`` with all four plugins: it passes when all arrives, and finds what does not."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import hypervisor_otel.plugin
from hypervisor_observability.cli.demo import command as demo_command
from hypervisor_observability.cli.demo import run as demo_run
from hypervisor_observability.cli.demo.backends import (
    Backend,
    ScrapeBackend,
    SpanBackend,
    StatsDBackend,
    embedded_backends,
)
from hypervisor_observability.cli.demo.comparison import ReceivedSpan
from hypervisor_otel import Request
from hypervisor_otel.encoding import Group, request_of_spans
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_statsd.receiver import StatsDReceiver
from tests.commands import run_hvobs
from tests.distributions import plugins_of, write_distribution
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
CLASSES = {
    "prometheus": "hypervisor_prometheus:PrometheusPlugin",
    "otel": "hypervisor_otel:OTelPlugin",
    "statsd": "hypervisor_statsd:StatsDPlugin",
    "jaeger": "hypervisor_jaeger:JaegerPlugin",
}

Run = Callable[..., Result]
Embed = Callable[..., None]


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugins' metadata, for environments that have only their sources on the path."""
    folder = tmp_path_factory.mktemp("metadata")
    for name, value in CLASSES.items():
        plugins = plugins_of(**{name: value})
        write_distribution(folder, f"hypervisor-{name}", plugins, version="0.1.0")
    return folder


@pytest.fixture
def run(metadata: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``hvobs demo`` with all four plugins installed, in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(str(metadata))
    monkeypatch.setattr(demo_run, "FLUSH_SECONDS", 10)  # for a machine that is busy
    return lambda *options: run_hvobs("demo", *options)


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch) -> Embed:
    """Put other backends in the place of those inside the command."""
    monkeypatch.setattr("hypervisor_observability.cli.demo.backends.ARRIVAL_SECONDS", 0.2)

    def put(**backends: Backend) -> None:
        monkeypatch.setattr(demo_command, "embedded_backends", lambda _: backends)

    return put


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], str]:
    """Write a configuration and give its name."""

    def write(text: str) -> str:
        file = tmp_path / "hypervisor.toml"
        file.write_text(text)
        return str(file)

    return write


def delivered(result: Result) -> list[str]:
    """Give the lines that say what each backend got."""
    return [line for line in result.stdout.splitlines() if ": delivered " in line]


# All is well


def test_everything_arrives_at_all_four(run: Run, temporary: Path) -> None:
    result = run()

    assert result.exit_code == 0, result.output
    lines = delivered(result)
    for line, unit in zip(lines, ("events", "spans", "events", "spans"), strict=True):
        words = line.split()
        assert words[1] == "delivered"
        assert words[2] == words[4]
        assert words[5:8] == [f"{unit},", "dropped", "0"]
        assert "inside this command" in line
    assert list(temporary.iterdir()) == []


def test_summary_has_the_counts_of_each_plugin(run: Run) -> None:
    summary = json.loads(run("--json").stdout)

    assert summary["ok"]
    assert [plugin["name"] for plugin in summary["plugins"]] == list(CLASSES)
    for plugin in summary["plugins"]:
        counts = plugin["counts"]
        assert counts["delivered"] == counts["emitted"] == summary["events"]
        expected = summary["spans" if plugin["name"] in {"otel", "jaeger"} else "events"]
        assert plugin["received"]["received"] == expected


def test_upload_file_for_jaeger_is_kept_on_request(run: Run, temporary: Path) -> None:
    summary = json.loads(run("--keep", "--json").stdout)

    (upload,) = temporary.glob("*/jaeger-upload.json")
    session, work = sorted(
        (trace["spans"] for trace in json.loads(upload.read_text())["data"]), key=len
    )
    assert len(session) == 1
    assert len(work) == summary["spans"] - 1


def test_switched_off_by_the_environment_the_work_is_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")

    result = run()

    assert result.exit_code == 0, result.output
    assert "otel: off: HYPERVISOR_OBSERVABILITY_DISABLED is set" in result.stdout


# Lies are found


class LossyStatsD(StatsDReceiver):
    """Loses the datagrams that count something: which one that is depends on the pushes."""

    def keep(self, datagram: bytes) -> None:
        super().keep(b"" if b"|c" in datagram else datagram)


class LossyOTLP(OTLPReceiver):
    """Loses the first span."""

    @property
    def spans(self) -> list[Any]:
        return super().spans[1:]


class LossyScrape(ScrapeBackend):
    """Misreads one count."""

    def scrape(self, url: str) -> Counter[str]:
        return super().scrape(url) - Counter(["saga.created"])


class DeafScrape(ScrapeBackend):
    """Asks at a port where nobody answers."""

    def scrape(self, url: str) -> Counter[str]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return super().scrape(f"http://127.0.0.1:{taken.getsockname()[1]}/metrics")


def test_datagram_that_is_lost_is_exit_code_1(run: Run, embed: Embed) -> None:
    embed(statsd=StatsDBackend(LossyStatsD()))

    result = run()

    assert result.exit_code == 1
    assert "Error: statsd: " in result.stderr
    assert "received" in result.stderr


@pytest.mark.parametrize("name", ["otel", "jaeger"])
def test_span_that_is_lost_is_exit_code_1(name: str, run: Run, embed: Embed) -> None:
    embed(**{name: SpanBackend(LossyOTLP())})

    result = run()

    assert result.exit_code == 1
    (problem,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert problem.startswith(f"Error: {name}: span execute_tool compile (")
    assert problem.endswith(" did not arrive")
    words = delivered(result)[-1].split()
    assert int(words[2]) == int(words[4]) - 1


def test_plugin_that_drops_a_span_is_exit_code_1(
    run: Run, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(groups: Iterable[Group], profiles: Collection[str]) -> Request:
        kept = [
            ([span for span in spans if span.scope != "compensation"], resource)
            for spans, resource in groups
        ]
        return request_of_spans(kept, profiles)

    monkeypatch.setattr(hypervisor_otel.plugin, "request_of_spans", forgetful)
    embed(otel=SpanBackend())

    result = run()

    assert result.exit_code == 1
    assert "Error: otel: span saga.compensate.undo-build" in result.stderr
    assert "Error: otel: span saga.compensate.undo-compile" in result.stderr


def test_metrics_that_show_less_are_exit_code_1(run: Run, embed: Embed) -> None:
    embed(prometheus=LossyScrape())

    result = run()

    assert result.exit_code == 1
    assert "Error: prometheus: saga.created: emitted 3, received 2" in result.stderr


def test_scrape_without_an_answer_is_exit_code_1(run: Run, embed: Embed) -> None:
    embed(prometheus=DeafScrape())

    result = run()

    assert result.exit_code == 1
    assert "Error: prometheus: the backend cannot be asked: " in result.stderr


def test_receiver_that_cannot_start_is_told_and_left_out(run: Run, embed: Embed) -> None:
    class Missing(SpanBackend):
        def start(self) -> None:
            raise ImportError("no module of this name")

    embed(otel=Missing(), statsd=StatsDBackend())

    result = run()

    assert result.exit_code == 1
    assert "Error: otel: its receiver cannot start: no module of this name" in result.stderr
    assert "statsd: delivered" in result.stdout


def test_broken_counts_of_the_metrics_reader_are_exit_code_1(
    run: Run, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not today")

    monkeypatch.setattr("hypervisor_observability.metrics.registry.MetricsRegistry.observe", refuse)
    embed(otel=SpanBackend())

    result = run()

    assert result.exit_code == 1
    assert "Error: metrics: " in result.stderr


# The user's own backends


@pytest.fixture
def own_statsd() -> Iterator[StatsDReceiver]:
    receiver = StatsDReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


def test_own_backends_get_the_same_work(
    run: Run, configured: Callable[[str], str], own_statsd: StatsDReceiver
) -> None:
    with OTLPReceiver() as otlp:
        result = run(
            "--json",
            "--config",
            configured(
                f'[plugins.otel]\nendpoint = "{otlp.endpoint}"\n'
                f"[plugins.statsd]\nport = {own_statsd.port}\n"
            ),
        )

    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert [plugin["received"] for plugin in summary["plugins"]] == [None, None]
    assert len(otlp.spans) == summary["spans"]


def test_lines_say_that_own_backends_were_not_asked(
    run: Run, configured: Callable[[str], str], own_statsd: StatsDReceiver
) -> None:
    result = run("--config", configured(f"[plugins.statsd]\nport = {own_statsd.port}\n"))

    (line,) = delivered(result)
    assert line.startswith("statsd: delivered ")
    assert line.endswith("dropped 0 (as counted here; the backend itself was not asked)")


def test_port_in_use_is_told_and_the_others_run(
    run: Run, configured: Callable[[str], str], own_statsd: StatsDReceiver
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(
            "--config",
            configured(
                f"[plugins.prometheus]\nport = {port}\n[plugins.statsd]\nport = {own_statsd.port}\n"
            ),
        )

    assert result.exit_code == 1
    assert f"prometheus: down: OSError: 127.0.0.1:{port} is in use" in result.stdout
    assert f"Error: prometheus: down: OSError: 127.0.0.1:{port} is in use" in result.stderr
    words = delivered(result)[-1].split()
    assert words[0] == "statsd:"
    assert words[2] == words[4]


def test_backend_that_does_not_answer_is_exit_code_1(
    run: Run,
    configured: Callable[[str], str],
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_run, "FLUSH_SECONDS", 0.2)
    endpoint = f"http://127.0.0.1:{free_port}"

    result = run("--config", configured(f'[plugins.otel]\nendpoint = "{endpoint}"\n'))

    assert result.exit_code == 1
    assert "events still wait: the backend has not taken them" in result.stderr


# Interruption


def has_members(group: int) -> bool:
    """Whether a process of *group* runs, or has ended and is still to be taken note of."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_interrupted_it_leaves_nothing_behind(metadata: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop());"
        "from hypervisor_observability.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "demo", str(metadata)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        process.stderr.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise

    assert process.returncode == 130
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not has_members(process.pid))


def test_receiver_of_the_otel_plugin_fits() -> None:
    backend = SpanBackend()
    backend.start()
    try:
        spans: Sequence[ReceivedSpan] = backend.receiver.spans
        assert backend.table()["endpoint"].startswith("http://127.0.0.1:")
        assert list(spans) == []
    finally:
        backend.stop()
    assert list(embedded_backends()) == list(CLASSES)
