"""What spans read from payloads, where keys have several names or are missing."""

from typing import Any

from ..events import HypervisorEvent
from .record import AttributeValue

UNKNOWN_SAGA = "unknown"


def saga_id_of(event: HypervisorEvent) -> str:
    """Give the saga; else the causal id stands for it."""
    saga_id: Any = event.payload.get("saga_id")
    if saga_id is None:
        saga_id = event.causal_trace_id or UNKNOWN_SAGA
    return str(saga_id)


def action_of(event: HypervisorEvent) -> str:
    """Give what a step does; empty if that is not said."""
    payload = event.payload
    action = payload.get("action")
    if action is None:
        action = payload.get("step_action")
    return "" if action is None else str(action)


def step_id_of(event: HypervisorEvent) -> str:
    """Give the step; else its action stands for it."""
    step_id = event.payload.get("step_id")
    return action_of(event) if step_id is None or step_id == "" else str(step_id)


def attempt_of(event: HypervisorEvent) -> int:
    """Give which attempt it is; the first if that is not said."""
    attempt = event.payload.get("attempt")
    return attempt if isinstance(attempt, int) else 1


def text_of(event: HypervisorEvent, key: str) -> str | None:
    """Give a text that is not empty, or None."""
    value = event.payload.get(key)
    return value if isinstance(value, str) and value else None


def scalars_of(event: HypervisorEvent, keys: tuple[str, ...]) -> dict[str, AttributeValue]:
    """Give those of *keys* that hold a scalar."""
    payload = event.payload
    return {
        key: value
        for key in keys
        if isinstance(value := payload.get(key), str | bool | int | float)
    }
