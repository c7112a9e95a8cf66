"""Finished spans as OTLP has them. Pure functions; no I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from hypervisor_observability.spans.record import (
    AttributeValue,
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel import wire
from hypervisor_otel.attributes import MAX_NAME_CHARACTERS, add_attributes
from hypervisor_otel.profiles import profiled, span_attributes
from hypervisor_otel.request import Request
from hypervisor_otel.scope import describe_scope

MAX_EVENTS = 128
"""Most events of a span: OpenTelemetry's default (SDK, Span Limits)."""

MAX_LINKS = 128
"""Most links of a span: OpenTelemetry's default (SDK, Span Limits)."""

# As the SDK has it for whatever is not known to come from another process.
_FLAGS = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK.to_bytes(4, "little")

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8

# Fields are named by their tags: number and wire type (opentelemetry-proto, trace.proto).
_KINDS = {
    SpanKind.INTERNAL.value: b"\x30" + bytes([trace_pb2.Span.SPAN_KIND_INTERNAL]),
    SpanKind.CLIENT.value: b"\x30" + bytes([trace_pb2.Span.SPAN_KIND_CLIENT]),
}
_STATUSES = {
    SpanStatus.UNSET.value: b"",
    SpanStatus.OK.value: b"\x18" + bytes([trace_pb2.Status.STATUS_CODE_OK]),
    SpanStatus.ERROR.value: b"\x18" + bytes([trace_pb2.Status.STATUS_CODE_ERROR]),
}

Group = tuple[Sequence[FinishedSpan], Mapping[str, AttributeValue]]
"""Spans, and what they come from."""


def request_of_spans(groups: Iterable[Group], profiles: Collection[str] = ()) -> Request:
    """Give the request that exports spans of several services, each with its resource.

    Strings and numbers of entries are cut as the limits of this module and of
    :mod:`hypervisor_otel.attributes` say; what is left out is counted in the spans.

    Args:
        groups: In the order in which they are to stand.
        profiles: Names of attribute profiles; none: attributes are sent as they are.

    Raises:
        ValueError: An id of a span is malformed.
    """
    scope = InstrumentationScope()
    schema_url = wire.text(b"\x1a", describe_scope(scope, profiles))
    scope_field = wire.sized(b"\x0a", scope.SerializeToString())
    written, count = [], 0
    for spans, described in groups:
        resource = Resource()
        resource.dropped_attributes_count = add_attributes(resource.attributes, described)
        span_fields = [wire.sized(b"\x12", _span(span, profiles)) for span in spans]
        scope_spans = b"".join((scope_field, *span_fields, schema_url))
        group = wire.sized(b"\x0a", resource.SerializeToString()) + wire.sized(b"\x12", scope_spans)
        written.append(wire.sized(b"\x0a", group))
        count += len(spans)
    return Request(b"".join(written), count)


def encode_spans(
    spans: Sequence[FinishedSpan],
    resource: Mapping[str, AttributeValue],
    profiles: Collection[str] = (),
) -> ExportTraceServiceRequest:
    """Give what ``request_of_spans`` gives for *spans*, all of the service that *resource*
    describes, as the official message.

    Raises:
        ValueError: An id of a span is malformed.
    """
    return encode_groups([(spans, resource)], profiles)


def encode_groups(
    groups: Iterable[Group], profiles: Collection[str] = ()
) -> ExportTraceServiceRequest:
    """Give what ``request_of_spans`` gives as the official message.

    Raises:
        ValueError: An id of a span is malformed.
    """
    return ExportTraceServiceRequest.FromString(request_of_spans(groups, profiles).body)


def encode_span(span: FinishedSpan) -> trace_pb2.Span:
    """Give *span* as the official message, with its own ids and times.

    Raises:
        ValueError: An id is malformed.
    """
    return trace_pb2.Span.FromString(_span(span, ()))


def _span(span: FinishedSpan, profiles: Collection[str]) -> bytes:
    parent, events, links = span.parent_span_id, span.events, span.links
    said = profiled(span, profiles) if profiles else span_attributes(span)
    status = _STATUSES[span.status._value_]
    if span.status_message:
        status = wire.text(b"\x12", span.status_message) + status
    written = [
        _trace_id(span.trace_id),
        _span_id(b"\x12\x08", span.span_id),
        b"" if parent is None else _span_id(b"\x22\x08", parent),
        wire.text(b"\x2a", span.name, MAX_NAME_CHARACTERS) if span.name else b"",
        _KINDS[span.kind._value_],
        wire.time(b"\x39", span.start_ns),
        wire.time(b"\x41", span.end_ns),
        *wire.attributes(b"\x4a", b"\x50", said),
    ]
    if events:
        written += [wire.sized(b"\x5a", _event(event)) for event in events[:MAX_EVENTS]]
        written.append(wire.count(b"\x60", max(0, len(events) - MAX_EVENTS)))
    if links:
        written += [wire.sized(b"\x6a", _link(link)) for link in links[:MAX_LINKS]]
        written.append(wire.count(b"\x70", max(0, len(links) - MAX_LINKS)))
    written += (wire.sized(b"\x7a", status), b"\x85\x01", _FLAGS)
    return b"".join(written)


def _event(event: SpanEvent) -> bytes:
    name = wire.text(b"\x12", event.name, MAX_NAME_CHARACTERS) if event.name else b""
    said = wire.attributes(b"\x1a", b"\x20", event.attributes)
    return b"".join((wire.time(b"\x09", event.time_ns), name, *said))


def _link(link: SpanLink) -> bytes:
    ids = _trace_id(link.trace_id) + _span_id(b"\x12\x08", link.span_id)
    said = wire.attributes(b"\x22", b"\x28", link.attributes)
    return b"".join((ids, *said, b"\x35", _FLAGS))


def _trace_id(text: str) -> bytes:
    return b"\x0a\x10" + _id(text, _TRACE_ID_BYTES)


def _span_id(tag: bytes, text: str) -> bytes:
    return tag + _id(text, _SPAN_ID_BYTES)


def _id(text: str, length: int) -> bytes:
    # bytes.fromhex alone would take blanks between the digits.
    if len(text) == 2 * length:
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) == length:
            return found
    msg = f"expected an id of {2 * length} hexadecimal digits, got {text[:80]!r}"
    raise ValueError(msg)
