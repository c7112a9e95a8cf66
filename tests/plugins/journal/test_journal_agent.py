"""``hvobs agent``: one process delivers what many have journalled."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hypervisor_observability import (
    Config,
    ConfigError,
    EventType,
    Observability,
    hookimpl,
)
from hypervisor_observability.cli.main import hvobs
from hypervisor_observability.config import DeliveryConfig, StateConfig
from hypervisor_observability.errors import StoreInUseError
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.metrics.families import MetricFamily, MetricKind
from tests.commands import HVOBS
from tests.plugins.journal.recording import Recording

FAST = DeliveryConfig(interval_seconds=0.01)


def make_agent(directory: Path, *instances: object, **options: Any) -> Agent:
    return Agent(
        Config(
            delivery=FAST,
            plugins={"journal": {"directory": directory}, **options.pop("plugins", {})},
            **options,
        ),
        plugins=instances,
    )


def application(directory: Path) -> Observability:
    journal = {"directory": directory, "segment_bytes": 65_536}
    return Observability(Config(plugins={"journal": journal})).start()


def breaches(agent: Agent) -> dict[tuple[str, ...], float]:
    name = "agent_hypervisor_ring_breaches_by_agent_total"
    return {
        labels: value
        for family in agent.collect_metrics()
        if family.name == name
        for labels, value in family.series.items()
        if value
    }


def rings(agent: Agent) -> dict[tuple[str, ...], float]:
    name = "agent_hypervisor_ring_current"
    found = [family for family in agent.collect_metrics() if family.name == name]
    return dict(found[0].series) if found else {}


def breach(application: Observability, agent: str, count: int = 1) -> None:
    application.bus.record(EventType.RING_ASSIGNED, agent_did=agent, payload={"ring": 1})
    for _ in range(count):
        application.bus.record(EventType.RING_BREACH_DETECTED, agent_did=agent, session_id="s")


def test_agent_delivers_what_dead_and_living_processes_have_journalled(tmp_path: Path) -> None:
    dead = application(tmp_path)
    breach(dead, "a", 3)
    dead.stop()
    living = application(tmp_path)
    breach(living, "b", 2)
    recording = Recording()
    with make_agent(tmp_path, recording) as agent:
        assert agent.flush(30)
        assert len(recording.events) == 7
        breach(living, "c")
        late = application(tmp_path)
        breach(late, "d")
        assert agent.flush(30)
        counts = agent.counts()["recording"]
        assert (counts.emitted, counts.delivered) == (11, 11)
        assert agent.states() == {"recording": "running"}
        assert agent.plugin("recording") is recording
        assert breaches(agent) == {("a",): 3, ("b",): 2, ("c",): 1, ("d",): 1}
    living.stop()
    late.stop()
    assert agent.stop()  # once more does no harm


def test_gauges_of_a_run_go_with_it_and_totals_stay(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    one, other = application(tmp_path), application(tmp_path)
    breach(one, "a", 2)
    breach(other, "b")
    with make_agent(tmp_path) as agent:
        assert agent.flush(30)
        assert rings(agent) == {("a",): 1, ("b",): 1}
        one.stop()
        wait_until(lambda: rings(agent) == {("b",): 1})
        assert breaches(agent) == {("a",): 2, ("b",): 1}
    other.stop()


def test_totals_go_on_when_the_agent_is_started_again(tmp_path: Path) -> None:
    for number in range(3):
        one = application(tmp_path)
        breach(one, "a", 2)
        one.stop()
        with make_agent(tmp_path) as agent:
            # Before any worker had the time: nobody may see a total fall back.
            assert breaches(agent) == {("a",): 2 * (number + 1)}
            assert rings(agent) == {}


def test_totals_that_cannot_be_restored_begin_at_zero(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = application(tmp_path)
    breach(one, "a", 2)
    one.stop()
    with make_agent(tmp_path):
        pass
    (cursor,) = (tmp_path / "agent").glob("*.json")
    text = cursor.read_text()
    start = text.index('"state"')
    cursor.write_text(text[:start] + '"state": {"version": 99}}')
    with make_agent(tmp_path) as agent:
        assert breaches(agent) == {}
    assert "totals begin at zero" in caplog.text


def test_span_open_over_two_processes_and_a_restart_of_the_agent(tmp_path: Path) -> None:
    one = application(tmp_path)
    one.bus.record(EventType.SAGA_CREATED, payload={"saga_id": "x"})
    one.stop()
    with make_agent(tmp_path, Recording()) as agent:
        assert agent.flush(30)
    two = application(tmp_path)
    two.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "x"})
    two.stop()
    recording = Recording()
    with make_agent(tmp_path, recording) as agent:
        assert agent.flush(30)

    (span,) = recording.spans
    assert span.duration_seconds > 0
    assert "agent.hypervisor.expired" not in span.attributes


def test_one_agent_a_directory(tmp_path: Path) -> None:
    with make_agent(tmp_path):
        with pytest.raises(StoreInUseError, match="another agent reads"):
            make_agent(tmp_path).start()
    with make_agent(tmp_path):
        pass


def test_status_tells_of_the_runs(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    one = application(tmp_path / "j")
    breach(one, "a")
    state = StateConfig(directory=tmp_path / "state")
    with make_agent(tmp_path / "j", Recording(), state=state) as agent:
        assert agent.flush(30)
        wait_until(lambda: list((tmp_path / "state" / "status").glob("*.json")))
        status = agent.status()
    one.stop()

    assert status["store"] == {
        "name": "journal",
        "state": "running",
        "directory": str(tmp_path / "j"),
        "unfinished_runs": 1,
        "errors": 0,
    }
    assert status["plugins"]["recording"]["delivered"] == 2
    result = CliRunner().invoke(hvobs, ["status", "--directory", str(tmp_path / "state")])
    assert result.exit_code == 0, result.output


def test_metrics_that_are_pushed_cover_what_the_plugin_was_told(tmp_path: Path) -> None:
    class Pushed:
        name = "pushed"
        replays = True

        def __init__(self) -> None:
            self.breaches = 0.0

        @hookimpl
        def export_metrics(self, metrics: Sequence[Any]) -> None:
            for family in metrics:
                if family.name == "agent_hypervisor_ring_breaches_by_agent_total":
                    self.breaches = sum(family.series.values())

    one = application(tmp_path)
    breach(one, "a", 5)
    pushed = Pushed()
    with make_agent(tmp_path, pushed) as agent:
        assert agent.flush(30)
        assert pushed.breaches == 5
        assert agent.counts()["pushed"].delivered == 6
    one.stop()


@pytest.mark.fault("S7")
def test_statsd_is_told_of_the_present_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        one = application(tmp_path)
        breach(one, "a", 5)
        table = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        for expected in (2, 3):
            with make_agent(tmp_path, plugins={"statsd": table}) as agent:
                breach(one, "a", expected)
                assert agent.flush(30)
            lines = ""
            start = "agent_hypervisor_ring_breaches_by_agent_total:"
            while start not in lines:
                lines += server.recv(65_536).decode() + "\n"
            (line,) = [line for line in lines.split("\n") if line.startswith(start)]
            assert line.startswith(f"{start}{expected}|c")
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.recv(65_536)
            server.settimeout(30)
        one.stop()


def test_mistakes_in_plugins_tables_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such plugin"):
        Agent(Config(plugins={"journal": {"directory": tmp_path}, "nonesuch": {}}))


# The command


def write_config(folder: Path) -> Path:
    file = folder / "hypervisor.toml"
    file.write_text('[plugins.journal]\ndirectory = "journal"\n\n[plugins.prometheus]\nport = 0\n')
    return file


def test_command_delivers_what_there_is_and_ends(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    one = application(tmp_path / "journal")
    breach(one, "a", 3)
    one.stop()
    done = subprocess.run(
        [*HVOBS, "agent", "--config", str(file),
         "--once"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "delivered 4 of 4" in done.stdout
    assert "delivering to prometheus" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_ends_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    file = write_config(tmp_path)
    process = subprocess.Popen(
        [*HVOBS, "agent", "--config", str(file),
         "--journal", str(tmp_path / "other")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "reading" in process.stderr.readline()
    time.sleep(0.2)
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "prometheus: delivered 0 of 0" in output


def write_unreachable_config(folder: Path) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    file = folder / "hypervisor.toml"
    file.write_text(
        f'[plugins.journal]\ndirectory = "journal"\n[plugins.otel]\nendpoint = "http://127.0.0.1:{port}"\n'
    )
    return file


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_that_waits_for_a_backend_ends_when_it_is_told_to(
    tmp_path: Path, number: signal.Signals
) -> None:
    one = application(tmp_path / "journal")
    with one.recorder.session("s"):
        pass
    one.stop()
    process = subprocess.Popen(
        [*HVOBS, "agent", "--config", str(write_unreachable_config(tmp_path)),
         "--once", "--timeout", "3600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "reading" in process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 1, errors
    assert "otel: delivered" in output
    assert "metrics: delivered 2 of 2" in output


STARTS_SLOWLY = """
import sys, threading
from hypervisor_observability import hookimpl
from hypervisor_observability.cli import agent, main
from hypervisor_observability.host.agent import Agent
def start(self):
    print("starting", flush=True)
    threading.Event().wait(600)
Agent.start = start
main.main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_that_still_starts_ends_when_it_is_told_to(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS_SLOWLY, "agent", "--config", str(write_config(tmp_path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"starting\n"
    process.send_signal(number)
    process.communicate(timeout=60)

    assert process.returncode == 130


def test_command_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text("[bus]\n")
    result = CliRunner().invoke(hvobs, ["agent", "--config", str(file)])
    assert result.exit_code == 2
    assert "no store is on: name one, such as [plugins.journal]" in result.output


def test_command_says_that_another_agent_runs(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    with make_agent(tmp_path / "journal"):
        result = CliRunner().invoke(hvobs, ["agent", "--config", str(file), "--once"])
    assert result.exit_code == 1
    assert "another agent reads" in result.output


def test_key_file_is_made_by_a_command_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(hvobs, ["journal", "key", str(tmp_path / "key")])
    assert result.exit_code == 0
    assert len(bytes.fromhex(result.stdout.strip())) == 32
    again = CliRunner().invoke(hvobs, ["journal", "key", str(tmp_path / "key")])
    assert again.exit_code == 1
    assert "is there already" in again.output


class Pushed:
    """Has metrics pushed, and keeps what it was told."""

    name = "pushed"

    def __init__(self) -> None:
        self.told: dict[str, tuple[float, int | None]] = {}

    @hookimpl
    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        for family in metrics:
            if family.kind is MetricKind.COUNTER:
                self.told[family.name] = (sum(family.series.values()), family.since_ns)


def test_totals_of_an_agent_count_since_the_same_time_after_a_restart(tmp_path: Path) -> None:
    writing = application(tmp_path)
    told = []
    for _ in range(3):
        breach(writing, "a", 2)
        with make_agent(tmp_path, plugin := Pushed()) as agent:
            assert agent.flush(30)
        told.append(plugin.told)
    writing.stop()

    name = "agent_hypervisor_ring_breaches_by_agent_total"
    assert [one[name][0] for one in told] == [2, 4, 6]
    assert len({one[name][1] for one in told}) == 1
    # What the agent counts of itself begins with each process.
    own = "agent_hypervisor_observability_events_delivered_total"
    assert len({one[own][1] for one in told}) == 3


def test_damaged_cursor_is_told_and_costs_an_exit_code(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    one = application(tmp_path / "journal")
    breach(one, "a", 3)
    one.stop()
    cursor = tmp_path / "journal" / "agent" / "metrics.json"
    cursor.parent.mkdir()
    cursor.write_text('{"version": 1, "sequences": {"x')
    done, again = (
        subprocess.run(
            [*HVOBS, "agent", "--config", str(file), "--once"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for _ in range(2)
    )

    assert done.returncode == 1
    assert "delivered 4 of 4" in done.stdout  # rather twice than never
    assert f"{cursor}, byte 29" in done.stderr
    assert "is delivered again; the file is kept as metrics.damaged.json" in done.stderr
    assert again.returncode == 0, again.stderr


def test_agent_waits_for_a_cursor_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = application(tmp_path)
    breach(one, "a", 3)
    one.stop()
    with make_agent(tmp_path, Recording()) as agent:
        assert agent.flush(30)
    opened, failures = os.open, 3

    def busy(path: Any, *arguments: Any, **options: Any) -> int:
        nonlocal failures
        if str(path).endswith("recording.json") and failures:
            failures -= 1
            raise OSError(24, "Too many open files", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", busy)
    monkeypatch.setattr("hypervisor_observability.host.agent._QUIET_SECONDS", 0.0)
    recording = Recording()
    with make_agent(tmp_path, recording) as agent:
        assert agent.flush(30)
        assert agent.counts()["recording"].emitted == 0
    assert recording.events == []
    assert failures == 0
    assert "the agent waits: " in caplog.text


def test_directory_that_cannot_be_listed_turns_no_plugin_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    one = application(tmp_path)
    breach(one, "a", 3)
    recording = Recording()
    with make_agent(tmp_path, recording) as agent:
        assert agent.flush(30)
        scandir, failed = os.scandir, 0

        def busy(path: Any = ".") -> Any:
            nonlocal failed
            failed += 1
            raise OSError(24, "Too many open files", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", busy)
            breach(one, "b", 2)
            wait_until(lambda: failed >= 4)
            assert not agent.flush(0.1)
        assert scandir is os.scandir
        assert agent.flush(30)
        assert agent.states() == {"recording": "running"}
        counts = agent.counts()["recording"]
        assert (counts.emitted, counts.delivered, counts.dropped) == (7, 7, {})
        assert breaches(agent) == {("a",): 3, ("b",): 2}
    one.stop()


def test_start_waits_for_a_directory_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = application(tmp_path)
    breach(one, "a", 3)
    one.stop()
    scandir, failures = os.scandir, 3

    def busy(path: Any = ".") -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(24, "Too many open files", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", busy)
    with make_agent(tmp_path, Recording()) as agent:
        assert agent.flush(30)
        assert breaches(agent) == {("a",): 3}
    assert failures == 0
