"""What is tried of delivery: plugins, backends and processes that misbehave."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from statistics import median

from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, Reject
from tests.faults.figure import Figure, error_of, resident_mib
from tests.faults.plugins import (
    Away,
    Busy,
    Hanging,
    Poisoned,
    Raising,
    Slow,
    Taking,
    unique_names,
)

_BUDGET_MIB = 64 + 16
_NEVER = DeliveryConfig(hook_timeout_seconds=3_600)


def raising(*, quick: bool) -> Iterable[Figure]:
    """Emit while every plugin raises."""
    events = 50_000 if quick else 1_000_000
    plugins = [
        Raising("value", ValueError),
        Raising("memory", MemoryError),
        Raising("exit", SystemExit),
        Raising("interrupt", KeyboardInterrupt),
        Taking(),
    ]
    raised = 0
    with Observability(plugins=plugins) as observability:
        for number in range(events):
            try:
                observability.bus.record(EventType.VFS_WRITE)
            except BaseException:
                raised += 1
            if number % 20_000 == 0:
                observability.flush(0.5)  # so that the one that takes can follow
        deadline = time.monotonic() + 60
        while observability.counts()["taking"].pending and time.monotonic() < deadline:
            time.sleep(0.05)
        counts = observability.counts()
    error = sum(map(error_of, counts.values()))
    others = counts["taking"].delivered
    yield Figure(
        fault="C1, C2",
        what=f"`emit` raised, of {events:,} with four plugins that raise",
        value=f"{raised:,}",
        goal="0",
        holds=raised == 0,
    )
    yield Figure(
        fault="C1, C2",
        what="events that the fifth plugin got",
        value=f"{others:,}",
        goal=f"{events:,}",
        holds=others == events,
    )
    yield Figure(
        fault="C1, C2", what="error of the accounts", value=f"{error:,}", goal="0", holds=error == 0
    )


def hung(*, quick: bool) -> Iterable[Figure]:
    """Time ``emit`` beside four plugins of which none, one, or all hang."""
    rounds = 5 if quick else 15
    setups: dict[str, Callable[[], list[object]]] = {
        "none": lambda: [Taking(f"t{n}") for n in range(4)],
        "one": lambda: [Hanging("h0"), *(Taking(f"t{n}") for n in range(3))],
        "all": lambda: [Hanging(f"h{n}") for n in range(4)],
        "slow": lambda: [Slow(), *(Taking(f"t{n}") for n in range(3))],
        "busy": lambda: [Busy(), *(Taking(f"t{n}") for n in range(3))],
    }
    p99: dict[str, list[float]] = {name: [] for name in setups}
    for _ in range(rounds):
        for name, plugins in setups.items():
            p99[name].append(_p99_of_emit(plugins()))
    none = median(p99["none"])
    yield Figure(fault="C4", what="p99 of `emit`, no plugin hung", value=f"{none * 1e6:.1f} µs")
    for name, title, most in (
        ("one", "one of four hung", 1.5),
        ("all", "all four hung", 1.5),
        ("slow", "one takes a millisecond an event", 1.5),
        ("busy", "one computes without pause", 0.0),
    ):
        ratio = median(one / other for one, other in zip(p99[name], p99["none"], strict=True))
        yield Figure(
            fault={"slow": "C3", "busy": "C5"}.get(name, "C4"),
            what=f"the same with {title}, as a ratio",
            value=f"{ratio:.2f}",
            goal=f"≤ 1.2 [{most}]" if most else "",
            holds=not most or ratio <= most,
        )


def _p99_of_emit(plugins: list[object]) -> float:
    config = Config(delivery=_NEVER, stop_timeout_seconds=0.05)
    with Observability(config, plugins=plugins) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        time.sleep(0.3)
        times = []
        for _ in range(10_000):
            start = time.perf_counter_ns()
            observability.bus.record(EventType.VFS_WRITE, payload={"a": 1})
            times.append(time.perf_counter_ns() - start)
        return sorted(times)[len(times) * 99 // 100] / 1e9


def overload(*, quick: bool) -> Iterable[Figure]:
    """Emit as fast as 64 threads can, each event with names of its own, one plugin hung."""
    seconds = 20 if quick else 600
    config = Config(delivery=_NEVER, stop_timeout_seconds=1)
    with Observability(config, plugins=[Hanging(), Slow(), Taking()]) as observability:
        numbers = itertools.count()
        stop = threading.Event()

        def emit() -> None:
            while not stop.is_set():
                for _ in range(20):
                    number = next(numbers)
                    observability.bus.record(
                        EventType.RING_ASSIGNED, payload={"ring": 1}, **unique_names(number)
                    )
                time.sleep(0.05)

        before = resident_mib()
        threads = [threading.Thread(target=emit, daemon=True) for _ in range(64)]
        for thread in threads:
            thread.start()
        samples = []
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            time.sleep(seconds / 60)
            samples.append((time.monotonic() - begun, resident_mib()))
        stop.set()
        for thread in threads:
            thread.join(30)
        counts = observability.counts()
        emitted = observability.bus.emitted
        known = next(numbers)
    half = samples[len(samples) // 2 :]
    slope = _slope(half) * 60
    growth = max(size for _, size in samples) - before
    error = sum(map(error_of, counts.values())) + abs(known - emitted)
    yield Figure(
        fault="C8",
        what=f"events in {seconds} s from 64 threads, each with a session and an agent of its own",
        value=f"{emitted:,}",
    )
    yield Figure(
        fault="C8",
        what="growth of resident memory",
        value=f"{growth:.0f} MiB",
        goal=f"≤ {_BUDGET_MIB} MiB",
        holds=growth <= _BUDGET_MIB,
    )
    yield Figure(
        fault="C8",
        what="its slope over the second half",
        value=f"{slope:+.2f} MiB/min",
        goal="" if quick else "0 ± 1",
        holds=quick or abs(slope) <= 1,
    )
    yield Figure(
        fault="C8", what="error of the accounts", value=f"{error:,}", goal="0", holds=error == 0
    )


def away(*, quick: bool) -> Iterable[Figure]:
    """Have a backend away longer than the log in memory reaches."""
    seconds = 5 if quick else 60
    config = Config()
    plugin = Away()
    with Observability(config, plugins=[plugin]) as observability:
        emitted: list[str] = []
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            emitted += [
                observability.bus.record(EventType.VFS_WRITE).event_id for _ in range(3_000)
            ]
            time.sleep(0.02)
        kept = observability.bus.event_count
        plugin.back = True
        returned = time.monotonic()
        observability.flush(120)
        drained = time.monotonic() - returned
        counts = observability.counts()["away"]
    held = counts.emitted - counts.dropped.get("overflow", 0)
    newest = emitted[-kept:]
    got = set(plugin.taken)
    twice = len(plugin.taken) - len(got)
    missing = sum(one not in got for one in newest)
    yield Figure(
        fault="O1",
        what=f"events emitted while a backend was away for {seconds} s, no journal",
        value=f"{len(emitted):,}, of which the log holds {kept:,}",
    )
    yield Figure(
        fault="O1",
        what="delivered after its return, as counted: emitted less overflow",
        value=f"{len(got):,}",
        goal=f"{held:,}",
        holds=len(got) == held == counts.delivered,
    )
    yield Figure(
        fault="O1",
        what="of the newest that the log holds, missing; delivered twice",
        value=f"{missing:,}; {twice:,}",
        goal="0; 0",
        holds=missing == twice == 0,
    )
    yield Figure(
        fault="O1",
        what="drained after its return",
        value=f"{drained:.1f} s",
        goal="≤ 60 s",
        holds=drained <= 60,
    )


def poison(*, quick: bool) -> Iterable[Figure]:
    """Refuse one event in 512, at each place."""
    for error, name in ((Reject, "Reject"), (ValueError, "another exception")):
        worst, lost = 0, 0
        for place in range(0, 512, 37 if quick else 1):
            plugin = Poisoned(error)
            config = Config(delivery=DeliveryConfig(interval_seconds=30))
            with Observability(config, plugins=[plugin]) as observability:
                for number in range(512):
                    payload = {"poison": 1} if number == place else None
                    observability.bus.record(EventType.VFS_WRITE, payload=payload)
                observability.flush(30)
                counts = observability.counts()["poisoned"]
            worst = max(worst, plugin.calls - 1)
            lost = max(lost, counts.emitted - counts.delivered)
        yield Figure(
            fault="C1",
            what=f"one poisonous event in 512 ({name}): events lost; further requests at most",
            value=f"{lost}; {worst}",
            goal="1; ≤ 12",
            holds=lost == 1 and worst <= 12,
        )


_EXIT = """
import time
from tests.faults.plugins import Hanging
from hypervisor_observability import EventType, Observability
o = Observability(plugins=[Hanging(f"h{n}") for n in range(4)]).start()
for _ in range(1_000):
    o.bus.record(EventType.VFS_WRITE)
time.sleep(0.5)
start = time.monotonic()
done = o.flush(1)
print(done, time.monotonic() - start, time.monotonic(), flush=True)
"""


def exits(*, quick: bool) -> Iterable[Figure]:
    """Flush and end a process in which every backend hangs."""
    flushes, ends, lies = [], [], 0
    for _ in range(2 if quick else 5):
        done = subprocess.run(
            [sys.executable, "-c", _EXIT], capture_output=True, text=True, check=True, timeout=60
        )
        ended = time.monotonic()
        answer, flush, left = done.stdout.split()
        flushes.append(float(flush))
        ends.append(ended - float(left))
        lies += answer != "False"
    yield Figure(
        fault="C23",
        what="`flush(1)` with four hung backends, the slowest",
        value=f"{max(flushes):.2f} s",
        goal="False in ≤ 1.2 s",
        holds=max(flushes) <= 1.2 and not lies,
    )
    yield Figure(
        fault="C23",
        what="from there to the end of the process, the slowest",
        value=f"{max(ends):.2f} s",
        goal="≤ 2 s and the interpreter's own end",
        holds=max(ends) <= 3,
    )


_FORKS = """
import os, sys, threading, time
from tests.faults.plugins import Taking
from hypervisor_observability import EventType, Observability
o = Observability(plugins=[Taking()]).start()
stop = threading.Event()
def load():
    while not stop.is_set():
        for _ in range(20):
            o.bus.record(EventType.VFS_WRITE)
        time.sleep(0.001)
threads = [threading.Thread(target=load) for _ in range(4)]
[thread.start() for thread in threads]
dead = wrong = 0
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        for _ in range(50):
            o.bus.record(EventType.VFS_WRITE)
        ok = o.flush(20)
        counts = o.counts()["taking"]
        os._exit(0 if ok and counts.emitted == counts.delivered == 50 else 1)
    deadline = time.monotonic() + 40
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            wrong += status != 0
            break
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            dead += 1
            break
        time.sleep(0.002)
stop.set()
[thread.join() for thread in threads]
o.flush(30)
counts = o.counts()["taking"]
print(dead, wrong, counts.emitted - counts.delivered)
o.stop()
"""


def forks(*, quick: bool) -> Iterable[Figure]:
    """Fork under load."""
    count = 20 if quick else 200
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORKS, str(count)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1_200,
    )
    dead, wrong, lost = map(int, done.stdout.split())
    yield Figure(
        fault="C11",
        what=f"{count} forks under load: dead-locks; children with a loss; parent's losses",
        value=f"{dead}; {wrong}; {lost}",
        goal="0; 0; 0",
        holds=dead == wrong == lost == 0,
    )


DELIVERY: dict[str, Callable[..., Iterable[Figure]]] = {
    "raising": raising,
    "hung": hung,
    "overload": overload,
    "away": away,
    "poison": poison,
    "exits": exits,
    "forks": forks,
}


def _slope(samples: list[tuple[float, float]]) -> float:
    times = [time_ for time_, _ in samples]
    sizes = [size for _, size in samples]
    mean_time, mean_size = sum(times) / len(times), sum(sizes) / len(sizes)
    above = sum((t - mean_time) * (s - mean_size) for t, s in samples)
    below = sum((t - mean_time) ** 2 for t in times)
    return above / below if below else 0.0
