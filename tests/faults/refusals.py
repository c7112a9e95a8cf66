"""What is tried of backends that refuse: always, one event, large batches, now and then."""

import time
from collections.abc import Iterable
from math import ceil

from hypervisor_observability import (
    Config,
    DeliveryConfig,
    EventType,
    Observability,
    Reject,
)
from tests.faults.figure import Figure, zeros
from tests.faults.measuring import error_of
from tests.faults.plugins import (
    Impatient,
    Poisoned,
    Raising,
    Small,
    Taking,
)

_EVENTS = 512


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
    yield zeros("C1, C2", f"`emit` raised, of {events:,} with four plugins that raise", raised)
    yield Figure(
        fault="C1, C2",
        what="events that the fifth plugin got",
        value=f"{others:,}",
        goal=f"{events:,}",
        holds=others == events,
    )
    yield zeros("C1, C2", "error of the accounts", error)


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


def _delivered_to(plugin: Small) -> int:
    config = Config(delivery=DeliveryConfig(interval_seconds=30))
    with Observability(config, plugins=[plugin]) as observability:
        for _ in range(_EVENTS):
            observability.bus.record(EventType.VFS_WRITE)
        observability.flush(60)
    return plugin.taken


def sizes(*, quick: bool) -> Iterable[Figure]:
    """Deliver to backends that refuse large batches, and to one that has a bad moment."""
    lost = calls = 0
    for most in (1, 10, 100) if quick else (1, 2, 3, 10, 60, 100, 255, 511):
        plugin = Small(most)
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
        _EVENTS - _delivered_to(Small(moods={call})) for call in range(1, 4 if quick else 12)
    )
    yield zeros("C1", "one odd answer at any of the first calls: events lost of 512", lost)


def pauses(*, quick: bool) -> Iterable[Figure]:
    """Have a plugin ask for no pause, or for one that is over."""
    seconds = 3 if quick else 10
    most = 0
    for after in (0.0, -60.0, 1e-9, float("nan")):
        plugin = Impatient(after)
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
