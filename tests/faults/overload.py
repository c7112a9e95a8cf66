"""What is tried of more events than can be delivered."""

import itertools
import threading
import time
from collections.abc import Iterable

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    Observability,
)
from tests.faults.figure import Figure, within_a_minute, zeros
from tests.faults.measuring import error_of, resident_mib, slope
from tests.faults.plugins import (
    Away,
    Hanging,
    Slow,
    Taking,
    unique_names,
)

_BUDGET_MIB = 64 + 16


_NEVER = DeliveryConfig(hook_timeout_seconds=3_600)


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
    rise = slope(half) * 60
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
        value=f"{rise:+.2f} MiB/min",
        goal="" if quick else "0 ± 1",
        holds=quick or abs(rise) <= 1,
    )
    yield zeros("C8", "error of the accounts", error)


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
    yield zeros("O1", "of the newest that the log holds, missing; delivered twice", missing, twice)
    yield within_a_minute("O1", "drained after its return", drained)
