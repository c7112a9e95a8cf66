"""What is tried of patience: backends that are slow, small, moody or hang; ends of processes."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from pathlib import Path

from attrs import define, field

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    HypervisorEvent,
    Observability,
    Reject,
    RetryLater,
    hookimpl,
)
from tests.faults.figure import Figure

_EVENTS = 512
_WIDE_SECONDS = 60


@define(eq=False)
class _Small:
    """Takes few events at once, and raises at some calls, whatever it is given."""

    most: int = _EVENTS
    moods: set[int] = field(factory=set)
    name: str = "small"
    calls: int = 0
    taken: int = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.calls += 1
        if self.calls in self.moods:
            raise ValueError("500")
        if len(events) > self.most:
            raise Reject("413")
        self.taken += len(events)


def _delivered_to(plugin: _Small) -> int:
    config = Config(delivery=DeliveryConfig(interval_seconds=30))
    with Observability(config, plugins=[plugin]) as observability:
        for _ in range(_EVENTS):
            observability.bus.record(EventType.VFS_WRITE)
        observability.flush(_WIDE_SECONDS)
    return plugin.taken


def sizes(*, quick: bool) -> Iterable[Figure]:
    """Deliver to backends that refuse large batches, and to one that has a bad moment."""
    lost = calls = 0
    for most in (1, 10, 100) if quick else (1, 2, 3, 10, 60, 100, 255, 511):
        plugin = _Small(most)
        lost += _EVENTS - _delivered_to(plugin)
        calls = max(calls, plugin.calls - 2 * ceil(_EVENTS / most))
    yield Figure(
        fault="C1",
        what="a backend takes at most 1 to 511 events at once: events lost of 512; calls beyond"
        " twice the fewest, the most",
        value=f"{lost}; {calls}",
        goal="0; ≤ 24",
        holds=not lost and calls <= 24,
    )
    lost = sum(
        _EVENTS - _delivered_to(_Small(moods={call})) for call in range(1, 4 if quick else 12)
    )
    yield Figure(
        fault="C1",
        what="one odd answer at any of the first calls: events lost of 512",
        value=f"{lost}",
        goal="0",
        holds=not lost,
    )


@define(eq=False)
class _Busy:
    """Asks to be called again without a pause."""

    after: float
    name: str = "busy"
    calls: int = 0

    @hookimpl
    def export_events(self) -> None:
        self.calls += 1
        raise RetryLater("busy", after=self.after)


def pauses(*, quick: bool) -> Iterable[Figure]:
    """Have a plugin ask for no pause, or for one that is over."""
    seconds = 3 if quick else 10
    most = 0
    for after in (0.0, -60.0, 1e-9, float("nan")):
        plugin = _Busy(after)
        with Observability(Config(stop_timeout_seconds=0), plugins=[plugin]) as observability:
            observability.bus.record(EventType.VFS_WRITE)
            time.sleep(seconds)
        most = max(most, plugin.calls)
    yield Figure(
        fault="O5",
        what=f"calls in {seconds} s of a plugin that asks for a pause of 0 s, or for one that is"
        " over, the most",
        value=f"{most}",
        goal="≤ 30",
        holds=most <= 30,
    )


_STOPPED = """
import sys, time
from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl
class Slow:
    name = "slow"
    @hookimpl
    def export_events(self, events):
        print("in", flush=True)
        time.sleep(0.5)
config = Config(delivery=DeliveryConfig(hook_timeout_seconds=2))
with Observability(config, plugins=[Slow()]) as o:
    for _ in range(int(sys.argv[1])):
        o.bus.record(EventType.VFS_WRITE)
        o.flush(60)
print(sum(o.counts()["slow"].dropped.values()))
"""


def stopped(*, quick: bool) -> Iterable[Figure]:
    """Stop the process for longer than a hook may take, while it is in one."""
    times = 2 if quick else 10
    with subprocess.Popen(
        [sys.executable, "-c", _STOPPED, str(times)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(times):
            process.stdout.readline()
            process.send_signal(signal.SIGSTOP)
            time.sleep(3)
            process.send_signal(signal.SIGCONT)
        lost = int(process.communicate(timeout=_WIDE_SECONDS)[0])
    yield Figure(
        fault="C25",
        what=f"a process is stopped for longer than a hook may take, {times} times while it is in"
        " one: events given up",
        value=f"{lost}",
        goal="0",
        holds=not lost,
    )


@define(eq=False)
class _Awaiting:
    """Hangs in an await at its first call."""

    name: str = "awaiting"
    calls: int = 0
    taken: int = 0

    @hookimpl
    async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.calls += 1
        if self.calls == 1:
            await asyncio.sleep(3_600)
        self.taken += len(events)


def recovers(*, quick: bool) -> Iterable[Figure]:
    """Have a coroutine hang, and see when its plugin runs again."""
    plugin, events = _Awaiting(), 100 if quick else 10_000
    config = Config(delivery=DeliveryConfig(hook_timeout_seconds=0.5))
    begun = time.monotonic()
    with Observability(config, plugins=[plugin]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        while "in_doubt" not in observability.counts()["awaiting"].dropped:
            time.sleep(0.05)
        while observability.states()["awaiting"] != "running":
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        for _ in range(events):
            observability.bus.record(EventType.VFS_WRITE)
        observability.flush(_WIDE_SECONDS)
    yield Figure(
        fault="C26",
        what=f"a coroutine hangs, limit 0.5 s: until its plugin runs again; then delivered of"
        f" {events:,}",
        value=f"{seconds:.1f} s; {plugin.taken:,}",
        goal=f"≤ 10 s; {events:,}",
        holds=seconds <= 10 and plugin.taken == events,
    )


_ENDING = """
import asyncio, multiprocessing, os, signal, sys, threading
from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl
class Writing:
    name = "writing"
    @hookimpl
    def export_events(self, events):
        with open(sys.argv[2], "a") as file:
            file.write("x" * len(events))
config = Config(handle_sigterm=True, delivery=DeliveryConfig(interval_seconds=3_600))
o = Observability(config, plugins=[Writing()])
def emit():
    for _ in range(10):
        o.bus.record(EventType.VFS_WRITE)
def child(module):
    o.start()
    one = __import__(module).get_context("fork").Process(target=emit)
    one.start()
    one.join()
async def main():
    async with o:
        emit()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
def forked():
    o.start()
    if os.fork() == 0:
        emit()
        sys.exit(0)
    os.wait()
def thread():
    o.start()
    one = threading.Thread(target=lambda: (emit(), sys.exit(1)))
    one.start()
    one.join()
{
    "return": lambda: (o.start(), emit()),
    "sys.exit": lambda: (o.start(), emit(), sys.exit(1)),
    "exception": lambda: (o.start(), emit(), 1 / 0),
    "SIGTERM": lambda: (o.start(), emit(), os.kill(os.getpid(), signal.SIGTERM)),
    "async with": lambda: asyncio.run(main()),
    "os.fork": forked,
    "multiprocessing": lambda: child("multiprocessing"),
    "billiard": lambda: child("billiard"),
    "thread": thread,
}[sys.argv[1]]()
"""
_WAYS = (
    *("return", "sys.exit", "exception", "SIGTERM", "async with", "os.fork"),
    *("multiprocessing", "billiard", "thread"),
)


def endings(*, quick: bool) -> Iterable[Figure]:
    """End a process in each way in which something can be done."""
    lost = []
    with tempfile.TemporaryDirectory() as folder:
        for way in _WAYS[:: 4 if quick else 1]:
            out = Path(folder, way.replace(" ", "_"))
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", _ENDING, way, str(out)],
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=_WIDE_SECONDS,
                env={**os.environ},
            )
            if (len(out.read_bytes()) if out.exists() else 0) != 10:
                lost.append(way)
    yield Figure(
        fault="C12",
        what=f"{len(_WAYS)} ways in which a process ends: those in which an event was lost",
        value=", ".join(lost) or "none",
        goal="none",
        holds=not lost,
    )


PATIENCE: dict[str, Callable[..., Iterable[Figure]]] = {
    "sizes": sizes,
    "pauses": pauses,
    "stopped": stopped,
    "recovers": recovers,
    "endings": endings,
}
