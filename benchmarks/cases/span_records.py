"""Finished spans to send, and the proof that they arrive as they are."""

import logging

from hypervisor_observability import FinishedSpan, SpanStatus
from hypervisor_otel import OTelConfig, OTLPSender, encode_spans
from hypervisor_otel.receiver import OTLPReceiver, ReceivedSpan


def finished_spans(count: int) -> list[FinishedSpan]:
    """*count* steps of sagas, with four attributes each, as the peer's have."""
    return [
        FinishedSpan(
            name="saga.step.validate",
            trace_id=f"{number + 1:032x}",
            span_id=f"{number + 1:016x}",
            parent_span_id=None,
            start_ns=1_800_000_000_000_000_000 + number * 1_000,
            end_ns=1_800_000_000_000_000_500 + number * 1_000,
            status=SpanStatus.OK,
            attributes={
                "agent.saga.step_action": "validate",
                "agent.did": f"did:mesh:agent-{number % 100:03d}",
                "session.id": f"session-{number % 1_000:06d}",
                "agent.ring": 2,
            },
        )
        for number in range(count)
    ]


def verify() -> None:
    """Send some spans to a receiver that decodes them, and compare all that they hold."""
    sent = finished_spans(200)
    with OTLPReceiver() as receiver:
        sender = OTLPSender(OTelConfig(endpoint=receiver.endpoint), logging.getLogger("benchmark"))
        sender.send(encode_spans(sent, {"service.name": "benchmark"}))
        sender.close()
        assert receiver.wait_for(len(sent))
        assert list(map(_content, receiver.spans)) == list(map(_expected, sent))


def _content(span: ReceivedSpan) -> tuple[object, ...]:
    message = span.message
    times = message.start_time_unix_nano, message.end_time_unix_nano
    ids = span.trace_id, span.span_id, span.parent_span_id
    return (span.name, ids, times, message.status.code, span.attributes)


def _expected(span: FinishedSpan) -> tuple[object, ...]:
    ids = span.trace_id, span.span_id, span.parent_span_id
    # 1 is STATUS_CODE_OK in OTLP's trace.proto.
    return (span.name, ids, (span.start_ns, span.end_ns), 1, dict(span.attributes))
