"""With a journal, what was emitted is delivered, by this process or by the next one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.format.frames import NOTE
from hypervisor_journal.proof.anchors import anchor_of, read_anchors
from hypervisor_journal.proof.key_files import make_key_file
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability import (
    Config,
    ConfigError,
    EventType,
    HypervisorEvent,
    Observability,
    Recorder,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.cli.main import hvobs
from hypervisor_observability.config import BusConfig, DeliveryConfig, load_config
from hypervisor_observability.events import clock
from hypervisor_observability.host.plugins import load_plugins
from hypervisor_observability.spans.record import FinishedSpan
from tests.plugins.journal.journals import SEGMENT
from tests.plugins.journal.recording import Recording
from tests.waiting import wait_until


class Spans:
    """Takes spans."""

    name = "spans"

    def __init__(self) -> None:
        self.spans: list[FinishedSpan] = []

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans += spans


class Away:
    """A backend that is away; the class decides what it is called."""

    name = "recording"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        raise RetryLater(after=1000)


def config(directory: Path, **journal: object) -> Config:
    # The journal's own checkpoints are events too: they come where a test asks for them.
    rare = {"checkpoint_events": 1_000_000, "checkpoint_seconds": 3_600}
    options = {"segment_bytes": SEGMENT, "max_bytes": 10_000_000, **rare, **journal}
    return Config(
        plugins={"journal": {"directory": directory, **options}},
        delivery=DeliveryConfig(interval_seconds=0.01),
        stop_timeout_seconds=5,
    )


def journalled(directory: Path) -> list[HypervisorEvent]:
    return [event_of(one) for run in runs_of(directory) for one in RunReader(run).records(0)]


def record(observability: Observability, *numbers: int) -> list[HypervisorEvent]:
    return [
        observability.bus.record(EventType.VFS_WRITE, payload={"number": number})
        for number in numbers
    ]


def test_events_are_journalled_and_delivered(tmp_path: Path) -> None:
    recording = Recording()
    with Observability(config(tmp_path), plugins=[recording]) as observability:
        emitted = record(observability, *range(10))
        assert observability.bus.sync()
        assert observability.flush(30)
        status = observability.status()["store"]

    assert (status["degraded"], status["lost"]) == (False, 0)
    assert recording.events[:10] == emitted
    written = journalled(tmp_path)
    assert written[:10] == emitted
    assert [event.payload for event in written] == [event.payload for event in emitted]
    assert [event.timestamp_ns for event in written] == [event.timestamp_ns for event in emitted]


def test_without_a_journal_nothing_is_synced() -> None:
    with Observability() as observability:
        record(observability, 1)
        assert not observability.bus.sync()
        assert observability.status()["store"] is None


def test_what_was_emitted_before_the_start_is_journalled_too(tmp_path: Path) -> None:
    options = config(tmp_path)
    observability = Observability(
        Config(plugins=options.plugins, bus=BusConfig(max_events=3)), plugins=[Recording()]
    )
    early = record(observability, *range(5))
    with observability:
        late = record(observability, 5)
        assert observability.flush(30) is False  # two had gone before anybody could have them
        counts = observability.counts()["recording"]
        lost = observability.status()["store"]["lost"]

    assert journalled(tmp_path) == [*early[2:], *late]
    assert (lost, counts.dropped) == (2, {"expired": 2})


def test_secrets_are_not_journalled_but_stay_in_the_process(tmp_path: Path) -> None:
    with Observability(config(tmp_path)) as observability:
        event = observability.bus.record(EventType.VFS_WRITE, payload={"password": "c4n4ry"})
    assert event.payload["password"] == "c4n4ry"
    (run,) = runs_of(tmp_path)
    assert b"c4n4ry" not in run.segment_path(0).read_bytes()
    assert journalled(tmp_path)[0].payload == {"password": "[redacted]"}


def test_what_a_stop_leaves_is_delivered_by_the_next_process(tmp_path: Path) -> None:
    with Observability(config(tmp_path), plugins=[Away()]) as observability:
        emitted = record(observability, *range(1_000))
        observability.flush(0.05)
        assert observability.stop(30)
        left = observability.counts()["recording"]
    recording = Recording()
    with Observability(config(tmp_path), plugins=[recording]) as observability:
        emitted += record(observability, 1_000)
        assert observability.flush(30)
        counts = observability.counts()["recording"]

    assert left.dropped == {"deferred": 1_000}
    assert recording.events == emitted
    assert (counts.emitted, counts.delivered) == (1_001, 1_001)
    third = Recording()
    with Observability(config(tmp_path), plugins=[third]) as observability:
        record(observability, 1)
        assert observability.flush(30)
    assert len(third.events) == 1


KILLED = """
import os, sys, time
from pathlib import Path
from hypervisor_observability import *
from hypervisor_observability.config import DeliveryConfig

class Recording:
    name = "recording"
    @hookimpl
    def export_events(self, events):
        with open(sys.argv[2], "a") as file:
            file.writelines(event.event_id + "\\n" for event in events)

observability = Observability(
    Config(
        plugins={"journal": {
            "directory": sys.argv[1], "segment_bytes": 65536, "max_bytes": 100_000_000,
        }},
        delivery=DeliveryConfig(interval_seconds=0.01, max_batch_events=50),
    ),
    plugins=[Recording()],
).start()
number = 0
while True:
    event = observability.bus.record(EventType.VFS_WRITE, payload={"number": number})
    os.write(1, (event.event_id + "\\n").encode())
    number += 1
    if number % 100 == 0:
        time.sleep(0.005)
"""


@pytest.mark.fault("J1")
@pytest.mark.slow
def test_killed_processes_lose_nothing_and_repeat_a_batch_at_most(tmp_path: Path) -> None:
    received, accepted = tmp_path / "received", []
    received.touch()
    for round_ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "journal"), str(received)],
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdout is not None
        accepted += [process.stdout.readline().decode().strip() for _ in range(300 + 70 * round_)]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=60)[0].decode().splitlines()
        accepted += [line for line in rest if len(line) == 16]
    recording = Recording()
    with Observability(config(tmp_path / "journal"), plugins=[recording]) as observability:
        record(observability, 0)
        assert observability.flush(60)

    got = received.read_text().splitlines() + [event.event_id for event in recording.events]
    assert set(accepted) <= set(got)
    assert len(got) - len(set(got)) <= 8 * 50


def test_span_that_was_open_when_a_process_ended_is_ended_by_the_next(tmp_path: Path) -> None:
    options = config(tmp_path)
    with Observability(options, plugins=[Spans()]) as observability:
        bus = observability.bus
        bus.record(EventType.SAGA_CREATED, payload={"saga_id": "a", "name": "deploy"})
        first = bus.record(EventType.SAGA_STEP_STARTED, payload={"saga_id": "a", "step_id": "s"})
        assert observability.flush(30)
    spans = Spans()
    with Observability(options, plugins=[spans]) as observability:
        bus = observability.bus
        bus.record(EventType.SAGA_STEP_COMMITTED, payload={"saga_id": "a", "step_id": "s"})
        bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "a"})
        assert observability.flush(30)

    step, saga = spans.spans
    assert (step.start_ns, step.parent_span_id) == (first.timestamp_ns, saga.span_id)
    assert saga.name == "saga deploy"


def test_state_that_cannot_be_read_costs_the_open_spans_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = config(tmp_path)
    with Observability(options, plugins=[Spans()]) as observability:
        observability.bus.record(EventType.SAGA_CREATED, payload={"saga_id": "a"})
        assert observability.flush(30)
    (run,) = runs_of(tmp_path)
    (run.path / "cursors" / "spans.json").write_text(
        '{"version": 1, "sequences": {"sequence": 1}, "state": {"sagas": 5}}'
    )
    spans = Spans()
    with Observability(options, plugins=[spans]) as observability:
        observability.bus.record(EventType.SAGA_COMPLETED, payload={"saga_id": "a"})
        assert observability.flush(30)

    assert len(spans.spans) == 1
    assert "open spans are lost" in caplog.text


class Counting:
    """Says what StatsD's plugin says."""

    name = "counting"
    replays = False

    def __init__(self) -> None:
        self.events = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.events += len(events)


@pytest.mark.fault("S7")
def test_plugin_without_times_begins_with_the_present_and_counts_the_rest(tmp_path: Path) -> None:
    with Observability(config(tmp_path), plugins=[Recording()]) as observability:
        record(observability, *range(5))
    counting = Counting()
    with Observability(config(tmp_path), plugins=[counting]) as observability:
        record(observability, 5)
        assert observability.flush(30)
        counts = observability.counts()["counting"]

    assert counting.events == 1
    assert (counts.emitted, counts.dropped) == (6, {"not_replayed": 5})


def test_slow_plugin_goes_on_from_the_journal_when_memory_has_no_more(tmp_path: Path) -> None:
    release, recording = threading.Event(), Recording()

    class Slow(Recording):
        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            release.wait(60)
            recording.events += events

    options = Config(plugins=config(tmp_path).plugins, bus=BusConfig(max_events=50))
    with Observability(options, plugins=[Slow()]) as observability:
        emitted = record(observability, *range(2_000))
        release.set()
        assert observability.flush(60)
        assert observability.counts()["recording"].dropped == {}

    assert [event for event in recording.events if event.event_type == EventType.VFS_WRITE] == (
        emitted
    )


@pytest.mark.fault("J16")
def test_plugin_that_is_slower_than_the_bounds_counts_what_expired(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    release = threading.Event()

    class Slow(Recording):
        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None:
            release.wait(60)
            super().export_events(events)

    slow = Slow()
    table = {
        "directory": tmp_path,
        "segment_bytes": SEGMENT,
        "max_bytes": 1_048_576,
        "sync_seconds": 0.01,
    }
    options = Config(
        plugins={"journal": table}, bus=BusConfig(max_events=50), stop_timeout_seconds=20
    )
    with Observability(options, plugins=[slow]) as observability:
        for part in range(10):
            record(observability, *range(1_000 * part, 1_000 * part + 1_000))
            observability.bus.sync()
        wait_until(lambda: min(number for run in runs_of(tmp_path) for number, _ in run.segments()))
        release.set()
        observability.flush(60)
        counts = observability.counts()["recording"]

    assert counts.dropped.keys() == {"expired"}
    assert counts.delivered == len(slow.events)
    assert counts.delivered + counts.dropped_total == counts.emitted


def lay_nothing(path: Path) -> None:
    """There is no file."""


def lay_text(path: Path) -> None:
    path.write_text("no key\n")


def lay_pipe(path: Path) -> None:
    os.mkfifo(path)


def lay_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("lay", "why"),
    [
        (lay_nothing, "no such file: make one with 'hvobs journal key FILE'"),
        (lay_text, "it is no key file: make one with 'hvobs journal key FILE'"),
        (lay_pipe, "not a regular file"),
        (lay_folder, "cannot be read and written: Is a directory"),
    ],
)
def test_key_file_that_cannot_be_used_is_a_problem_of_the_configuration(
    tmp_path: Path, lay: Callable[[Path], None], why: str
) -> None:
    lay(tmp_path / "key")
    file = tmp_path / "hypervisor.toml"
    file.write_text('[plugins.journal]\ndirectory = "j"\n\nanchor_key_file = "key"\n')
    told = f"{file}:4: plugins.journal.anchor_key_file: "
    with pytest.raises(ConfigError) as caught:
        Observability.from_config(file)
    (problem,) = caught.value.problems
    assert str(problem).startswith(told)
    assert str(problem).endswith(why)
    result = CliRunner().invoke(hvobs, ["check", "--config", str(file)])
    assert result.exit_code == 2
    assert told in result.stderr
    with pytest.raises(ConfigError, match=r"Config\(\.\.\.\): plugins.journal.anchor_key_file: "):
        Observability(config(tmp_path / "j", anchor_key_file=tmp_path / "key"))
    assert not (tmp_path / "j").exists()
    # Whoever only reads the journal has no need of it.
    assert load_plugins(load_config(file))[1] == []


def test_key_file_that_can_be_used_is_taken_once(tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    file = tmp_path / "hypervisor.toml"
    file.write_text(
        '[plugins.journal]\ndirectory = "j"\nanchor_key_file = "key"\nanchor_file = "anchors"\n'
    )
    before = (tmp_path / "key").read_text()
    assert CliRunner().invoke(hvobs, ["check", "--config", str(file)]).exit_code == 0
    assert (tmp_path / "key").read_text() == before
    with Observability.from_config(file) as observability:
        record(observability, 0)
    (anchor,) = read_anchors(tmp_path / "anchors")
    assert anchor.key_number == 0
    assert (tmp_path / "key").read_text().startswith("00000000000000000001 ")


def test_checkpoints_go_through_every_plugin(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    recording = Recording()
    options = config(tmp_path, checkpoint_events=10, sync_seconds=0.01)
    with Observability(options, plugins=[recording]) as observability:
        record(observability, *range(20))
        wait_until(
            lambda: [e for e in recording.events if e.event_type == "observability.checkpoint"]
        )

    (event, *_) = [e for e in recording.events if e.event_type == "observability.checkpoint"]
    anchor = anchor_of(event.payload)
    (run,) = runs_of(tmp_path)
    records = list(RunReader(run).records(0))
    assert anchor.run == run.id.hex()
    assert records[anchor.sequence - 1].chain.hex() == anchor.chain


@pytest.mark.fault("C11")
def test_forked_child_journals_into_a_run_of_its_own(tmp_path: Path) -> None:
    recording = Recording()
    with Observability(config(tmp_path), plugins=[recording]) as observability:
        record(observability, 1)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                record(observability, 2, 3)
                code = 0 if observability.bus.sync() and observability.bus.emitted == 2 else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        record(observability, 4)
        assert observability.flush(30)

    runs = [
        [event_of(one).payload["number"] for one in RunReader(run).records(0)]
        for run in runs_of(tmp_path)
    ]
    assert sorted(runs) == [[1, 4], [2, 3]]
    assert [event.payload["number"] for event in recording.events] == [1, 4]


@pytest.mark.fault("J5")
def test_journal_that_cannot_be_written_is_told_and_nothing_else_suffers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    recording = Recording()
    with Observability(config(tmp_path / "file"), plugins=[recording]) as observability:
        record(observability, *range(5))
        assert not observability.bus.sync()
        assert observability.flush(30)
        status = observability.status()["store"]
        shown = {family.name: family for family in observability.collect_metrics()}

    assert len(recording.events) == 5
    assert (status["degraded"], status["lost"], status["run"]) == (True, 5, None)
    prefix = "agent_hypervisor_observability_journal"
    assert shown[f"{prefix}_degraded"].series == {(): 1}
    assert shown[f"{prefix}_lost_events_total"].series == {(): 5}
    told = [line for line in caplog.messages if "journal" in line]
    assert len(told) == 2, told
    assert "events are not journalled" in told[0]
    assert told[1] == "events not delivered: journal 5 of 5 (never written)"


def test_plugin_that_cannot_start_gets_everything_later(tmp_path: Path) -> None:
    class Broken(Recording):
        @hookimpl
        def start(self) -> None:
            raise OSError("the port is taken")

    with Observability(config(tmp_path), plugins=[Broken()]) as observability:
        record(observability, *range(5))
        counts = observability.counts()["recording"]
    recording = Recording()
    with Observability(config(tmp_path), plugins=[recording]) as observability:
        record(observability, 5)
        assert observability.flush(30)

    assert counts.dropped == {"deferred": 5}
    assert [event.payload["number"] for event in recording.events] == list(range(6))


def test_recorder_works_over_a_journal(tmp_path: Path) -> None:
    with Observability(config(tmp_path)) as observability:
        recorder: Recorder = observability.recorder
        with recorder.session("s1"), recorder.agent("did:mesh:a", ring=2):
            pass
    types = [event.event_type.value for event in journalled(tmp_path)]
    assert types[0] == "session.created"
    assert "session.joined" in types


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[plugins.journal]\n", "missing, expected a path"),
        (
            '[journal]\ndirectory = "j"\n',
            "journal: unknown table: that of a plugin is called [plugins.journal]",
        ),
        ('[plugins.journal]\ndirectory = "j"\nmax_byte = 1\n', "did you mean 'max_bytes'?"),
        ('[plugins.journal]\ndirectory = "j"\nsegment_bytes = 5\n', "65536"),
        (
            '[plugins.journal]\ndirectory = "j"\nmax_bytes = 1048576\nsegment_bytes = 1048576\n',
            "max_bytes must hold two segments: at least 2097152",
        ),
    ],
)
@pytest.mark.fault("F3")
def test_mistake_in_the_table_is_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Observability.from_config(file)
    problems = caught.value.problems

    assert message in "\n".join(map(str, problems))


def test_step_of_the_clock_is_a_record_of_the_journal_and_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    def notes() -> list[bytes]:
        (run,) = runs_of(tmp_path)
        records = [
            record
            for _, path in run.segments()
            for _, record in SegmentReader(path).records()
            if record.kind == NOTE
        ]
        return [record.head for record in records]

    monkeypatch.setattr(clock, "utc_offset_ns", clock.utc_offset_ns)  # put back afterwards
    with Observability(config(tmp_path)) as observability:
        record(observability, 0)
        assert observability.bus.event_count == 1
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
        record(observability, 1)
        assert observability.bus.event_count == 2
        wait_until(notes)
        metrics = {family.name: family for family in observability.collect_metrics()}
    (note,) = notes()
    assert json.loads(note)["kind"] == "clock_stepped"
    assert json.loads(note)["step_seconds"] == pytest.approx(3_600, abs=1)
    assert [event.payload["number"] for event in journalled(tmp_path)] == [0, 1]
    family = metrics["agent_hypervisor_observability_clock_steps_total"]
    assert list(family.series.values()) == [1]


def test_status_and_metrics_tell_how_far_the_newest_anchor_proves_the_journal(
    tmp_path: Path,
) -> None:
    begun = time.time()
    with Observability(config(tmp_path, checkpoint_events=3)) as observability:
        before = observability.status()["store"]
        record(observability, *range(3))
        wait_until(lambda: observability.status()["store"]["proven_at"] is not None)
        status = observability.status()["store"]
        shown = {family.name: family for family in observability.collect_metrics()}

    assert (before["proven_events"], before["proven_at"]) == (0, None)
    assert status["proven_events"] == 3
    assert status["events"] >= 3  # the anchor is announced as an event of its own
    assert status["directory"] == str(tmp_path)
    assert begun <= status["proven_at"] <= time.time()
    name = "agent_hypervisor_observability_journal_proven_timestamp_seconds"
    assert shown[name].series == {(): status["proven_at"]}
