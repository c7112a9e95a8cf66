"""Observability as a whole: start, deliver, isolate, stop."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import define, field

from hypervisor_observability import (
    Config,
    ConfigError,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    MetricFamily,
    Observability,
    PluginContext,
    hookimpl,
)


@define(eq=False)
class Recording:
    """Takes everything."""

    name: str = "recording"
    events: list[HypervisorEvent] = field(factory=list)
    spans: list[FinishedSpan] = field(factory=list)
    calls: list[str] = field(factory=list)
    context: PluginContext | None = None

    @hookimpl
    def start(self, context: PluginContext) -> None:
        self.calls.append("start")
        self.context = context

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.events += events

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans += spans

    @hookimpl
    def flush(self) -> None:
        self.calls.append("flush")

    @hookimpl
    def stop(self) -> None:
        self.calls.append("stop")


@define(eq=False)
class Exposing:
    name: str = "exposing"
    context: PluginContext | None = None
    stopped: bool = False

    @hookimpl
    def start(self, context: PluginContext) -> None:
        self.context = context

    @hookimpl
    def stop(self) -> None:
        self.stopped = True


@define(eq=False)
class Pushing:
    name: str = "pushing"
    metrics: Sequence[MetricFamily] = ()

    @hookimpl
    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        self.metrics = metrics


@define(eq=False)
class Failing:
    name: str = "failing"

    @hookimpl
    def start(self) -> None:
        raise OSError("port 9464 is taken")

    @hookimpl
    def stop(self) -> None:
        raise RuntimeError("and it cannot stop either")


@define(eq=False)
class Stuck:
    name: str = "stuck"
    release: threading.Event = field(factory=threading.Event)

    @hookimpl
    def export_events(self) -> None:
        self.release.wait(30)


@define(eq=False)
class StuckAtStop:
    name: str = "stuck-at-stop"
    release: threading.Event = field(factory=threading.Event)

    @hookimpl
    def stop(self) -> None:
        self.release.wait(30)


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hvobs-")]


def test_events_reach_every_plugin_and_the_counts_add_up() -> None:
    recording, exposing, pushing = Recording(), Exposing(), Pushing()
    with Observability(plugins=[recording, exposing, pushing]) as observability:
        for _ in range(700):
            observability.bus.record(EventType.RING_ASSIGNED, agent_did="a", payload={"ring": 1})
        assert observability.flush(10)

        assert recording.events == observability.bus.all_events
        for counts in observability.counts().values():
            assert (counts.emitted, counts.delivered) == (700, 700)
        assert exposing.context is not None
        exposed = {family.name: family for family in exposing.context.metrics.collect()}
        pushed = {family.name: family for family in pushing.metrics}
        assert pushed == exposed
        current = exposed["agent_hypervisor_ring_current"]
        assert current.series == {("a",): 1}

    assert recording.calls == ["start", "flush", "stop"]
    assert exposing.stopped
    assert names_of_threads() == []


def test_nothing_starts_before_the_start_and_no_thread_before_the_first_event() -> None:
    recording = Recording()
    observability = Observability(plugins=[recording])
    assert (recording.calls, observability.states()) == ([], {"recording": "new"})

    with observability:
        assert recording.calls == ["start"]
        assert names_of_threads() == []
        observability.bus.record(EventType.VFS_WRITE)
        assert len(names_of_threads()) == 2
        assert observability.bus.log is not None

    assert observability.states() == {"recording": "stopped"}


def test_events_emitted_before_the_start_are_delivered() -> None:
    recording = Recording()
    observability = Observability(plugins=[recording])
    observability.bus.record(EventType.VFS_WRITE)

    with observability:
        assert observability.flush(10)

    assert len(recording.events) == 1


def test_leaving_the_block_delivers_what_waits() -> None:
    recording = Recording()
    with Observability(plugins=[recording]) as observability:
        observability.bus.record(EventType.VFS_WRITE)

    assert len(recording.events) == 1
    assert observability.counts()["recording"].delivered == 1


def test_plugin_that_cannot_start_is_down_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recording = Recording()
    with (
        caplog.at_level(logging.ERROR),
        Observability(plugins=[Failing(), recording]) as observability,
    ):
        observability.bus.record(EventType.VFS_WRITE)
        assert not observability.flush(10)

        assert observability.states() == {
            "failing": "down: port 9464 is taken",
            "recording": "running",
        }
        assert observability.counts()["failing"].dropped == {"down": 1}
        assert len(recording.events) == 1
    assert "plugin failing is down: port 9464 is taken" in caplog.text


def test_plugin_that_exits_at_its_start_is_down_and_ctrl_c_is_the_users() -> None:
    @define(eq=False)
    class Ending:
        error: BaseException
        name: str = "ending"

        @hookimpl
        def start(self) -> None:
            raise self.error

        @hookimpl
        def stop(self) -> None:
            raise SystemExit(4)

    with Observability(plugins=[Ending(SystemExit(3))]) as observability:
        assert observability.states() == {"ending": "down: 3"}
    with pytest.raises(KeyboardInterrupt):
        Observability(plugins=[Ending(KeyboardInterrupt())]).start()


def test_stuck_plugin_does_not_hold_up_another(caplog: pytest.LogCaptureFixture) -> None:
    stuck, recording = Stuck(), Recording()
    observability = Observability(Config(stop_timeout_seconds=0.2), plugins=[stuck, recording])
    with observability:
        observability.bus.record(EventType.VFS_WRITE)
        begun = time.monotonic()
        assert not observability.flush(0.3)
        assert time.monotonic() - begun < 5

        assert len(recording.events) == 1
        assert observability.counts()["stuck"].in_flight == 1

    assert "not stopped within 0.2 s: stuck" in caplog.text
    stuck.release.set()


def test_plugin_stuck_in_its_stop_does_not_hold_up_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = StuckAtStop()
    observability = Observability(Config(stop_timeout_seconds=0.1), plugins=[stuck]).start()

    assert not observability.stop()

    assert "stuck-at-stop" in caplog.text
    stuck.release.set()


def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    observability = Observability()
    assert observability.stop()
    with pytest.raises(RuntimeError, match="this Observability is stopped: make a new one"):
        observability.start()

    with Observability() as running:
        running.bus.record(EventType.VFS_WRITE)
    assert running.stop()
    running.bus.record(EventType.VFS_WRITE)
    assert not running.flush(1)


def test_plugins_of_the_same_name_are_told_apart() -> None:
    observability = Observability(plugins=[Recording(), Recording(), Recording()])

    assert list(observability.states()) == ["recording", "recording-2", "recording-3"]
    with pytest.raises(KeyError):
        observability.plugin("other")


def test_table_of_a_plugin_sets_how_events_wait_for_it(tmp_path: Path) -> None:
    path = tmp_path / "hypervisor.toml"
    path.write_text("[delivery]\nevents = ['ring.*']\n[bus]\nmax_events = 10\n")
    path.chmod(0o600)
    recording = Recording()
    from hypervisor_observability.config import load_config

    with Observability(load_config(path), plugins=[recording]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        observability.bus.record(EventType.RING_ASSIGNED)
        assert observability.flush(10)

        assert [event.event_type for event in recording.events] == ["ring.assigned"]
        assert observability.counts()["recording"].dropped == {"filtered": 1}


def test_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        Observability.from_config(tmp_path / "nowhere.toml")


def test_disabled_by_the_environment_only_the_bus_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERVISOR_OBSERVABILITY_DISABLED", "true")
    path = tmp_path / "hypervisor.toml"
    path.write_text("[plugins.not_even_installed]\n")
    path.chmod(0o600)

    with Observability.from_config(path) as observability:
        observability.bus.record(EventType.VFS_WRITE)

        assert observability.bus.event_count == 1
        assert observability.states() == {}
        assert names_of_threads() == []


def test_recorder_governance_and_propagator_share_the_bus() -> None:
    with Observability() as observability:
        observability.governance.record_decision(True, "did:a", "read", 0.1)
        observability.governance.register_active_agents_gauge(lambda: 3)
        with observability.recorder.session("s1"):
            pass
        names = {family.name for family in observability.collect_metrics()}

    assert observability.bus.type_counts()["governance.decision"] == 1
    assert len(observability.bus.query_by_session("s1")) >= 1
    assert "agent_governance_policy_decisions_total" in names
    assert "agent_governance_active_agents" in names
    assert observability.propagator is not None


def test_interpreter_that_ends_without_a_stop_still_delivers() -> None:
    program = (
        "from hypervisor_observability import *\n"
        "class P:\n"
        "    @hookimpl\n"
        "    def export_events(self, events):\n"
        "        print('got', len(events), flush=True)\n"
        "o = Observability(plugins=[P()]).start()\n"
        "[o.bus.record(EventType.VFS_WRITE) for _ in range(3)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "got 3\n"
    assert done.stderr == ""
