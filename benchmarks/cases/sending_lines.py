"""StatsD lines to a receiver on this machine: our plugin, or the statsd package, call by call."""

import logging
import time
from collections.abc import Callable

from benchmarks.cases import Measure, Measures
from benchmarks.cases.arrivals import arrived, settled

_NAME = "agent_hypervisor_ring_breaches_total"


def prepare(*, side: str, lines: int, port: int) -> Measure:
    """Measure a line in CPU ``seconds`` of the sender, and how many lines were ``lost``.

    Both sides send the same lines: increments by one of counters whose names hold an agent
    and a session.
    """
    labels = [(f"agent-{n % 100:03d}", f"session-{n:06d}") for n in range(lines)]
    send = (_ours if side == "ours" else _call_by_call)(labels, port)

    def measure() -> Measures:
        before = arrived(port)
        start = time.process_time()
        send()
        seconds = (time.process_time() - start) / lines
        return {"seconds": seconds, "lost": before + lines - settled(port)}

    return measure


def _ours(labels: list[tuple[str, str]], port: int) -> Callable[[], None]:
    from hypervisor_observability import MetricFamily, MetricKind
    from hypervisor_statsd import StatsDConfig, StatsDPlugin, TagDialect

    logging.getLogger("hypervisor_observability").setLevel(logging.ERROR)
    plugin = StatsDPlugin(StatsDConfig(port=port, tags=TagDialect.NONE))
    total = 0

    def send() -> None:
        nonlocal total
        total += 1
        family = MetricFamily(
            name=_NAME,
            kind=MetricKind.COUNTER,
            help="Help.",
            label_names=("agent_did", "session_id"),
            series=dict.fromkeys(labels, total),
        )
        plugin.export_metrics([family])

    return send


def _call_by_call(labels: list[tuple[str, str]], port: int) -> Callable[[], None]:
    from statsd import StatsClient

    client = StatsClient("127.0.0.1", port)

    def send() -> None:
        for agent, session in labels:
            client.incr(f"{_NAME}.{agent}.{session}")

    return send
