"""The rings' metrics: the four of the rings, and what holds at their edges."""

import gc
from collections import defaultdict
from typing import Any

import pytest

from hypervisor_observability import (
    Config,
    EventType,
    HypervisorEventBus,
    Observability,
    PrometheusExporterProtocol,
    RingMetricsCollector,
)
from hypervisor_observability.config import MetricsConfig

TRANSITIONS = "agent_hypervisor_ring_transitions_total"
BREACHES = "agent_hypervisor_ring_breaches_total"
CURRENT = "agent_hypervisor_ring_current"
DURATION = "agent_hypervisor_ring_elevation_duration_seconds"
ACTIVE = "agent_hypervisor_ring_elevation_active_seconds"
AGENT = "did:mesh:analyst"


class Exporter:
    def __init__(self) -> None:
        self.counters: dict[Any, float] = defaultdict(float)
        self.gauges: dict[Any, float] = {}

    def set_gauge(
        self,
        name: str,
        value: float,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        self.gauges[name, *sorted((labels or {}).items())] = value

    def inc_counter(
        self,
        name: str,
        value: float = 1.0,
        labels: dict[str, str] | None = None,
        help_text: str = "",
    ) -> None:
        self.counters[name, *sorted((labels or {}).items())] += value


class SlottedExporter(Exporter):
    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # as an attrs class with eq has it


def emit(bus: HypervisorEventBus, event_type: EventType, **payload: Any) -> None:
    bus.record(event_type, agent_did=AGENT, session_id="s1", payload=payload)


def test_transitions_breaches_and_current_ring_are_counted(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    emit(bus, EventType.RING_ASSIGNED, ring=3)
    emit(bus, EventType.RING_ELEVATED, from_ring=3, to_ring=1)
    emit(bus, EventType.RING_BREACH_DETECTED, attempted_tool="shell_exec")

    snapshot = collector.collect()
    assert snapshot[TRANSITIONS]["ring.assigned", AGENT, "s1"] == 1
    assert snapshot[TRANSITIONS]["ring.elevated", AGENT, "s1"] == 1
    assert snapshot[BREACHES][AGENT, "s1"] == 1
    assert snapshot[CURRENT][AGENT] == 1
    assert snapshot["events_processed"] == 3


def test_ring_zero_is_a_ring(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    emit(bus, EventType.RING_ELEVATED, from_ring=3, to_ring=0)

    assert collector.collect()[CURRENT][AGENT] == 0


@pytest.mark.parametrize("ring", ["2", 2.0, True, float("nan"), [1]])
def test_ring_that_is_no_integer_is_counted_not_raised(ring: object) -> None:
    bus = HypervisorEventBus()
    collector = RingMetricsCollector(bus)

    emit(bus, EventType.RING_ASSIGNED, ring=ring)

    exporter = Exporter()
    collector.export_to_prometheus(exporter)
    assert CURRENT not in {name for name, *_ in exporter.gauges}
    assert exporter.counters[("agent_hypervisor_ring_invalid_total",)] == 1
    assert bus.handler_errors == 0


def test_event_without_agent_or_session_is_labelled_unknown(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    bus.record(EventType.RING_BREACH_DETECTED)

    assert collector.collect()[BREACHES] == {("unknown", "unknown"): 1}


def test_finished_elevation_shows_its_duration_and_is_not_active(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    bus.record(EventType.RING_ELEVATED, agent_did=AGENT, session_id="s1", timestamp=100.0)
    bus.record(EventType.RING_DEMOTED, agent_did=AGENT, session_id="s1", timestamp=102.5)

    snapshot = collector.collect()
    assert snapshot[DURATION] == {AGENT: 2.5}
    assert snapshot[ACTIVE] == {}


def test_running_elevation_shows_in_both_gauges(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    emit(bus, EventType.RING_ELEVATED, to_ring=1)

    snapshot = collector.collect()
    assert snapshot[DURATION][AGENT] >= 0
    assert AGENT in snapshot[ACTIVE]


def test_elevations_are_kept_apart_by_session(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    bus.record(EventType.RING_ELEVATED, agent_did=AGENT, session_id="a", timestamp=100.0)
    bus.record(EventType.RING_ELEVATED, agent_did=AGENT, session_id="b", timestamp=200.0)
    bus.record(EventType.RING_ELEVATION_EXPIRED, agent_did=AGENT, session_id="b", timestamp=203.0)

    assert AGENT in collector.collect()[ACTIVE]
    bus.record(EventType.RING_DEMOTED, agent_did=AGENT, session_id="a", timestamp=107.0)
    assert collector.collect()[ACTIVE] == {}
    assert collector.collect()[DURATION] == {AGENT: 7.0}


def test_clock_that_steps_back_never_gives_a_negative_duration(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)

    bus.record(EventType.RING_ELEVATED, agent_did=AGENT, timestamp=100.0)
    bus.record(EventType.RING_DEMOTED, agent_did=AGENT, timestamp=50.0)

    assert collector.collect()[DURATION] == {AGENT: 0.0}


@pytest.mark.parametrize("kind", [Exporter, SlottedExporter])
def test_each_exporter_gets_what_was_added_since_its_last_call(kind: type[Exporter]) -> None:
    bus = HypervisorEventBus()
    collector = RingMetricsCollector(bus)
    first, second = kind(), kind()
    key = (BREACHES, ("agent_did", AGENT), ("session_id", "s1"))

    emit(bus, EventType.RING_BREACH_DETECTED)
    collector.export_to_prometheus(first)
    collector.export_to_prometheus(first)
    emit(bus, EventType.RING_BREACH_DETECTED)
    collector.export_to_prometheus(first)
    collector.export_to_prometheus(second)

    assert first.counters[key] == 2
    assert second.counters[key] == 2
    assert isinstance(first, PrometheusExporterProtocol)


def test_new_exporter_at_the_address_of_an_old_one_gets_everything(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)
    emit(bus, EventType.RING_BREACH_DETECTED)

    for _ in range(5):
        exporter = Exporter()
        collector.export_to_prometheus(exporter)
        assert sum(exporter.counters.values()) == 1
        del exporter
        gc.collect()


def test_reset_forgets_everything(bus: HypervisorEventBus) -> None:
    collector = RingMetricsCollector(bus)
    emit(bus, EventType.RING_ASSIGNED, ring=2)

    collector.reset()

    snapshot = collector.collect()
    assert snapshot[TRANSITIONS] == {}
    assert snapshot["events_processed"] == 0


def test_elevations_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_observability.facts.lasting.MAX_LASTING", 3)
    bus = HypervisorEventBus()
    collector = RingMetricsCollector(bus)

    for number in range(10):
        bus.record(EventType.RING_ELEVATED, agent_did=f"a{number}", payload={"to_ring": 1})

    assert set(collector.collect()[ACTIVE]) == {"a7", "a8", "a9"}


@pytest.mark.parametrize("ring", [4, -1, 10**400])
def test_ring_beyond_the_outermost_is_invalid(bus: HypervisorEventBus, ring: int) -> None:
    usual, wide = RingMetricsCollector(bus), RingMetricsCollector(bus, max_ring=7)

    emit(bus, EventType.RING_ASSIGNED, ring=ring)

    assert usual.collect()[CURRENT] == {}
    assert wide.collect()[CURRENT] == ({AGENT: 4} if ring == 4 else {})
    exporter = Exporter()
    usual.export_to_prometheus(exporter)
    assert exporter.counters[("agent_hypervisor_ring_invalid_total",)] == 1


def test_configuration_allows_further_rings() -> None:
    config = Config(metrics=MetricsConfig(max_ring=4))
    with Observability(config) as observability:
        for number, ring in enumerate((4, 5)):
            agent = f"did:{number}"
            observability.bus.record(
                EventType.RING_ASSIGNED, agent_did=agent, payload={"ring": ring}
            )
        families = {one.name: dict(one.series) for one in observability.collect_metrics()}

    assert families[CURRENT] == {("did:0",): 4}
    assert families["agent_hypervisor_ring_invalid_total"] == {(): 1}
