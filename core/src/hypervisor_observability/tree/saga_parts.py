"""Read what belongs to a saga: its steps, fan-outs, handoffs and compensations."""

from collections.abc import Mapping

from ..causality.trace_tree import TreeNode
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts, saga_facts
from .work import Outline, State, Work


def _saga_in_span(found: Outline, node: TreeNode, event: HypervisorEvent) -> Work | None:
    """Give the saga that *event* belongs to, if it shares the span."""
    saga = found.by_key.get(("saga", saga_facts.saga_id(event)))
    return saga if saga is not None and saga.span_id == node.span_id else None


_HANDOFF_ENDS = ("from_agent", "to_agent")
_STEP_ENDS: Mapping[EventType, tuple[State, str]] = {
    EventType.SAGA_STEP_COMMITTED: ("ok", "ok"),
    EventType.SAGA_STEP_FAILED: ("failed", "FAILED"),
}


def step(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a step."""
    attempt = saga_facts.attempt(event)
    key = ("step", saga_facts.saga_id(event), saga_facts.step_id(event))
    found_step = found.by_key.get((*key, attempt))
    if (
        found_step is None
        and event.event_type in _STEP_ENDS
        and not payload_facts.has(event, "attempt")
    ):
        found_step = found.by_key.get(key)  # without a number, it is the newest attempt
    if found_step is None:
        found_step = Work(
            kind="step",
            span_id=node.span_id,
            title=saga_facts.step_title(event),
            state="running",
            word="running",
            begun=event if event.event_type == EventType.SAGA_STEP_STARTED else None,
            agent_did=event.agent_did,
            details=[f"attempt {attempt}"] if attempt != "1" else [],
        )
        found.open(node, found_step, (*key, attempt), _saga_in_span(found, node, event))
        found.by_key[key] = found_step  # its last attempt is the one that a compensation undoes
    if event.event_type in _STEP_ENDS:
        found_step.end(event, *_STEP_ENDS[event.event_type])
        found_step.reason = payload_facts.reason(event) if found_step.state == "failed" else ""


def fan_out(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a fan-out."""
    key = ("fan-out", saga_facts.saga_id(event), saga_facts.group_id(event))
    group = found.by_key.get(key)
    if group is None:
        branches = payload_facts.text(event, "branch_count")
        group = Work(
            kind="fan-out",
            span_id=node.span_id,
            title=payload_facts.text(event, "policy"),
            state="running",
            word="running",
            begun=event if event.event_type == EventType.SAGA_FANOUT_STARTED else None,
            agent_did=event.agent_did,
            details=[f"{branches} {'branch' if branches == '1' else 'branches'}"] * bool(branches),
        )
        found.open(node, group, key, _saga_in_span(found, node, event))
    if event.event_type == EventType.SAGA_FANOUT_RESOLVED:
        if not saga_facts.is_satisfied(event):
            group.end(event, "failed", "FAILED")
        else:
            group.end(event, "ok", "ok")
        failures = payload_facts.text(event, "failure_count")
        if failures not in {"", "0"}:
            group.details.append(f"{failures} failed")
        group.reason = payload_facts.reason(event)


def handoff(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read that a step went from one agent to another."""
    step_id = saga_facts.step_id(event)
    step = found.by_key.get(("step", saga_facts.saga_id(event), step_id))
    work = Work(
        kind="handoff",
        span_id=node.span_id,
        title=" to ".join(payload_facts.text(event, key) or "?" for key in _HANDOFF_ENDS),
        begun=event,
        ended=event,
        agent_did=event.agent_did,
        word=payload_facts.text(event, "status").replace("_", " "),
    )
    if work.word == "failed":
        work.state = "failed"
    if step is None and step_id:
        work.details.append(f"step {step_id}")
    found.open(node, work, above=step or _saga_in_span(found, node, event))


def compensation(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read a phase of a compensation; it stands below the step that it undoes."""
    saga, phase = saga_facts.saga_id(event), saga_facts.phase(event)
    undone = found.by_key.get(("step", saga, saga_facts.undone_step(event)))
    key = ("compensation", saga, saga_facts.step_id(event))
    undoing = None if phase == "started" else found.by_key.get(key)
    if undoing is None:
        undoing = Work(
            kind="compensation",
            span_id=node.span_id,
            title=saga_facts.step_title(event),
            state="running",
            word="running",
            begun=event,
            agent_did=event.agent_did,
        )
        found.open(node, undoing, key, undone or _saga_in_span(found, node, event))
    if phase == "failed":
        undoing.end(event, "failed", "FAILED")
        undoing.reason = payload_facts.reason(event)
    elif phase != "started":
        undoing.end(event, "ok", "ok")
        if undone is not None and undone.state == "ok":
            undone.state, undone.word = "undone", "undone"
