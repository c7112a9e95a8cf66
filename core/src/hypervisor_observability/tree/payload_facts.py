"""Read single facts out of an event's payload, as text."""

from ..events import HypervisorEvent


def text(event: HypervisorEvent, key: str) -> str:
    """Give the payload's value under *key*; empty where there is none."""
    value = event.payload.get(key)
    return "" if value is None else str(value)


def reason(event: HypervisorEvent) -> str:
    """Tell why something failed or was done."""
    return text(event, "reason") or text(event, "error")


def saga_id(event: HypervisorEvent) -> str:
    """Name the saga; an event that does not name one has its causal id for it."""
    return text(event, "saga_id") or event.causal_trace_id or ""


def action(event: HypervisorEvent) -> str:
    """Tell what a step does."""
    return text(event, "action") or text(event, "step_action") or text(event, "step_id")


def step_id(event: HypervisorEvent) -> str:
    """Name the step; by what it does where it has no id."""
    return text(event, "step_id") or action(event)


def caller(event: HypervisorEvent) -> list[str]:
    """Name the trace of a caller that was linked rather than continued, if there is one."""
    trace_id = text(event, "caller_trace").partition("/")[0]
    return [f"called from {trace_id}"] if trace_id else []


def elevation_key(event: HypervisorEvent) -> tuple[str, ...]:
    """Give what an elevation and its end have in common."""
    elevation_id = text(event, "elevation_id")
    if elevation_id:
        return ("elevation", elevation_id)
    return ("elevation", event.agent_did or "", event.session_id or "")
