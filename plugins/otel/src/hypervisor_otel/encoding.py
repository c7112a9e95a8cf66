"""Finished spans as the official protobuf messages of OTLP. Pure functions; no I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from hypervisor_observability.spans.record import (
    AttributeValue,
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel.attributes import MAX_NAME_CHARACTERS, add_attributes, fit_text, fit_time
from hypervisor_otel.profiles import profiled, span_attributes
from hypervisor_otel.scope import describe_scope

MAX_EVENTS = 128
"""Most events of a span: OpenTelemetry's default (SDK, Span Limits)."""

MAX_LINKS = 128
"""Most links of a span: OpenTelemetry's default (SDK, Span Limits)."""

# As the SDK has it for whatever is not known to come from another process.
_FLAGS = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8

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
    spans: Sequence[FinishedSpan],
    resource: Mapping[str, AttributeValue],
    profiles: Collection[str] = (),
) -> ExportTraceServiceRequest:
    """Give the request that exports *spans*, all of the service that *resource* describes.

    Args:
        spans: In the order in which they are to stand.
        resource: What they come from.
        profiles: Names of attribute profiles; none: attributes are sent as they are.

    Raises:
        ValueError: An id of a span is malformed.
    """
    return encode_groups([(spans, resource)], profiles)


def encode_groups(
    groups: Iterable[tuple[Sequence[FinishedSpan], Mapping[str, AttributeValue]]],
    profiles: Collection[str] = (),
) -> ExportTraceServiceRequest:
    """Give the request that exports spans of several services, each with its resource.

    Raises:
        ValueError: An id of a span is malformed.
    """
    request = ExportTraceServiceRequest()
    for spans, resource in groups:
        group = request.resource_spans.add()
        group.resource.dropped_attributes_count = add_attributes(
            group.resource.attributes, resource
        )
        scope_spans = group.scope_spans.add()
        scope_spans.schema_url = describe_scope(scope_spans.scope, profiles)
        add = scope_spans.spans.add
        for span in spans:
            _fill(add(), span, profiles)
    return request


def encode_span(span: FinishedSpan) -> trace_pb2.Span:
    """Give *span* with its own ids and times.

    Strings and numbers of entries are cut as the limits of this module and of
    :mod:`hypervisor_otel.attributes` say; what is left out is counted in the message.

    Raises:
        ValueError: An id is malformed.
    """
    message = trace_pb2.Span()
    _fill(message, span, ())
    return message


def _fill(message: trace_pb2.Span, span: FinishedSpan, profiles: Collection[str]) -> None:
    message.trace_id = _id(span.trace_id, _TRACE_ID_BYTES)
    message.span_id = _id(span.span_id, _SPAN_ID_BYTES)
    if span.parent_span_id is not None:
        message.parent_span_id = _id(span.parent_span_id, _SPAN_ID_BYTES)
    message.name = fit_text(span.name, MAX_NAME_CHARACTERS)
    message.kind = _KINDS[span.kind]
    message.flags = _FLAGS
    message.start_time_unix_nano = fit_time(span.start_ns)
    message.end_time_unix_nano = fit_time(span.end_ns)
    attributes = profiled(span, profiles) if profiles else span_attributes(span)
    dropped = add_attributes(message.attributes, attributes)
    if dropped:
        message.dropped_attributes_count = dropped
    message.status.code = _STATUSES[span.status]
    if span.status_message:
        message.status.message = fit_text(span.status_message)
    if span.events:
        for event in span.events[:MAX_EVENTS]:
            _fill_event(message.events.add(), event)
        message.dropped_events_count = max(0, len(span.events) - MAX_EVENTS)
    if span.links:
        for link in span.links[:MAX_LINKS]:
            _fill_link(message.links.add(), link)
        message.dropped_links_count = max(0, len(span.links) - MAX_LINKS)


def _fill_event(message: trace_pb2.Span.Event, event: SpanEvent) -> None:
    message.time_unix_nano = fit_time(event.time_ns)
    message.name = fit_text(event.name, MAX_NAME_CHARACTERS)
    message.dropped_attributes_count = add_attributes(message.attributes, event.attributes)


def _fill_link(message: trace_pb2.Span.Link, link: SpanLink) -> None:
    message.trace_id = _id(link.trace_id, _TRACE_ID_BYTES)
    message.span_id = _id(link.span_id, _SPAN_ID_BYTES)
    message.flags = _FLAGS
    message.dropped_attributes_count = add_attributes(message.attributes, link.attributes)


def _id(text: str, length: int) -> bytes:
    # bytes.fromhex alone would take blanks between the digits.
    if len(text) == 2 * length:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    msg = f"expected an id of {2 * length} hexadecimal digits, got {text[:80]!r}"
    raise ValueError(msg)
