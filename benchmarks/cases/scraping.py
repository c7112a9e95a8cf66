"""A scrape over HTTP: our plugin, or prometheus_client's own metrics and server."""

import hashlib
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from benchmarks.cases import Measure, Measures

_BOUNDS = (0.005, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_LINES = len(_BOUNDS) + 3  # with +Inf, sum and count
_LABELS = ("agent_did", "session_id")
_COUNTERS = ("bench_events_total", "bench_breaches_total")
_GAUGES = ("bench_ring", "bench_elevation")
_HISTOGRAM = "bench_duration_seconds"


def prepare(*, side: str, series: int) -> Measure:
    """Measure ``seconds`` of both ends of a scrape, client included, and the text's digest.

    Two counters and two gauges have a fifth of the lines each, a histogram the last fifth.
    """
    fifth = series // 5
    port = _ours(fifth) if side == "ours" else _native(fifth)

    def measure() -> Measures:
        start = time.process_time()
        body = _scrape(port)
        return {"seconds": time.process_time() - start, "check": _digest(body, series)}

    return measure


def _labels(count: int) -> Iterator[tuple[str, ...]]:
    return ((f"did:mesh:agent-{n % 100:03d}", f"session-{n:06d}") for n in range(count))


def _ours(fifth: int) -> int:
    from benchmarks.cases.starting import start
    from hypervisor_observability import HistogramValue, MetricFamily, MetricKind
    from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin

    def families(names: tuple[str, ...], kind: MetricKind) -> list[MetricFamily]:
        series = {labels: n + 0.5 for n, labels in enumerate(_labels(fifth))}
        return [
            MetricFamily(name=name, kind=kind, help="Help.", label_names=_LABELS, series=series)
            for name in names
        ]

    value = HistogramValue((1,) * (len(_BOUNDS) + 1), 20.0)
    histogram = MetricFamily(
        name=_HISTOGRAM,
        kind=MetricKind.HISTOGRAM,
        help="Help.",
        unit="seconds",
        label_names=_LABELS,
        histograms=dict.fromkeys(_labels(fifth // _LINES), value),
        bounds=_BOUNDS,
    )
    shown = [
        *families(_COUNTERS, MetricKind.COUNTER),
        *families(_GAUGES, MetricKind.GAUGE),
        histogram,
    ]

    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    start(plugin, "prometheus", shown)
    return plugin.port


def _native(fifth: int) -> int:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        disable_created_metrics,
        start_http_server,
    )

    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client left it out
    registry = CollectorRegistry()
    for name in _COUNTERS:
        counter = Counter(name, "Help.", _LABELS, registry=registry)
        for number, labels in enumerate(_labels(fifth)):
            counter.labels(*labels).inc(number + 0.5)
    for name in _GAUGES:
        gauge = Gauge(name, "Help.", _LABELS, registry=registry)
        for number, labels in enumerate(_labels(fifth)):
            gauge.labels(*labels).set(number + 0.5)
    histogram = Histogram(_HISTOGRAM, "Help.", _LABELS, buckets=_BOUNDS, registry=registry)
    for labels in _labels(fifth // _LINES):
        for value in (0.0, 0.01, 0.07, 0.2, 0.7, 2.0, 6.0, 11.02):
            histogram.labels(*labels).observe(value)
    server, _ = start_http_server(0, "127.0.0.1", registry)
    return server.server_port


def _scrape(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    body = connection.getresponse().read()
    connection.close()
    return body


def _digest(body: bytes, series: int) -> str:
    lines = sorted(line for line in body.splitlines() if not line.startswith(b"#"))
    assert len(lines) == series, f"{len(lines)} lines"
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
