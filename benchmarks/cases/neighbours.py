"""The same work in other libraries: one event, its session, its agent and two details."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.cases import Measure, Measures

Work = Callable[[str, str], object]
_NAME = "ring.breach_detected"


def with_structlog() -> Work:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(_null()),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger()
    return lambda session, agent: log.info(
        _NAME, session_id=session, agent_did=agent, attempted_tool="shell_exec", ring=3
    )


def with_eliot() -> Work:
    import eliot

    eliot.to_file(_null())
    return lambda session, agent: eliot.log_message(
        _NAME, session_id=session, agent_did=agent, attempted_tool="shell_exec", ring=3
    )


def with_logging() -> Work:
    handler = logging.StreamHandler(_null())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("benchmark")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return lambda session, agent: log.info(
        "%s session=%s agent=%s tool=%s ring=%d", _NAME, session, agent, "shell_exec", 3
    )


def with_blinker() -> Work:
    from blinker import Signal

    signal = Signal()

    def receive(sender: object, **details: object) -> None:
        pass

    signal.connect(receive)
    return lambda session, agent: signal.send(
        _NAME, session_id=session, agent_did=agent, payload={"tool": "shell_exec", "ring": 3}
    )


def with_otel() -> Work:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1 << 20))
    tracer = provider.get_tracer("benchmark")
    return lambda session, agent: tracer.start_span(
        _NAME,
        attributes={
            "session.id": session,
            "agent.did": agent,
            "attempted_tool": "shell_exec",
            "ring": 3,
        },
    ).end()


_LIBRARIES = {
    "structlog": with_structlog,
    "eliot": with_eliot,
    "logging": with_logging,
    "blinker": with_blinker,
    "otel": with_otel,
}


def prepare(*, library: str, events: int) -> Measure:
    """Measure ``seconds`` an event."""
    work = _LIBRARIES[library]()
    who = [(f"session-{n % 1_000:06d}", f"did:mesh:agent-{n % 100:03d}") for n in range(events)]

    def measure() -> Measures:
        start = time.process_time()
        for session, agent in who:
            work(session, agent)
        return {"seconds": (time.process_time() - start) / events}

    return measure


def _null() -> Any:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open until the end
