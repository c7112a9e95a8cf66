"""What plugins cost the thread that emits."""

import time
from statistics import quantiles

from benchmarks.cases import Measure, Measures
from benchmarks.cases.emitting import record
from benchmarks.cases.events import callers
from hypervisor_jaeger import JaegerConfig, JaegerPlugin
from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Observability
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_statsd import StatsDConfig, StatsDPlugin

Ports = dict[str, int]


def four_plugins(ports: Ports, *, hung: bool = False) -> list[object]:
    """One of each; *hung*: the first sends to a server that never answers."""
    otel = ports["hung" if hung else "otlp"]
    return [
        OTelPlugin(OTelConfig(endpoint=f"http://127.0.0.1:{otel}")),
        PrometheusPlugin(PrometheusConfig(port=0)),
        StatsDPlugin(StatsDConfig(port=ports["udp"])),
        JaegerPlugin(JaegerConfig(endpoint=f"http://127.0.0.1:{ports['otlp']}")),
    ]


def prepare(
    *, events: int, ports: Ports, sets: int = 0, hung: bool = False, paced: bool = False
) -> Measure:
    """Measure an event's ``emit`` and ``record`` in CPU seconds of the emitting thread, or, if
    *paced*, the ``median`` and the ``p99`` of single emits in wall seconds.

    Args:
        sets: How many times the four plugins run.
        paced: Five events each millisecond, as from a busy application.
    """
    who = callers(events)
    if not sets:
        bus = HypervisorEventBus()
        return lambda: _cost(bus, who)
    plugins = [plugin for _ in range(sets) for plugin in four_plugins(ports, hung=hung)]
    running = Observability(plugins=plugins).start()
    assert set(running.states().values()) == {"running"}
    if paced:
        _paced(running.bus, who[:1_000])
        return lambda: _paced(running.bus, who)

    def measure() -> Measures:
        measures = _cost(running.bus, who)
        running.flush(10)
        return measures

    return measure


def _event(session: str, agent: str) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=EventType.RING_BREACH_DETECTED,
        session_id=session,
        agent_did=agent,
        payload={"attempted_tool": "shell_exec", "ring": 3},
    )


def _cost(bus: HypervisorEventBus, who: list[tuple[str, str]]) -> Measures:
    ready = [_event(session, agent) for session, agent in who]
    start = time.thread_time()
    for event in ready:
        bus.emit(event)
    middle = time.thread_time()
    record(bus, who)
    end = time.thread_time()
    return {"emit": (middle - start) / len(who), "record": (end - middle) / len(who)}


def _paced(bus: HypervisorEventBus, who: list[tuple[str, str]]) -> Measures:
    took = []
    clock = time.perf_counter_ns
    for number, (session, agent) in enumerate(who):
        event = _event(session, agent)
        start = clock()
        bus.emit(event)
        took.append(clock() - start)
        if number % 5 == 4:
            time.sleep(0.001)
    cuts = quantiles(took, n=100)
    return {"median": cuts[49] / 1e9, "p99": cuts[98] / 1e9}
