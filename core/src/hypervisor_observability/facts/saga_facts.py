"""What an event says of a saga: which one, which part of it, and how that ended."""

from collections.abc import Reversible

from ..events.event import HypervisorEvent, is_erased
from ..events.event_types import EventType
from .payload_facts import ERASED, UNKNOWN, flag, has, name

OUTCOMES = ("committed", "compensated", "failed", "escalated")
SAGA_ENDS = frozenset({EventType.SAGA_COMPLETED, EventType.SAGA_ESCALATED})
STEP_ENDS = frozenset({EventType.SAGA_STEP_COMMITTED, EventType.SAGA_STEP_FAILED})
SAGA_TYPES = frozenset(
    {
        EventType.SAGA_CREATED,
        EventType.SAGA_STEP_STARTED,
        *STEP_ENDS,
        EventType.SAGA_COMPENSATING,
        *SAGA_ENDS,
    }
)
"""What tells of a saga, its steps and its compensations."""
PARTS = {
    EventType.SAGA_STEP_STARTED: "step",
    **dict.fromkeys(STEP_ENDS, "step"),
    EventType.SAGA_COMPENSATING: "compensation",
    EventType.SAGA_FANOUT_STARTED: "fanout",
    EventType.SAGA_FANOUT_RESOLVED: "fanout",
}
"""Which kind of part of a saga an event is about."""

Key = tuple[str, ...]


def named_saga(event: HypervisorEvent) -> str | None:
    """Give the saga that *event* names."""
    return name(event, "saga_id") or None


def saga_id(event: HypervisorEvent) -> str:
    """Give the saga; where none is named, the causal id stands for it."""
    return name(event, "saga_id") or event.causal_trace_id or UNKNOWN


def action(event: HypervisorEvent) -> str:
    """Give what a step does; empty if that is not said."""
    return name(event, "action") or name(event, "step_action")


def step_id(event: HypervisorEvent) -> str:
    """Give the step; where none is named, what it does stands for it."""
    return name(event, "step_id") or action(event)


def step_title(event: HypervisorEvent) -> str:
    """Tell what a step does; where that is not said, its id stands for it."""
    return action(event) or name(event, "step_id")


def attempt(event: HypervisorEvent) -> str:
    """Give which attempt at the step it is; the first if that is not said."""
    return name(event, "attempt") or "1"


def undone_step(event: HypervisorEvent) -> str:
    """Give the step that a compensation undoes; the one of its own name if that is not said."""
    return name(event, "compensates_step_id") or step_id(event)


def group_id(event: HypervisorEvent) -> str:
    """Give the fan-out; where none is named, the causal id stands for it."""
    return name(event, "group_id") or event.causal_trace_id or ""


def part_key(event: HypervisorEvent) -> Key:
    """Tell apart what *event* is about, one of ``PARTS``: by kind, saga and id; of steps and
    compensations each attempt.
    """
    kind = PARTS[event.event_type]
    if kind == "fanout":
        return (kind, saga_id(event), group_id(event))
    return (kind, saga_id(event), step_id(event), attempt(event))


def says_attempt(event: HypervisorEvent) -> bool:
    """Tell whether the attempt is said; an end that does not say it is that of the newest one."""
    return has(event, "attempt")


def ended_key(event: HypervisorEvent) -> Key:
    """Give the key of what *event* ends: without the attempt where that is not said."""
    key = part_key(event)
    return key if says_attempt(event) else key[:3]


def ended_among(event: HypervisorEvent, going_on: Reversible[Key]) -> Key:
    """Give the key of *going_on*, the newest last, that *event* ends: where it does not say which
    attempt, that of the newest one.
    """
    key = ended_key(event)
    return next((one for one in reversed(going_on) if one[: len(key)] == key), key)


def phase(event: HypervisorEvent) -> str:
    """Give the phase of a compensation: ``started``, ``failed`` or ``succeeded``; empty if none is
    told, which is a compensation that was told of once; ``ERASED`` if it was erased.
    """
    if is_erased(event):
        return ERASED
    found = name(event, "phase")
    return found if found in {"", "started", "failed"} else "succeeded"


def step_end(event: HypervisorEvent) -> str:
    """Give how a step ended: ``committed``, ``failed``, or ``ERASED`` where that is not known."""
    if event.event_type == EventType.SAGA_STEP_FAILED:
        return "failed"
    return ERASED if is_erased(event) else "committed"


def undo_end(event: HypervisorEvent) -> str | None:
    """Give how a compensation ended: ``succeeded``, ``failed``, ``ERASED``; None: it has begun."""
    found = phase(event) or "succeeded"
    return None if found == "started" else found


def outcome(event: HypervisorEvent) -> str:
    """Give how a saga ended: one of ``OUTCOMES``, or ``ERASED``."""
    found = ERASED if is_erased(event) else name(event, "outcome")
    if found in OUTCOMES:
        return found
    if event.event_type == EventType.SAGA_ESCALATED:
        return "escalated"
    return found if found == ERASED else "committed"


def ended_well(event: HypervisorEvent) -> bool:
    """Tell whether a saga ended as it was meant to, or was undone whole, as far as is known."""
    if event.event_type != EventType.SAGA_COMPLETED:
        return False
    return outcome(event) in (*OUTCOMES[:2], ERASED)


def is_satisfied(event: HypervisorEvent) -> bool:
    """Tell whether a fan-out reached what its policy asks for; it did unless it says no."""
    return flag(event, "policy_satisfied") is not False
