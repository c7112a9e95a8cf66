"""The types of events: forty of the hypervisor, ten of ours, and whatever users add."""

import re
from enum import Enum
from typing import Any

_CUSTOM = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_MAX_CHARACTERS = 128


class EventType(str, Enum):
    """What happened, as ``category.what``.

    A member is a string: it equals its value and hashes like it, so events of another
    package's enumeration with the same values match too.
    """

    SESSION_CREATED = "session.created"
    SESSION_JOINED = "session.joined"
    SESSION_ACTIVATED = "session.activated"
    SESSION_TERMINATED = "session.terminated"
    SESSION_ARCHIVED = "session.archived"

    RING_ASSIGNED = "ring.assigned"
    RING_ELEVATED = "ring.elevated"
    RING_DEMOTED = "ring.demoted"
    RING_ELEVATION_EXPIRED = "ring.elevation_expired"
    RING_BREACH_DETECTED = "ring.breach_detected"

    VOUCH_CREATED = "liability.vouch_created"
    VOUCH_RELEASED = "liability.vouch_released"
    SLASH_EXECUTED = "liability.slash_executed"
    FAULT_ATTRIBUTED = "liability.fault_attributed"
    QUARANTINE_ENTERED = "liability.quarantine_entered"
    QUARANTINE_RELEASED = "liability.quarantine_released"

    SAGA_CREATED = "saga.created"
    SAGA_STEP_STARTED = "saga.step_started"
    SAGA_STEP_COMMITTED = "saga.step_committed"
    SAGA_STEP_FAILED = "saga.step_failed"
    SAGA_COMPENSATING = "saga.compensating"
    SAGA_COMPLETED = "saga.completed"
    SAGA_ESCALATED = "saga.escalated"
    SAGA_FANOUT_STARTED = "saga.fanout_started"
    SAGA_FANOUT_RESOLVED = "saga.fanout_resolved"
    SAGA_CHECKPOINT_SAVED = "saga.checkpoint_saved"

    VFS_WRITE = "vfs.write"
    VFS_DELETE = "vfs.delete"
    VFS_SNAPSHOT = "vfs.snapshot"
    VFS_RESTORE = "vfs.restore"
    VFS_CONFLICT = "vfs.conflict"

    RATE_LIMITED = "security.rate_limited"
    AGENT_KILLED = "security.agent_killed"
    SAGA_HANDOFF = "security.saga_handoff"
    IDENTITY_VERIFIED = "security.identity_verified"

    AUDIT_DELTA_CAPTURED = "audit.delta_captured"
    AUDIT_COMMITTED = "audit.committed"
    AUDIT_GC_COLLECTED = "audit.gc_collected"

    BEHAVIOR_DRIFT = "verification.behavior_drift"
    HISTORY_VERIFIED = "verification.history_verified"

    @classmethod
    def custom(cls, value: str) -> "EventType":
        """Give the type of a user's own events, such as ``acme.invoice_paid``.

        Args:
            value: Lower-case words of ASCII letters, digits and ``_``, joined by dots: two
                words at least, 128 characters at most.

        Raises:
            ValueError: *value* has another form.
        """
        if len(value) > _MAX_CHARACTERS or not _CUSTOM.fullmatch(value):
            raise ValueError(
                f"not an event type: {value[:_MAX_CHARACTERS]!r} "
                "(expected lower-case words joined by dots, such as 'acme.invoice_paid')"
            )
        return cls.of(value)

    @classmethod
    def of(cls, value: Any) -> "EventType":
        """Give the type with this value, known or not. Never raises on a string."""
        # By type(), not isinstance(): a mock of an EventType passes for one.
        if issubclass(type(value), Enum):
            value = value.value
        text = str.__str__(value) if issubclass(type(value), str) else type(value).__name__
        known = cls._value2member_map_.get(text) or _FURTHER.get(text)
        if known is not None:
            return known  # type: ignore[return-value]  # the map of this very class
        text = text[:_MAX_CHARACTERS]
        # A pseudo-member, as enum.Flag makes them for combinations: an instance of this
        # class that is no member, so that iteration shows the forty alone.
        member = str.__new__(cls, text)
        member._name_ = text.upper().replace(".", "_")
        member._value_ = text
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return (EventType.of, (self.value,))

    def __copy__(self) -> "EventType":
        return self

    def __deepcopy__(self, memo: object) -> "EventType":
        return self


_FURTHER: dict[str, EventType] = {}


def _further(value: str) -> EventType:
    """Make a type of ours beyond the forty: ``of`` gives the same one each time, as readers of the
    past ask for it with each event.
    """
    return _FURTHER.setdefault(value, EventType.of(value))


GOVERNANCE_DECISION = _further("governance.decision")
"""A policy decision: {allowed, tool_name, evaluation_ms, rate_limited, reason}."""

AGENT_FINISHED = _further("agent.finished")
"""An agent's work ended: {status, error, duration_seconds}."""

USAGE_RECORDED = _further("usage.recorded")
"""Tokens and cost: {input_tokens, output_tokens, cost, currency, model}."""

RUN_STARTED = _further("run.started")
"""A task, workflow, graph or crew began: {name, run_id, kind}."""

RUN_FINISHED = _further("run.finished")
"""It ended: {name, run_id, status, error, duration_seconds}."""

TOOL_STARTED = _further("tool.started")
"""An agent called a tool: {tool_name, call_id, attempt, arguments}."""

TOOL_FINISHED = _further("tool.finished")
"""The call ended: {tool_name, call_id, attempt, status, error, duration_seconds, result}."""

MODEL_STARTED = _further("model.started")
"""An agent called a model: {model, provider, operation, call_id, stream}."""

MODEL_FINISHED = _further("model.finished")
"""The call ended: {model, operation, call_id, status, error, duration_seconds,
first_token_seconds, finish_reason}."""

AGENT_HANDOFF = _further("agent.handoff")
"""An agent handed the work over to another: {from_agent, to_agent, reason}."""
