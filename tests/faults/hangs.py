"""What is tried of plugins that hang, or are slow: what they cost others, how they come back."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from statistics import median

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    Observability,
)
from tests.faults.figure import Figure, zeros
from tests.faults.measuring import p99_of_emit
from tests.faults.plugins import (
    Awaiting,
    Busy,
    Hanging,
    Slow,
    Taking,
)
from tests.programs import run_python

_NEVER = DeliveryConfig(hook_timeout_seconds=3_600)


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
            config = Config(delivery=_NEVER, stop_timeout_seconds=0.05)
            with Observability(config, plugins=plugins()) as observability:
                p99[name].append(p99_of_emit(observability))
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
        done = run_python(_EXIT, check=True)
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


def recovers(*, quick: bool) -> Iterable[Figure]:
    """Have a coroutine hang, and see when its plugin runs again."""
    plugin, events = Awaiting(), 100 if quick else 10_000
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
        observability.flush(60)
    yield Figure(
        fault="C26",
        what=f"a coroutine hangs, limit 0.5 s: until its plugin runs again; then delivered of"
        f" {events:,}",
        value=f"{seconds:.1f} s; {plugin.taken:,}",
        goal=f"≤ 10 s; {events:,}",
        holds=seconds <= 10 and plugin.taken == events,
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
        lost = int(process.communicate(timeout=60)[0])
    yield zeros(
        "C25",
        f"a process is stopped for longer than a hook may take, {times} times while it is in"
        " one: events given up",
        lost,
    )
