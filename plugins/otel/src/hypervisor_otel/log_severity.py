"""How grave an event is, as OpenTelemetry's logs data model has it (SeverityNumber)."""

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    RUN_FINISHED,
    TOOL_FINISHED,
    EventType,
)
from hypervisor_observability.facts import payload_facts

SEVERITY_KEYS = ("allowed", "error_type", "severity", "status", "to_ring")
"""Keys of payloads that decide about severities; without them an event has its type's own."""

DEBUG = SeverityNumber.SEVERITY_NUMBER_DEBUG
INFO = SeverityNumber.SEVERITY_NUMBER_INFO
WARN = SeverityNumber.SEVERITY_NUMBER_WARN
ERROR = SeverityNumber.SEVERITY_NUMBER_ERROR
FATAL = SeverityNumber.SEVERITY_NUMBER_FATAL

TEXTS = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR", FATAL: "FATAL"}

_BY_TYPE = {
    EventType.RING_BREACH_DETECTED: ERROR,
    EventType.SLASH_EXECUTED: ERROR,
    EventType.FAULT_ATTRIBUTED: WARN,
    EventType.QUARANTINE_ENTERED: WARN,
    EventType.SAGA_STEP_FAILED: WARN,
    EventType.SAGA_COMPENSATING: WARN,
    EventType.SAGA_ESCALATED: ERROR,
    EventType.SAGA_HANDOFF: WARN,
    EventType.VFS_WRITE: DEBUG,
    EventType.VFS_DELETE: DEBUG,
    EventType.VFS_SNAPSHOT: DEBUG,
    EventType.VFS_CONFLICT: WARN,
    EventType.RATE_LIMITED: WARN,
    EventType.AGENT_KILLED: FATAL,
    EventType.BEHAVIOR_DRIFT: WARN,
}

# A call that fails may be tried again. That nobody wanted the work any more is nobody's fault.
_CALL_ENDS = {"error": WARN, "blocked": WARN, "expired": WARN}
_WORK_ENDS = {**_CALL_ENDS, "error": ERROR}
_BY_END = {
    RUN_FINISHED: _WORK_ENDS,
    AGENT_FINISHED: _WORK_ENDS,
    TOOL_FINISHED: _CALL_ENDS,
    MODEL_FINISHED: _CALL_ENDS,
}


def severity_of(event: HypervisorEvent) -> "SeverityNumber.ValueType":
    """Give the severity of *event*: by its type, and for some types by its payload too."""
    event_type = event.event_type
    if event_type == EventType.RING_BREACH_DETECTED:
        return FATAL if payload_facts.severity(event) == "critical" else ERROR
    if event_type == EventType.RING_ELEVATED:
        ring = payload_facts.ring(event, "to_ring")
        return WARN if ring is not None and ring <= 1 else INFO
    if event_type == GOVERNANCE_DECISION:
        return INFO if payload_facts.is_allowed(event) else WARN
    ends = _BY_END.get(event_type)
    if ends is not None:
        return ends.get(payload_facts.work_end(event), INFO)
    return _BY_TYPE.get(event_type, INFO)
