"""What is tried of many runs: what they cost, and what a kill repeats."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import Config, EventType, Observability, hookimpl
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.spans.record import FinishedSpan
from tests.faults.figure import Figure
from tests.faults.measuring import temporary_directory
from tests.faults.plugins import Taking
from tests.faults.writing import SEGMENT_BYTES, numbered_event

_EVENTS = 5
_BATCH = 512


def runs(*, quick: bool) -> Iterable[Figure]:
    """Have many dead runs in a directory: a start, the agent, the bounds."""
    count = 1_000 if quick else 10_000
    with temporary_directory() as directory:
        for _ in range(count):
            writer = JournalWriter(directory, segment_bytes=SEGMENT_BYTES)
            for number in range(_EVENTS):
                writer.append(numbered_event(number), lambda _: None)
            writer.close()
        # What a pass takes beside others of a process; that looks at all of it, once, first.
        retention = Retention(1 << 40)
        passes = [_cpu(lambda: retention.apply(directory)) for _ in range(5)]
        delivered, cpu_seconds = _deliver_once(directory)
        _start(directory)  # what is there is delivered
        seconds, descriptors = _start(directory)
    yield Figure(
        fault="J19",
        what=f"`hvobs agent --once` over {count:,} dead runs of {_EVENTS} events: delivered; CPU",
        value=f"{delivered:,}; {cpu_seconds:.1f} s",
        goal=f"{_EVENTS * count:,}; < 20 s",
        holds=delivered == _EVENTS * count and cpu_seconds < 20,
    )
    yield Figure(
        fault="J19",
        what=f"a start beside {count:,} dead runs, all delivered; descriptors that it takes",
        value=f"{seconds:.2f} s; {descriptors}",
        goal="< 1 s; ≤ 32",
        holds=seconds < 1 and descriptors <= 32,
    )
    yield Figure(
        fault="J19",
        what=f"CPU of a pass of the bounds over {count:,} dead runs; of a process's first one",
        value=f"{statistics.median(passes) * 1_000:.0f} ms; {passes[0] * 1_000:.0f} ms",
        goal="< 50 ms",
        holds=statistics.median(passes) < 0.05,
    )


def _deliver_once(directory: Path) -> tuple[int, float]:
    begun = time.process_time()
    agent = Agent(Config(plugins={"journal": {"directory": directory}}), plugins=[Taking()])
    with agent:
        agent.flush(600)
    (name,) = agent.states()
    return agent.counts()[name].delivered, time.process_time() - begun


def _start(directory: Path) -> tuple[float, int]:
    config = Config(plugins={"journal": {"directory": directory}}, stop_timeout_seconds=60)
    observability = Observability(config, plugins=[Taking()])
    before = len(list(Path("/proc/self/fd").iterdir()))
    seconds = _time(observability.start)
    descriptors = len(list(Path("/proc/self/fd").iterdir())) - before
    observability.bus.record(EventType.VFS_WRITE)
    observability.flush(600)
    observability.stop()
    return seconds, descriptors


def _cpu(action: Callable[[], object]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun


def _time(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def repeats(*, quick: bool) -> Iterable[Figure]:
    """Kill a busy process with a plugin that takes spans, and deliver what it left."""
    rounds = 3 if quick else 30
    worst = spans = missing = 0
    for number in range(rounds):
        with temporary_directory() as directory:
            out = directory / "out"
            _kill_busy(directory / "journal", out, 1.0 + 3.0 * number / rounds)
            rest = Spans(out)
            config = Config(plugins={"journal": {"directory": directory / "journal"}})
            with Observability(config, plugins=[rest]) as observability:
                observability.bus.record(EventType.VFS_WRITE)
                observability.flush(120)
            times = Counter(out.read_text().split())
            worst = max(worst, sum(times.values()) - len(times))
            spans += len(times)
            missing += _agents_ended(directory / "journal") - len(times)
    yield Figure(
        fault="J20",
        what=f"{rounds} busy processes with open spans killed, {spans:,} spans: missing; most that "
        "one kill had delivered twice (a batch has at most 256 of these)",
        value=f"{missing}; {worst}",
        goal="0; ≤ 256",
        holds=missing == 0 and worst <= _BATCH // 2,
    )


def _agents_ended(journal: Path) -> int:
    return sum(
        event_of(record).event_type == "agent.finished"
        for run in runs_of(journal)
        for record in RunReader(run).records(0)
    )


def _kill_busy(journal: Path, out: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "tests.faults.many_runs", str(journal), str(out)]
    process = subprocess.Popen(command)
    while not out.exists() or not out.stat().st_size:
        time.sleep(0.01)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


class Spans:
    """Writes the ids of the spans that it is handed into a file, which survives a kill."""

    name = "spans"

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Take them."""
        os.write(self._descriptor, "".join(f"{span.span_id}\n" for span in spans).encode())

    @hookimpl
    def stop(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _be_busy(journal: Path, out: Path) -> None:
    config = Config(plugins={"journal": {"directory": journal}})
    with Observability(config, plugins=[Spans(out)]) as observability:
        while True:
            with observability.recorder.agent("did:mesh:a"):
                pass


if __name__ == "__main__":
    _be_busy(Path(sys.argv[1]), Path(sys.argv[2]))
