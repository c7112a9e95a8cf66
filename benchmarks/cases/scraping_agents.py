"""A scrape of a running application: everything that it shows of its agents."""

import time
from http.client import HTTPConnection

from benchmarks.cases import Measure, Measures
from hypervisor_observability import CausalTraceId, EventType, Observability
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin

_ACCEPTED = {
    "text": "text/plain; version=0.0.4",
    "openmetrics": "application/openmetrics-text; version=1.0.0",
}


def prepare(*, agents: int, samples: int) -> Measure:
    """Measure the CPU ``text`` and ``openmetrics`` take of both ends of a scrape.

    Before each of them every agent works, so that every value and every exemplar is new.

    Args:
        agents: How many there are, each in a session of its own.
        samples: How many samples there are at least.
    """
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    running = Observability(plugins=[plugin]).start()

    def work() -> None:
        for number in range(agents):
            trace = CausalTraceId()
            for kind in (EventType.RING_ASSIGNED, EventType.RING_BREACH_DETECTED):
                running.bus.record(
                    kind,
                    agent_did=f"did:mesh:agent-{number}",
                    session_id=f"session-{number}",
                    causal_trace_id=trace.full_id,
                    payload={"ring": 3},
                )
        assert running.flush(30)

    def measure() -> Measures:
        measures: Measures = {}
        for name, accept in _ACCEPTED.items():
            work()
            start = time.process_time()
            body = _scrape(plugin.port, accept)
            measures[name] = time.process_time() - start
            shown = sum(not line.startswith(b"#") for line in body.splitlines())
            assert shown >= samples, f"{shown} samples"
        return measures

    return measure


def _scrape(port: int, accept: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    body = connection.getresponse().read()
    connection.close()
    return body
