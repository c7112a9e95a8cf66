"""What went wrong: which events say so."""

from collections.abc import Callable, Mapping

from ..events.event import HypervisorEvent
from ..events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    RUN_FINISHED,
    TOOL_FINISHED,
    EventType,
)
from . import payload_facts, saga_facts

INCIDENTS = frozenset(
    {
        EventType.RING_BREACH_DETECTED,
        EventType.AGENT_KILLED,
        EventType.SLASH_EXECUTED,
        EventType.QUARANTINE_ENTERED,
        EventType.SAGA_ESCALATED,
    }
)
"""The types of events that say so whatever their payload holds."""


def is_trouble(event: HypervisorEvent) -> bool:
    """Tell whether *event* says that something went wrong.

    That is work that failed, a saga that did not end well, a fan-out or a compensation that failed,
    a tool that was refused, a breach, and an agent that was killed, put into quarantine or slashed.
    """
    judge = _JUDGES.get(event.event_type)
    return judge is not None and judge(event)


def _always(_: HypervisorEvent) -> bool:
    return True


def _ended_badly(event: HypervisorEvent) -> bool:
    return not saga_facts.ended_well(event)


def _not_undone(event: HypervisorEvent) -> bool:
    return saga_facts.undo_end(event) == "failed"


def _unsatisfied(event: HypervisorEvent) -> bool:
    return not saga_facts.is_satisfied(event)


def _failed_or_blocked(event: HypervisorEvent) -> bool:
    return payload_facts.work_end(event) in {"error", "blocked"}


def _denied(event: HypervisorEvent) -> bool:
    return payload_facts.decision(event) == "deny"


_JUDGES: Mapping[EventType, Callable[[HypervisorEvent], bool]] = {
    RUN_FINISHED: payload_facts.has_failed,
    AGENT_FINISHED: payload_facts.has_failed,
    TOOL_FINISHED: _failed_or_blocked,
    MODEL_FINISHED: _failed_or_blocked,
    GOVERNANCE_DECISION: _denied,
    EventType.SAGA_STEP_FAILED: _always,
    EventType.SAGA_COMPLETED: _ended_badly,
    EventType.SAGA_COMPENSATING: _not_undone,
    EventType.SAGA_FANOUT_RESOLVED: _unsatisfied,
    **dict.fromkeys(INCIDENTS, _always),
}
