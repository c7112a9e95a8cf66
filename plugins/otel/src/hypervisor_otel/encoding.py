"""Finished spans as the official protobuf messages of OTLP. Pure functions; no I/O."""

from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from hypervisor_observability import __version__
from hypervisor_observability.spans.record import (
    AttributeValue,
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel.attributes import MAX_NAME_CHARACTERS, encode_attributes, fit_text
from hypervisor_otel.resource import SCOPE_NAME

MAX_EVENTS = 128
"""Most events of a span: OpenTelemetry's default (SDK, Span Limits)."""

MAX_LINKS = 128
"""Most links of a span: OpenTelemetry's default (SDK, Span Limits)."""

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_MAX_TIME_NS = 2**64 - 1

_KINDS = {
    SpanKind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    SpanKind.CLIENT: trace_pb2.Span.SPAN_KIND_CLIENT,
}
_STATUSES = {
    SpanStatus.UNSET: trace_pb2.Status.STATUS_CODE_UNSET,
    SpanStatus.OK: trace_pb2.Status.STATUS_CODE_OK,
    SpanStatus.ERROR: trace_pb2.Status.STATUS_CODE_ERROR,
}


def encode_spans(
    spans: Sequence[FinishedSpan], resource: Mapping[str, AttributeValue]
) -> ExportTraceServiceRequest:
    """Give the request that exports *spans*, all of the service that *resource* describes.

    Raises:
        ValueError: An id of a span is malformed.
    """
    return encode_groups([(spans, resource)])


def encode_groups(
    groups: Iterable[tuple[Sequence[FinishedSpan], Mapping[str, AttributeValue]]],
) -> ExportTraceServiceRequest:
    """Give the request that exports spans of several services, each with its resource.

    Raises:
        ValueError: An id of a span is malformed.
    """
    return ExportTraceServiceRequest(
        resource_spans=[_resource_spans(spans, resource) for spans, resource in groups]
    )


def _resource_spans(
    spans: Sequence[FinishedSpan], resource: Mapping[str, AttributeValue]
) -> trace_pb2.ResourceSpans:
    attributes, dropped = encode_attributes(resource)
    scope = InstrumentationScope(name=SCOPE_NAME, version=__version__)
    return trace_pb2.ResourceSpans(
        resource=Resource(attributes=attributes, dropped_attributes_count=dropped),
        scope_spans=[
            trace_pb2.ScopeSpans(scope=scope, spans=[encode_span(span) for span in spans])
        ],
    )


def encode_span(span: FinishedSpan) -> trace_pb2.Span:
    """Give *span* with its own ids and times.

    Strings and numbers of entries are cut as the limits of this module and of
    :mod:`hypervisor_otel.attributes` say; what is left out is counted in the message.

    Raises:
        ValueError: An id is malformed.
    """
    attributes, dropped = encode_attributes(span_attributes(span))
    message = trace_pb2.Span(
        trace_id=_id(span.trace_id, _TRACE_ID_BYTES),
        span_id=_id(span.span_id, _SPAN_ID_BYTES),
        name=fit_text(span.name, MAX_NAME_CHARACTERS),
        kind=_KINDS[span.kind],
        start_time_unix_nano=_time(span.start_ns),
        end_time_unix_nano=_time(span.end_ns),
        attributes=attributes,
        dropped_attributes_count=dropped,
        events=[_event(event) for event in span.events[:MAX_EVENTS]],
        dropped_events_count=max(0, len(span.events) - MAX_EVENTS),
        links=[_link(link) for link in span.links[:MAX_LINKS]],
        dropped_links_count=max(0, len(span.links) - MAX_LINKS),
        status=trace_pb2.Status(code=_STATUSES[span.status], message=fit_text(span.status_message)),
    )
    if span.parent_span_id is not None:
        message.parent_span_id = _id(span.parent_span_id, _SPAN_ID_BYTES)
    return message


def span_attributes(span: FinishedSpan) -> dict[str, AttributeValue]:
    """The attributes of *span*, with its agent and session where they are not among them."""
    attributes = dict(span.attributes)
    if span.agent_did is not None:
        attributes.setdefault("agent.did", span.agent_did)
    if span.session_id is not None:
        attributes.setdefault("session.id", span.session_id)
    return attributes


def _event(event: SpanEvent) -> trace_pb2.Span.Event:
    attributes, dropped = encode_attributes(event.attributes)
    return trace_pb2.Span.Event(
        time_unix_nano=_time(event.time_ns),
        name=fit_text(event.name, MAX_NAME_CHARACTERS),
        attributes=attributes,
        dropped_attributes_count=dropped,
    )


def _link(link: SpanLink) -> trace_pb2.Span.Link:
    attributes, dropped = encode_attributes(link.attributes)
    return trace_pb2.Span.Link(
        trace_id=_id(link.trace_id, _TRACE_ID_BYTES),
        span_id=_id(link.span_id, _SPAN_ID_BYTES),
        attributes=attributes,
        dropped_attributes_count=dropped,
    )


def _id(text: str, length: int) -> bytes:
    # bytes.fromhex alone would take blanks between the digits.
    if len(text) == 2 * length:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    msg = f"expected an id of {2 * length} hexadecimal digits, got {text[:80]!r}"
    raise ValueError(msg)


def _time(time_ns: int) -> int:
    """Keep a time within OTLP's unsigned 64 bits; it knows none before 1970."""
    return min(max(0, time_ns), _MAX_TIME_NS)
