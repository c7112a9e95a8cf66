"""Events as log records: decoded again by the official classes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from hypervisor_observability import (
    CausalTraceId,
    Config,
    EventType,
    HypervisorEvent,
    Observability,
)
from hypervisor_observability.events.event_types import GOVERNANCE_DECISION
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_otel.attributes import MAX_ATTRIBUTES, decode_attributes
from hypervisor_otel.log_records import MAX_DEPTH, encode_logs, encode_record
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_otel.scope import SCHEMA_URL


def over_the_wire(event: HypervisorEvent) -> LogRecord:
    request = encode_logs([event], {"service.name": "shop"})
    decoded = ExportLogsServiceRequest.FromString(request.SerializeToString())
    return decoded.resource_logs[0].scope_logs[0].log_records[0]


def plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case None:
            return None
        case kind:
            return getattr(value, kind)


def test_record_has_the_name_time_and_ids_of_its_event() -> None:
    trace = CausalTraceId().child()
    event = HypervisorEvent(
        event_type=EventType.VFS_CONFLICT,
        session_id="s1",
        agent_did="did:mesh:a",
        causal_trace_id=trace.full_id,
        parent_event_id="0123456789abcdef",
        payload={"path": "/a", "nested": {"n": [1, 2.5, True, None, "ä"]}},
    )

    record = over_the_wire(event)

    assert record.event_name == "agent.hypervisor.vfs.conflict"
    assert record.time_unix_nano == record.observed_time_unix_nano == event.timestamp_ns
    assert (record.trace_id.hex(), record.span_id.hex()) == trace.to_w3c()
    assert decode_attributes(record.attributes) == {
        "agent.did": "did:mesh:a",
        "session.id": "s1",
        "agent.hypervisor.event.id": event.event_id,
        "agent.hypervisor.parent_event_id": "0123456789abcdef",
    }
    assert (record.severity_text, record.severity_number) == ("WARN", 13)
    assert plain(record.body) == {"path": "/a", "nested": {"n": [1, 2.5, True, None, "ä"]}}


def test_request_names_service_scope_and_schema() -> None:
    request = encode_logs([HypervisorEvent()], {"service.name": "shop"})

    scope = request.resource_logs[0].scope_logs[0]
    assert scope.schema_url == SCHEMA_URL
    assert scope.scope.name == "hypervisor-observability"
    assert decode_attributes(request.resource_logs[0].resource.attributes) == {
        "service.name": "shop"
    }


def test_event_without_ids_and_payload_has_no_such_fields() -> None:
    record = over_the_wire(HypervisorEvent(causal_trace_id="no causal id"))

    assert (record.trace_id, record.span_id) == (b"", b"")
    assert not record.HasField("body")
    assert [pair.key for pair in record.attributes] == ["agent.hypervisor.event.id"]


@pytest.mark.parametrize(
    ("event_type", "payload", "severity"),
    [
        (EventType.SESSION_CREATED, {}, "INFO"),
        (EventType.RING_ELEVATED, {"to_ring": 1}, "WARN"),
        (EventType.RING_ELEVATED, {"to_ring": 2}, "INFO"),
        (EventType.RING_ELEVATED, {}, "INFO"),
        (EventType.RING_BREACH_DETECTED, {"severity": "high"}, "ERROR"),
        (EventType.RING_BREACH_DETECTED, {"severity": "critical"}, "FATAL"),
        (EventType.SAGA_COMPENSATING, {}, "WARN"),
        (EventType.SAGA_ESCALATED, {}, "ERROR"),
        (EventType.SLASH_EXECUTED, {}, "ERROR"),
        (EventType.VFS_WRITE, {}, "DEBUG"),
        (EventType.AGENT_KILLED, {}, "FATAL"),
        (GOVERNANCE_DECISION, {"allowed": False}, "WARN"),
        (GOVERNANCE_DECISION, {"allowed": True}, "INFO"),
        (EventType.of("run.finished"), {"status": "error"}, "ERROR"),
        (EventType.of("agent.finished"), {"error_type": "ValueError"}, "ERROR"),
        (EventType.of("agent.finished"), {"status": "cancelled"}, "INFO"),
        (EventType.of("tool.finished"), {"status": "error"}, "WARN"),
        (EventType.of("tool.finished"), {"status": "blocked"}, "WARN"),
        (EventType.of("model.finished"), {"status": "expired"}, "WARN"),
        (EventType.of("model.finished"), {"status": "cancelled"}, "INFO"),
        (EventType.of("model.finished"), {"status": "ok"}, "INFO"),
        (EventType.of("agent.handoff"), {"to_agent": "did:b"}, "INFO"),
        (EventType.custom("acme.invoice_paid"), {}, "INFO"),
    ],
)
def test_severity_follows_type_and_payload(
    event_type: EventType, payload: dict[str, Any], severity: str
) -> None:
    record = over_the_wire(HypervisorEvent(event_type=event_type, payload=payload))

    assert record.severity_text == severity
    assert record.severity_number == SeverityNumber.Value(f"SEVERITY_NUMBER_{severity}")


@pytest.mark.fault("O10")
def test_odd_payloads_are_cut_and_kept_encodable() -> None:
    event = HypervisorEvent(
        payload={"s\ud800": "\udfff" + "v" * 70_000_000, "n": 2**70, "many": list(range(1_000))}
    )

    body = plain(over_the_wire(event).body)

    assert body["n"] == str(2**70)
    assert body["s\ufffd"].startswith("\ufffdvvv")
    assert len(body["s\ufffd"]) <= 4_096
    assert body["many"] == list(range(MAX_ATTRIBUTES))


def test_nesting_ends_at_the_deepest_level() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 4):
        deep = {"d": deep}

    body = plain(encode_record(HypervisorEvent(payload=deep)).body)

    depth = 0
    while isinstance(body, dict) and body:
        body, depth = body["d"], depth + 1
    assert depth <= MAX_DEPTH


def test_time_before_1970_is_kept_within() -> None:
    assert over_the_wire(HypervisorEvent(timestamp=-5.0)).time_unix_nano == 0


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), _values, max_size=4))
def test_any_payload_can_be_encoded(payload: dict[str, Any]) -> None:
    record = over_the_wire(HypervisorEvent(payload=payload))

    assert record.event_name == "agent.hypervisor.session.created"


@pytest.mark.fault("O12")
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ("none", None),
        ("all", {"path": "/a", "size": 1}),
        (["size"], {"size": 1}),
        (None, None),
    ],
)
def test_records_carry_of_payloads_what_the_policy_lets_through(
    policy: str | list[str] | None, shown: dict[str, Any] | None
) -> None:
    with OTLPReceiver() as receiver:
        table: dict[str, Any] = {"endpoint": receiver.endpoint, "signals": ["logs"]}
        if policy is not None:
            table["payload"] = policy
        with Observability(Config(plugins={"otel": table})) as observability:
            payload = {"path": "/a", "size": 1}
            observability.bus.record(EventType.VFS_WRITE, payload=payload)
            assert observability.flush(30)

    (record,) = receiver.logs
    assert plain(record.body) == shown


def test_every_event_is_one_record_and_is_counted_as_delivered() -> None:
    with OTLPReceiver() as receiver:
        plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint, signals=("logs", "traces")))
        with Observability(plugins=[plugin]) as observability:
            for _ in range(1_000):
                observability.bus.record(EventType.VFS_WRITE)
            with observability.recorder.saga("deploy"):
                pass
            assert observability.flush(30)
            counts = observability.counts()["otelplugin"]

    assert counts.delivered == counts.emitted == len(receiver.logs) == 1_002
    assert receiver.received_spans == 1
    names = {record.event_name for record in receiver.logs}
    assert names == {
        f"agent.hypervisor.{kind}" for kind in ("vfs.write", "saga.created", "saga.completed")
    }


def test_time_beyond_what_otlp_holds_is_its_last() -> None:
    late = datetime(9999, 1, 1, tzinfo=UTC)

    record = encode_record(HypervisorEvent(event_type=EventType.VFS_WRITE, timestamp=late))

    assert record.time_unix_nano == 2**64 - 1
