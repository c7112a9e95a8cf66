"""Observability as a whole: start, deliver, isolate, stop."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
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
from hypervisor_observability.config import BusConfig, DeliveryConfig, StateConfig
from hypervisor_observability.host.status import NoStatusError, read_status
from hypervisor_observability.host.status_files import write_status
from tests.configurations import write_config
from tests.programs import run_python
from tests.threads import run_in_threads
from tests.waiting import wait_until


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


def names_of_threads(beside: Iterable[threading.Thread] = ()) -> list[str]:
    """Give the names of our threads, but for those of earlier tests, which may be ending still."""
    threads = set(threading.enumerate()).difference(beside)
    return [thread.name for thread in threads if thread.name.startswith("hvobs-")]


def test_events_reach_every_plugin_and_the_counts_add_up() -> None:
    recording, exposing, pushing = Recording(), Exposing(), Pushing()
    earlier = threading.enumerate()
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
        assert pushed.keys() == exposed.keys()
        assert all(
            pushed[name] == exposed[name] for name in exposed if "_observability_" not in name
        )
        current = exposed["agent_hypervisor_ring_current"]
        assert current.series == {("a",): 1}

    assert recording.calls == ["start", "flush", "stop"]
    assert exposing.stopped
    wait_until(lambda: names_of_threads(earlier) == [])


def test_nothing_starts_before_the_start_and_no_thread_before_the_first_event() -> None:
    recording, earlier = Recording(), threading.enumerate()
    observability = Observability(plugins=[recording])
    assert (recording.calls, observability.states()) == ([], {"recording": "new"})

    with observability:
        assert recording.calls == ["start"]
        assert names_of_threads(earlier) == []
        observability.bus.record(EventType.VFS_WRITE)
        assert sorted(names_of_threads(earlier)) == [
            "hvobs-metrics",
            "hvobs-recording",
            "hvobs-supervisor",
        ]

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
            "failing": "down: OSError: port 9464 is taken",
            "recording": "running",
        }
        assert observability.counts()["failing"].dropped == {"down": 1}
        assert len(recording.events) == 1
    assert "plugin failing is down: OSError: port 9464 is taken" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("exports", [False, True])
def test_mistake_in_start_is_logged_with_its_line(
    exports: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mistaken:
        name = "mistaken"

        @hookimpl
        def start(self, context: PluginContext) -> None:
            context.nothing  # type: ignore[attr-defined] # noqa: B018 - the mistake

    class Exporting(Mistaken):
        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None: ...

    caplog.set_level(logging.DEBUG)
    with Observability(plugins=[Exporting() if exports else Mistaken()]):
        pass

    assert "plugin mistaken is down: AttributeError: 'PluginContext' object has no" in caplog.text
    assert caplog.text.count("context.nothing") == 1


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
        assert observability.states() == {"ending": "down: SystemExit: 3"}
    with pytest.raises(KeyboardInterrupt):
        Observability(plugins=[Ending(KeyboardInterrupt())]).start()


def test_stuck_plugin_does_not_hold_up_another(caplog: pytest.LogCaptureFixture) -> None:
    stuck, recording = Stuck(), Recording()
    observability = Observability(Config(stop_timeout_seconds=0.2), plugins=[stuck, recording])
    with observability:
        observability.bus.record(EventType.VFS_WRITE)
        begun = time.monotonic()
        assert not observability.flush(2)
        assert time.monotonic() - begun < 30

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
    path = write_config(
        "[delivery]\nevents = ['ring.*']\n[bus]\nmax_events = 10\n", tmp_path / "hypervisor.toml"
    )
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
    path = write_config("[plugins.not_even_installed]\n", tmp_path / "hypervisor.toml")
    earlier = threading.enumerate()

    with Observability.from_config(path) as observability:
        observability.bus.record(EventType.VFS_WRITE)

        assert observability.bus.event_count == 1
        assert observability.states() == {}
        assert names_of_threads(earlier) == []


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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = run_python(program, check=True, env=environment)

    assert done.stdout == "got 3\n"
    assert done.stderr == ""


# What plugins' own threads emit


@define(eq=False)
class Echoing:
    """Emits for each event that it gets: in its own thread, and in another one."""

    name: str = "echoing"
    observability: Observability | None = None
    got: int = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        assert self.observability is not None
        self.got += len(events)
        for event in events:
            self.observability.bus.record(EventType.VFS_DELETE, parent_event_id=event.event_id)


@pytest.mark.fault("C7")
def test_what_a_plugin_emits_in_answer_is_kept_apart_and_does_not_loop() -> None:
    echoing, recording = Echoing(), Recording()
    with Observability(plugins=[echoing, recording]) as observability:
        echoing.observability = observability
        for _ in range(1_500):
            observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(30)

        assert echoing.got == len(recording.events) == observability.bus.emitted == 1_500
        assert len(observability.internal_events) == 1_000
        families = {family.name: family for family in observability.collect_metrics()}
        internal = families["agent_hypervisor_observability_internal_events_total"]
        assert internal.series == {(): 1_500}


# What the delivery tells of itself


def test_metrics_tell_of_every_loss(tmp_path: Path) -> None:
    @define(eq=False)
    class Refusing:
        name: str = "refusing"

        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            if any(event.agent_did == "bad" for event in events):
                raise ValueError("bad")

    config = Config(state=StateConfig(directory=tmp_path))
    with Observability(config, plugins=[Refusing(), Failing()]) as observability:
        observability.bus.subscribe(EventType.VFS_DELETE, lambda _: 1 / 0)
        for agent in ("good", "bad", "good"):
            observability.bus.record(EventType.VFS_DELETE, agent_did=agent)
        observability.bus.emit("nothing")  # type: ignore[arg-type]  # on purpose
        assert not observability.flush(10)
        families = {
            family.name.removeprefix("agent_hypervisor_observability_"): family
            for family in observability.collect_metrics()
        }

    assert families["events_delivered_total"].series[("refusing",)] == 2
    assert families["events_rejected_total"].series[("refusing",)] == 1
    assert families["events_dropped_total"].series == {("failing", "down"): 3}
    assert families["plugin_up"].series == {("refusing",): 1, ("failing",): 0, ("metrics",): 1}
    assert families["queue_size"].series[("refusing",)] == 0
    assert families["queue_capacity"].series == {(): 100_000}
    assert families["export_total"].series[("refusing", "refused")] >= 1
    assert families["export_seconds"].histograms[("refusing",)].count >= 2
    assert families["circuit_state"].series[("refusing",)] == 0
    assert families["handler_errors_total"].series == {(): 3}
    assert families["refused_total"].series == {(): 1}
    assert "VFS" not in (tmp_path / "dead" / "refusing.jsonl").read_text()


def test_status_is_written_while_running_and_at_the_end(tmp_path: Path) -> None:
    config = Config(
        state=StateConfig(directory=tmp_path),
        delivery=DeliveryConfig(hook_timeout_seconds=0.2),
    )
    with Observability(config, plugins=[Recording()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: list((tmp_path / "status").glob("*.json")))
        running = read_status(tmp_path)
        assert observability.flush(10)
    ended = read_status(tmp_path)

    assert (running["state"], running["pid"]) == ("running", os.getpid())
    assert (ended["state"], ended["emitted"]) == ("stopped", 1)
    assert ended["plugins"]["recording"] == {
        "state": "stopped",
        "breaker": "closed",
        "delivered": 1,
        "rejected": 0,
        "dropped": {},
        "in_flight": 0,
        "pending": 0,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["status"]
    (file,) = (tmp_path / "status").iterdir()
    assert file.name.startswith(f"{os.getpid()}-")


def test_status_that_cannot_be_written_or_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    config = Config(state=StateConfig(directory=tmp_path / "file"))
    with Observability(config) as observability:
        observability.bus.record(EventType.VFS_WRITE)
    assert "status not written" in caplog.text

    with pytest.raises(NoStatusError, match="no process"):
        read_status(tmp_path)
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(NoStatusError, match="cannot be read"):
        read_status(tmp_path)
    (tmp_path / "status.json").write_text("[]")
    with pytest.raises(NoStatusError, match="another version"):
        read_status(tmp_path)
    (tmp_path / "status").touch()
    with pytest.raises(NoStatusError, match="another version"):
        read_status(tmp_path)
    with pytest.raises(OSError, match=r"irectory|exists"):
        write_status(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


# A hook that hangs


@pytest.mark.fault("C4")
def test_hung_plugin_is_turned_off_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    stuck, recording = Stuck(), Recording()
    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=0.1))
    with Observability(config, plugins=[stuck, recording]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: observability.states()["stuck"].startswith("down"))
        observability.bus.record(EventType.VFS_WRITE)

        assert not observability.flush(5)
        assert len(recording.events) == 2
        assert observability.counts()["stuck"].dropped == {"in_doubt": 1, "down": 1}
    stuck.release.set()
    assert "export_events has not returned within 0.1 s" in caplog.text


# asyncio


def test_everything_can_be_awaited() -> None:
    async def main() -> None:
        recording = Recording()
        async with Observability(plugins=[recording]) as observability:
            observability.bus.record(EventType.VFS_WRITE)
            assert await observability.aflush(10)
            assert len(recording.events) == 1
            assert await observability.astop(10)
        assert recording.calls[-1] == "stop"

    asyncio.run(main())


@pytest.mark.fault("C21")
def test_flush_of_a_hung_plugin_does_not_hold_up_the_event_loop() -> None:
    async def main() -> None:
        ticks = 0
        stuck = Stuck()
        async with Observability(plugins=[stuck]) as observability:
            observability.bus.record(EventType.VFS_WRITE)
            flushing = asyncio.create_task(observability.aflush(2))
            while not flushing.done():
                await asyncio.sleep(0.005)
                ticks += 1
            assert not flushing.result()
            assert ticks > 10
            stuck.release.set()

    asyncio.run(main())


# Slow and greedy plugins, and more events than anybody can deliver


@define(eq=False)
class Working:
    """Spends time on each event."""

    work: Callable[[int], None]
    name: str = "working"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.work(len(events))


def compute(events: int) -> None:
    for _ in range(2_000 * events):
        pass


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda events: time.sleep(0.001 * events), marks=pytest.mark.fault("C3")),
        pytest.param(compute, marks=pytest.mark.fault("C5")),
    ],
)
def test_plugin_that_takes_its_time_costs_nobody_else_anything(work: Callable[[int], None]) -> None:
    recording = Recording()
    config = Config(bus=BusConfig(max_events=3_000), stop_timeout_seconds=0.2)
    with Observability(config, plugins=[Working(work), recording]) as observability:
        emitted = [observability.bus.record(EventType.VFS_WRITE) for _ in range(12_000)]

        def settled() -> bool:
            counts = observability.counts()["recording"]
            return counts.delivered + counts.dropped_total == 12_000

        wait_until(settled)
        counts = observability.counts()

    assert recording.events[-1] == emitted[-1]
    slow = counts["working"]
    known = slow.delivered + slow.dropped_total + slow.in_flight + slow.pending
    assert (slow.emitted, known) == (12_000, 12_000)


@pytest.mark.fault("C8")
def test_overload_with_new_names_is_bounded_and_counted_to_the_event() -> None:
    stuck = Stuck()
    config = Config(bus=BusConfig(max_bytes=1024 * 1024), stop_timeout_seconds=0.1)
    with Observability(config, plugins=[stuck, Recording()]) as observability:

        def emit(part: int) -> None:
            for number in range(2_000):
                name = f"{part}-{number}"
                observability.bus.record(
                    EventType.RING_ASSIGNED, session_id=name, agent_did=name, payload={"ring": 1}
                )

        run_in_threads(*(partial(emit, part) for part in range(16)))
        for counts in observability.counts().values():
            known = counts.delivered + counts.rejected + counts.dropped_total
            assert counts.emitted == known + counts.in_flight + counts.pending == 32_000
        assert observability.bus.event_count < 4_000
        series = max(len(family.series) for family in observability.collect_metrics())
        assert series <= 2_001
    stuck.release.set()


def test_pages_that_plugins_serve_are_given_and_one_that_raises_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Paged(Recording):
        @hookimpl
        def page_url(self) -> str:
            return "http://127.0.0.1:9/#token=t"

    class Raising(Recording):
        @hookimpl
        def page_url(self) -> str:
            raise RuntimeError("no page")

    with Observability(plugins=[Raising("raising"), Recording(), Paged("paged")]) as observability:
        assert observability.page_urls() == {"paged": "http://127.0.0.1:9/#token=t"}

    assert "plugin raising: page_url raised" in caplog.text
    assert "token" not in caplog.text
