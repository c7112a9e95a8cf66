"""A plugin that leaks threads and memory is seen, and harms neither the accounts nor another."""

import sys
import threading
from collections.abc import Iterator, Sequence
from mmap import mmap
from pathlib import Path

import pytest
from attrs import define, field

from hypervisor_observability import Config, EventType, HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import BusConfig
from hypervisor_observability.host import telemetry

pytestmark = pytest.mark.fault("C6")

PREFIX = "agent_hypervisor_observability_"
LEAKED_BYTES = 64 * 1024 * 1024
LEAKED_THREADS = 20


@define(eq=False)
class Leaking:
    """Keeps threads and memory, a part with each event."""

    end: threading.Event = field(factory=threading.Event)
    kept: list[mmap] = field(factory=list)
    threads: list[threading.Thread] = field(factory=list)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        for _ in events[: LEAKED_THREADS - len(self.threads)]:
            # Pages of its own: the allocator may have many that an earlier test has left.
            leaked = mmap(-1, LEAKED_BYTES // LEAKED_THREADS)
            leaked.write(b"x" * len(leaked))
            self.kept.append(leaked)
            thread = threading.Thread(target=self.end.wait, daemon=True)
            thread.start()
            self.threads.append(thread)


@define(eq=False)
class Healthy:
    seen: list[str] = field(factory=list)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.seen += [event.event_id for event in events]


@pytest.fixture
def leaking() -> Iterator[Leaking]:
    plugin = Leaking()
    yield plugin
    plugin.end.set()
    for thread in plugin.threads:
        thread.join()
    for leaked in plugin.kept:
        leaked.close()


def sizes(observability: Observability) -> dict[str, float]:
    return {
        family.name.removeprefix(PREFIX): family.series[()]
        for family in observability.collect_metrics()
        if family.name in {f"{PREFIX}threads", f"{PREFIX}resident_bytes"}
    }


def test_leaks_of_a_plugin_are_shown_and_cost_no_event(leaking: Leaking) -> None:
    healthy = Healthy()
    config = Config(bus=BusConfig(max_events=1_000))
    with Observability(config, plugins=[leaking, healthy]) as observability:
        before = sizes(observability)
        for _ in range(100):
            for _ in range(100):
                observability.bus.record(EventType.SESSION_CREATED)
            assert observability.flush(timeout=30)
        after = sizes(observability)
        counts = observability.counts()
        assert observability.bus.event_count == 1_000

    assert len(healthy.seen) == 10_000
    assert {counts[name].delivered for name in ("leaking", "healthy")} == {10_000}
    assert after["threads"] - before["threads"] >= LEAKED_THREADS
    if sys.platform == "linux":
        assert after["resident_bytes"] - before["resident_bytes"] > LEAKED_BYTES / 2


@pytest.mark.parametrize("content", [None, b"", b"1", b"1 x"])
def test_memory_that_the_system_does_not_tell_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    statm = tmp_path / "statm"
    if content is not None:
        statm.write_bytes(content)
    monkeypatch.setattr(telemetry, "_STATM", statm)

    assert list(sizes(Observability())) == ["threads"]
