"""What readers cost the whole process: events recorded, read, and handed to plugins."""

import gc
import time
from collections.abc import Sequence

from benchmarks.cases import Measure, Measures
from hypervisor_observability import FinishedSpan, HypervisorEvent, Observability, hookimpl

_STEPS = 3


class _Events:
    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Take them, and do nothing."""


class _Spans:
    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Take them, and do nothing."""


_PLUGINS = {"events": _Events, "spans": _Spans}


def prepare(
    *, plugins: Sequence[str], spans: int, one_more: str = "", port: int | None = None
) -> Measure:
    """Measure CPU seconds of the process, ``span`` and ``event``; with *one_more*, those that a
    further plugin of that kind adds.

    Args:
        plugins: Kinds of plugins: ``events`` and ``spans`` do nothing, ``otel`` sends.
        spans: How many are recorded.
        one_more: A kind; empty: none.
        port: Of a receiver.
    """
    running = _started(plugins, port)
    more = _started([*plugins, one_more], port) if one_more else None

    def measure() -> Measures:
        seconds = _seconds(running, spans)
        if more is not None:
            gc.collect()
            seconds = _seconds(more, spans) - seconds
        return {"span": seconds / spans, "event": seconds / (2 * spans)}

    return measure


def _started(kinds: Sequence[str], port: int | None) -> Observability:
    return Observability(plugins=[_plugin(kind, port) for kind in kinds]).start()


def _plugin(kind: str, port: int | None) -> object:
    if kind != "otel":
        return _PLUGINS[kind]()
    from hypervisor_otel import OTelConfig, OTelPlugin

    return OTelPlugin(OTelConfig(endpoint=f"http://127.0.0.1:{port}"))


def _seconds(running: Observability, spans: int) -> float:
    start = time.process_time()
    record(running, spans)
    return time.process_time() - start


def record(running: Observability, spans: int) -> None:
    """Record sagas of three steps, so that *spans* spans end, and deliver them."""
    sagas = spans // (1 + _STEPS)
    assert sagas * (1 + _STEPS) == spans
    recorder = running.recorder
    for _ in range(sagas):
        with recorder.saga("deploy") as saga:
            for name in ("validate", "build", "roll-out"):
                with saga.step(name):
                    pass
    assert running.flush(60)
    running.collect_metrics()  # so that the metrics have counted all of it, too
