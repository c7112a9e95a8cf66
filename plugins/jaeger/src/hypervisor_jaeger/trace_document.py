"""Finished spans in Jaeger's own JSON, as its user interface uploads and its API serves it.

Pure functions. Times are microseconds there, so that nanoseconds are lost.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypervisor_observability import __version__
from hypervisor_observability.spans.record import (
    AttributeValue,
    FinishedSpan,
    SpanEvent,
    SpanStatus,
)
from hypervisor_otel import MAX_NAME_CHARACTERS, SCOPE_NAME, fit_integer, fit_text, span_attributes

JsonObject = dict[str, Any]


def trace_document(
    spans_by_service: Mapping[str, Sequence[FinishedSpan]],
    process_tags: Mapping[str, AttributeValue],
) -> JsonObject:
    """Give the document that holds *spans_by_service*.

    Args:
        spans_by_service: Spans under the name of their service.
        process_tags: What to say of every service.

    Returns:
        A dict that ``json.dumps`` takes. Traces and spans stand in the order of their start.
    """
    traces: dict[str, JsonObject] = {}
    rows = [(span, service) for service, spans in spans_by_service.items() for span in spans]
    for span, service in sorted(rows, key=lambda row: row[0].start_ns):
        trace = traces.setdefault(
            span.trace_id, {"traceID": span.trace_id, "spans": [], "processes": {}}
        )
        processes = trace["processes"]
        process_id = _process_id(processes, service)
        processes.setdefault(
            process_id, {"serviceName": fit_text(service), "tags": _tags(process_tags)}
        )
        trace["spans"].append(_span(span, process_id))
    return {"data": list(traces.values())}


def _process_id(processes: Mapping[str, JsonObject], service: str) -> str:
    name = fit_text(service)
    for process_id, process in processes.items():
        if process["serviceName"] == name:
            return process_id
    return f"p{len(processes) + 1}"


def _span(span: FinishedSpan, process_id: str) -> JsonObject:
    start_us = span.start_ns // 1000
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": fit_text(span.name, MAX_NAME_CHARACTERS),
        "references": _references(span),
        "startTime": start_us,
        # Both ends are rounded alike, so that a child never ends after its parent.
        "duration": span.end_ns // 1000 - start_us,
        "tags": _tags({**span_attributes(span), **_own_tags(span)}),
        "logs": [_log(event) for event in span.events],
        "processID": process_id,
    }


def _references(span: FinishedSpan) -> list[JsonObject]:
    references = []
    if span.parent_span_id is not None:
        references.append(_reference("CHILD_OF", span.trace_id, span.parent_span_id))
    references += [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]
    return references


def _reference(kind: str, trace_id: str, span_id: str) -> JsonObject:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _own_tags(span: FinishedSpan) -> dict[str, AttributeValue]:
    """What OpenTelemetry has as fields, under the names that Jaeger gives them.

    The names are those of OpenTelemetry's rules for transforming to Jaeger.
    """
    tags: dict[str, AttributeValue] = {
        "span.kind": span.kind.value,
        "otel.scope.name": SCOPE_NAME,
        "otel.scope.version": __version__,
    }
    if span.status is not SpanStatus.UNSET:
        tags["otel.status_code"] = span.status.name
    if span.status is SpanStatus.ERROR:
        tags["error"] = True
        if span.status_message:
            tags["otel.status_description"] = span.status_message
    return tags


def _log(event: SpanEvent) -> JsonObject:
    fields = {"event": event.name, **event.attributes}
    return {"timestamp": event.time_ns // 1000, "fields": _tags(fields)}


def _tags(attributes: Mapping[str, AttributeValue]) -> list[JsonObject]:
    return [
        _tag(fit_text(key, MAX_NAME_CHARACTERS), value) for key, value in attributes.items() if key
    ]


def _tag(key: str, value: AttributeValue) -> JsonObject:
    # A bool is an int.
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, str):
        return {"key": key, "type": "string", "value": fit_text(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return {"key": key, "type": "float64", "value": value}
        # JSON has no such numbers.
        return {"key": key, "type": "string", "value": str(value)}
    if not isinstance(value, int):
        # Of a span that somebody else made: its author's mistake must not cost the document.
        return {"key": key, "type": "string", "value": fit_text(str(value))}  # type: ignore[unreachable]  # as just said
    fit = fit_integer(value)
    return {"key": key, "type": "string" if isinstance(fit, str) else "int64", "value": fit}
