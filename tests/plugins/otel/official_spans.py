"""Spans filled into the official classes of OTLP: what our bytes are compared with."""

from collections.abc import Collection, Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from hypervisor_observability.spans.record import (
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel.attributes import MAX_NAME_CHARACTERS, add_attributes, fit_text, fit_time
from hypervisor_otel.encoding import MAX_EVENTS, MAX_LINKS, Group
from hypervisor_otel.profiles import profiled, span_attributes
from hypervisor_otel.scope import describe_scope

_FLAGS = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_KINDS = {
    SpanKind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    SpanKind.CLIENT: trace_pb2.Span.SPAN_KIND_CLIENT,
}
_STATUSES = {
    SpanStatus.UNSET: trace_pb2.Status.STATUS_CODE_UNSET,
    SpanStatus.OK: trace_pb2.Status.STATUS_CODE_OK,
    SpanStatus.ERROR: trace_pb2.Status.STATUS_CODE_ERROR,
}


def official_request(
    groups: Iterable[Group], profiles: Collection[str] = ()
) -> ExportTraceServiceRequest:
    """Give the request that exports spans of several services, each with its resource."""
    request = ExportTraceServiceRequest()
    for spans, resource in groups:
        group = request.resource_spans.add()
        group.resource.dropped_attributes_count = add_attributes(
            group.resource.attributes, resource
        )
        scope_spans = group.scope_spans.add()
        scope_spans.schema_url = describe_scope(scope_spans.scope, profiles)
        for span in spans:
            _fill(scope_spans.spans.add(), span, profiles)
    return request


def _fill(message: trace_pb2.Span, span: FinishedSpan, profiles: Collection[str]) -> None:
    message.trace_id = bytes.fromhex(span.trace_id)
    message.span_id = bytes.fromhex(span.span_id)
    if span.parent_span_id is not None:
        message.parent_span_id = bytes.fromhex(span.parent_span_id)
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
    message.trace_id = bytes.fromhex(link.trace_id)
    message.span_id = bytes.fromhex(link.span_id)
    message.flags = _FLAGS
    message.dropped_attributes_count = add_attributes(message.attributes, link.attributes)
