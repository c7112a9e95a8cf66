"""What a kill -9 repeats: one batch at most, with open spans too. No total is wrong behind it."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability import Config, EventType, HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.spans.record import FinishedSpan

BATCH = 512

PLUGIN = """
import os, sys, time
from pathlib import Path
from hypervisor_observability import Config, Observability, hookimpl
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.agent import Agent

out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Both:
    name = "both"
    @hookimpl
    def export_events(self, events):
        os.write(out, "".join(f"e {one.event_id}\\n" for one in events).encode())
    @hookimpl
    def export_spans(self, spans):
        os.write(out, "".join(f"s {one.span_id}\\n" for one in spans).encode())
"""
BUSY = (
    PLUGIN
    + """
config = Config(plugins={"journal": {"directory": sys.argv[1]}})
with Observability(config, plugins=[Both()]) as observability:
    with observability.recorder.session(f"s-{os.getpid()}"):
        while True:
            with observability.recorder.agent("did:a"):
                pass
"""
)
AGENT = (
    PLUGIN
    + """
config = Config(
    delivery=DeliveryConfig(interval_seconds=0.01, max_batch_events=64),
    plugins={"journal": {"directory": sys.argv[1]}},
)
with Agent(config, plugins=[Both()]):
    time.sleep(600)
"""
)


class Both:
    """Takes the rest in the test's own process."""

    name = "both"

    def __init__(self) -> None:
        self.ids: list[str] = []

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.ids += [f"e {one.event_id}" for one in events]

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.ids += [f"s {one.span_id}" for one in spans]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def kill_at(
    program: str,
    directory: Path,
    out: Path,
    ready: Callable[[], bool],
    wait_until: Callable[..., None],
) -> None:
    process = subprocess.Popen([sys.executable, "-c", program, str(directory), str(out)])
    try:
        wait_until(ready)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.fault("J20")
def test_kill_of_a_busy_process_repeats_one_batch_at_most(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    journal, out = tmp_path / "journal", tmp_path / "out"
    for number in range(2):
        # Long enough for many batches after a snapshot, and for a few snapshots.
        moment = time.monotonic() + 2.5
        kill_at(
            BUSY, journal, out,
            lambda: len(lines(out)) > 4_000 * (number + 1) and time.monotonic() > moment,  # noqa: B023 - called in this turn alone
            wait_until,
        )  # fmt: skip
    rest = Both()
    with Observability(Config(plugins={"journal": {"directory": journal}}), plugins=[rest]) as last:
        last.bus.record(EventType.VFS_WRITE)
        assert last.flush(120)
    times = Counter([*lines(out), *rest.ids])
    again = {kind: sum(n - 1 for line, n in times.items() if line[0] == kind) for kind in "es"}

    assert again["e"] <= 2 * BATCH
    assert again["s"] <= 2 * BATCH / 2  # each span takes two events
    journalled = [
        event_of(record) for run in runs_of(journal) for record in RunReader(run).records(0)
    ]
    assert {line[2:] for line in times if line[0] == "e"} == {one.event_id for one in journalled}
    ended = sum(one.event_type == "agent.finished" for one in journalled)
    assert sum(line[0] == "s" for line in times) == ended


@pytest.mark.slow
def test_agent_that_is_killed_goes_on_with_right_counts(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    journal, out = tmp_path / "journal", tmp_path / "out"
    quiet = {
        "directory": journal,
        "segment_bytes": 65_536,
        "checkpoint_events": 1_000_000,
        "checkpoint_seconds": 3_600.0,
    }
    application = Observability(Config(plugins={"journal": quiet})).start()
    emitted = 0

    def work(count: int) -> None:
        nonlocal emitted
        for _ in range(count):
            with application.recorder.agent("did:a"):
                application.recorder.breach("shell", ring=3, severity="high")
        emitted += 3 * count

    work(500)
    for _ in range(3):
        before = len(lines(out))
        work(200)
        kill_at(AGENT, journal, out, lambda: len(lines(out)) >= before + 300, wait_until)  # noqa: B023 - called in this turn alone
    rest = Both()
    agent = Agent(
        Config(
            delivery=DeliveryConfig(interval_seconds=0.01),
            plugins={"journal": {"directory": journal}},
        ),
        plugins=[rest],
    )
    with agent:
        work(100)
        while True:
            complete = agent.flush(0.05)
            for name, counts in agent.counts().items():
                values = (counts.emitted, counts.delivered, counts.pending, counts.in_flight)
                assert min(values) >= 0, (name, counts)
                assert counts.dropped == {}
                assert counts.emitted == counts.delivered + counts.pending + counts.in_flight
            if complete:
                break
        breaches = {
            sum(family.series.values())
            for family in agent.collect_metrics()
            if family.name == "agent_hypervisor_ring_breaches_by_agent_total"
        }
    application.stop()
    times = Counter([*lines(out), *rest.ids])

    assert breaches == {emitted / 3}
    assert sum(line[0] == "e" for line in times) == emitted
    assert sum(line[0] == "s" for line in times) == emitted / 3
    assert sum(times.values()) - len(times) <= 3 * 64 * 2
