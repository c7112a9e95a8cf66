"""Events as log records of OTLP, one each. Pure functions; no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.spans.record import AttributeValue
from hypervisor_otel.attributes import (
    MAX_ATTRIBUTES,
    MAX_NAME_CHARACTERS,
    add_attributes,
    encode_value,
    fit_text,
    fit_time,
)
from hypervisor_otel.log_severity import TEXTS, severity_of
from hypervisor_otel.scope import describe_scope

EVENT_NAME_PREFIX = "agent.hypervisor."
"""Stands before the event's type in a record's ``event_name``."""

MAX_DEPTH = 16
"""Deepest nesting of a body: as deep as an event's payload."""


def encode_logs(
    events: Sequence[HypervisorEvent], resource: Mapping[str, AttributeValue]
) -> ExportLogsServiceRequest:
    """Give the request that exports *events*, all of the service that *resource* describes."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.dropped_attributes_count = add_attributes(group.resource.attributes, resource)
    scope_logs = group.scope_logs.add()
    scope_logs.schema_url = describe_scope(scope_logs.scope)
    for event in events:
        _fill(scope_logs.log_records.add(), event)
    return request


def encode_record(event: HypervisorEvent) -> LogRecord:
    """Give *event* with its own time and ids; its payload is the body.

    A causal id that is none leaves the record without trace and span.
    """
    record = LogRecord()
    _fill(record, event)
    return record


def _fill(record: LogRecord, event: HypervisorEvent) -> None:
    record.time_unix_nano = record.observed_time_unix_nano = fit_time(event.timestamp_ns)
    record.event_name = EVENT_NAME_PREFIX + fit_text(event.event_type.value, MAX_NAME_CHARACTERS)
    record.severity_number = severity = severity_of(event)
    record.severity_text = TEXTS[severity]
    ids = {
        "agent.did": event.agent_did,
        "session.id": event.session_id,
        "agent.hypervisor.event.id": event.event_id,
        "agent.hypervisor.parent_event_id": event.parent_event_id,
    }
    add_attributes(record.attributes, {name: text for name, text in ids.items() if text})
    causal = CausalTraceId.or_none(event.causal_trace_id)
    if causal is not None:
        record.trace_id, record.span_id = map(bytes.fromhex, causal.to_w3c())
    if event.payload:
        _fill_body(record.body, event.payload, MAX_DEPTH)


def _fill_body(message: AnyValue, value: Any, depth: int) -> None:
    """Fill in a value of a payload, which is plain data; what is too much is left out."""
    if isinstance(value, (str, bool, int, float)):
        message.CopyFrom(encode_value(value))
    elif isinstance(value, Mapping):
        message.kvlist_value.SetInParent()
        for name, item in _first(value.items(), depth):
            pair = message.kvlist_value.values.add()
            pair.key = fit_text(str(name), MAX_NAME_CHARACTERS)
            _fill_body(pair.value, item, depth - 1)
    elif isinstance(value, (list, tuple)):
        message.array_value.SetInParent()
        for item in _first(value, depth):
            _fill_body(message.array_value.values.add(), item, depth - 1)
    elif value is not None:
        message.string_value = fit_text(str(value))


def _first(items: Iterable[Any], depth: int) -> list[Any]:
    return [] if depth == 0 else list(items)[:MAX_ATTRIBUTES]
