"""The kinds of work that begin with one event and end with another."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from ..events.event_types import (
    AGENT_FINISHED,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    EventType,
)

KindName = Literal[
    "session", "run", "agent", "tool", "model", "saga", "fan_out", "step", "compensation"
]


@frozen
class Kind:
    """A kind of work.

    Attributes:
        begins: The type of the event that begins it.
        ends: That of the event that ends it.
        fails: That of the event that ends it badly, where that is another one.
        named_by: The keys that its end repeats of its beginning.
        says: The key that tells how it ended; empty where the type does, or nothing.
        timed: Whether its end tells how long it took.
    """

    begins: EventType
    ends: EventType
    fails: EventType | None = None
    named_by: tuple[str, ...] = ()
    says: Literal["status", "outcome", "phase", ""] = ""
    timed: bool = False

    def names_in(self, payload: Mapping[str, Any]) -> dict[str, object]:
        """Give of a beginning's payload what the end repeats."""
        return {key: payload[key] for key in self.named_by if payload.get(key) is not None}

    def end_for(self, told: dict[str, Any]) -> EventType:
        """Give the type of the end, and turn its ``status`` in *told* into what this kind says."""
        if self.says == "status":
            return self.ends
        succeeded = told["status"] == "ok"
        if told["status"] in ("ok", "error"):
            del told["status"]
        if self.says == "outcome":
            told.setdefault("outcome", "committed" if succeeded else "failed")
            succeeded = told["outcome"] in ("committed", "compensated")
        elif self.says == "phase":
            told.setdefault("phase", "succeeded" if succeeded else "failed")
        return self.ends if succeeded or self.fails is None else self.fails


def _finished(begins: EventType, ends: EventType, *named_by: str) -> Kind:
    return Kind(begins, ends, None, named_by, "status", timed=True)


_STEP = ("saga_id", "step_id", "step_action")

KINDS: Mapping[str, Kind] = {
    "session": Kind(EventType.SESSION_CREATED, EventType.SESSION_TERMINATED, timed=True),
    "run": _finished(RUN_STARTED, RUN_FINISHED, "name", "run_id"),
    "agent": _finished(EventType.SESSION_JOINED, AGENT_FINISHED),
    "tool": _finished(TOOL_STARTED, TOOL_FINISHED, "tool_name", "call_id", "attempt"),
    "model": _finished(MODEL_STARTED, MODEL_FINISHED, "model", "operation", "call_id"),
    "saga": Kind(
        EventType.SAGA_CREATED,
        EventType.SAGA_COMPLETED,
        EventType.SAGA_ESCALATED,
        ("saga_id", "name"),
        "outcome",
    ),
    "fan_out": Kind(
        EventType.SAGA_FANOUT_STARTED,
        EventType.SAGA_FANOUT_RESOLVED,
        None,
        ("saga_id", "group_id", "policy", "branch_count"),
    ),
    "step": Kind(
        EventType.SAGA_STEP_STARTED,
        EventType.SAGA_STEP_COMMITTED,
        EventType.SAGA_STEP_FAILED,
        (*_STEP, "attempt", "max_retries"),
    ),
    "compensation": Kind(
        EventType.SAGA_COMPENSATING,
        EventType.SAGA_COMPENSATING,
        None,
        (*_STEP, "compensates_step_id"),
        "phase",
    ),
}
"""By name, as ``Recorder.open`` takes it."""
