"""Spans to an OTLP receiver, until it has decoded the last one."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.cases import Measure, Measures
from benchmarks.cases.arrivals import arrived, wait_for

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_BATCH = 512  # both sides' default
_STEPS = 3


def prepare(*, side: str, spans: int, port: int) -> Measure:
    """Measure a span in ``wall`` seconds and, of the sending process, ``cpu`` seconds.

    Args:
        side: ``records`` sends our finished spans, ``events`` starts at the recorder, ``sdk``
            at ``start_span``, and ``sdk-nested`` does so for spans like those of the recorder.
    """
    sides = {"records": _records, "events": _events, "sdk": _sdk, "sdk-nested": _sdk_nested}
    send = sides[side](spans, port)

    def measure() -> Measures:
        target = arrived(port) + spans
        cpu, wall = time.process_time(), time.perf_counter()
        send()
        assert wait_for(port, target), f"{target - arrived(port)} of {spans} spans are missing"
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert arrived(port) == target
        return {"wall": wall / spans, "cpu": cpu / spans}

    return measure


def _endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _records(count: int, port: int) -> Callable[[], None]:
    from benchmarks.cases.span_records import finished_spans, verify
    from benchmarks.cases.starting import start
    from hypervisor_otel import OTelConfig, OTelPlugin

    verify()
    records = finished_spans(count)
    plugin = OTelPlugin(OTelConfig(endpoint=_endpoint(port)))
    start(plugin, "otel")

    def send() -> None:
        for first in range(0, count, _BATCH):
            plugin.export_spans(records[first : first + _BATCH])

    return send


def _events(count: int, port: int) -> Callable[[], None]:
    from benchmarks.cases.whole_way import record
    from hypervisor_observability import Observability
    from hypervisor_otel import OTelConfig, OTelPlugin

    running = Observability(plugins=[OTelPlugin(OTelConfig(endpoint=_endpoint(port)))]).start()
    return lambda: record(running, count)


def _sdk(count: int, port: int) -> Callable[[], None]:
    from opentelemetry.trace import Status, StatusCode

    tracer, flush = _tracer(count, port)

    def send() -> None:
        for number in range(count):
            span = tracer.start_span(
                "saga.step.validate",
                attributes={
                    "agent.saga.step_action": "validate",
                    "agent.did": f"did:mesh:agent-{number % 100:03d}",
                    "session.id": f"session-{number % 1_000:06d}",
                    "agent.ring": 2,
                },
            )
            span.set_status(Status(StatusCode.OK))
            span.end()
        assert flush(60_000)

    return send


def _sdk_nested(count: int, port: int) -> Callable[[], None]:
    from opentelemetry.trace import Status, StatusCode

    tracer, flush = _tracer(count, port)
    ok = Status(StatusCode.OK)

    def send() -> None:
        for number in range(count // (1 + _STEPS)):
            saga = {"agent.saga.id": f"deploy-{number:08x}"}
            with tracer.start_as_current_span("saga deploy", attributes=saga) as outer:
                for name in ("validate", "build", "roll-out"):
                    with tracer.start_as_current_span(
                        f"saga.step.{name}",
                        attributes={
                            **saga,
                            "agent.saga.step_id": name,
                            "agent.saga.step_action": name,
                            "agent.saga.attempt": 1,
                        },
                    ) as inner:
                        inner.set_attribute("agent.saga.state", "ok")
                        inner.set_status(ok)
                outer.set_attribute("agent.saga.outcome", "committed")
                outer.set_attribute("agent.saga.state", "ok")
                outer.set_status(ok)
        assert flush(60_000)

    return send


def _tracer(count: int, port: int) -> tuple["Tracer", Callable[[int], bool]]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource({"service.name": "benchmark"}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=f"{_endpoint(port)}/v1/traces")
    # Its default queue drops what does not fit, and then nothing could be compared.
    processor = BatchSpanProcessor(exporter, max_queue_size=2 * count)
    provider.add_span_processor(processor)
    return provider.get_tracer("benchmark"), provider.force_flush
