"""Read what belongs to a saga: its steps, fan-outs, handoffs and compensations."""

from ..causality.trace_tree import TreeNode
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts, saga_facts
from .work import Outline, Work


def _saga_in_span(found: Outline, node: TreeNode, event: HypervisorEvent) -> Work | None:
    """Give the saga that *event* belongs to, if it shares the span."""
    saga = found.by_key.get(("saga", saga_facts.saga_id(event)))
    return saga if saga is not None and saga.span_id == node.span_id else None


_HANDOFF_ENDS = ("from_agent", "to_agent")


def step(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a step."""
    key, attempt = saga_facts.part_key(event), saga_facts.attempt(event)
    is_end = event.event_type in saga_facts.STEP_ENDS
    found_step = found.by_key.get(saga_facts.ended_key(event) if is_end else key)
    if found_step is None:
        found_step = Work(
            kind="step",
            title=saga_facts.step_title(event),
            begun=None if is_end else event,
            agent_did=event.agent_did,
            details=[f"attempt {attempt}"] if attempt != "1" else [],
        )
        found.open(node, found_step, key, _saga_in_span(found, node, event))
        found.by_key[key[:3]] = found_step  # its last attempt is the one that a compensation undoes
    if is_end:
        found_step.settle(event, failed=event.event_type == EventType.SAGA_STEP_FAILED)


def fan_out(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a fan-out."""
    key = saga_facts.part_key(event)
    group = found.by_key.get(key)
    if group is None:
        branches = payload_facts.text(event, "branch_count")
        group = Work(
            kind="fan-out",
            title=payload_facts.text(event, "policy"),
            begun=event if event.event_type == EventType.SAGA_FANOUT_STARTED else None,
            agent_did=event.agent_did,
            details=[f"{branches} {'branch' if branches == '1' else 'branches'}"] * bool(branches),
        )
        found.open(node, group, key, _saga_in_span(found, node, event))
    if event.event_type == EventType.SAGA_FANOUT_RESOLVED:
        group.settle(event, failed=not saga_facts.is_satisfied(event))
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
        title=" to ".join(payload_facts.text(event, key) or "?" for key in _HANDOFF_ENDS),
        begun=event,
        ended=event,
        agent_did=event.agent_did,
        state="",
        word=payload_facts.text(event, "status").replace("_", " "),
    )
    if work.word == "failed":
        work.state = "failed"
    if step is None and step_id:
        work.details.append(f"step {step_id}")
    found.open(node, work, above=step or _saga_in_span(found, node, event))


def compensation(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read a phase of a compensation; it stands below the step that it undoes."""
    key, end = saga_facts.part_key(event), saga_facts.undo_end(event)
    undone = found.by_key.get(("step", key[1], saga_facts.undone_step(event)))
    undoing = None if end is None else found.by_key.get(saga_facts.ended_key(event))
    if undoing is None:
        undoing = Work(
            kind="compensation",
            title=saga_facts.step_title(event),
            begun=event,
            agent_did=event.agent_did,
        )
        found.open(node, undoing, key, undone or _saga_in_span(found, node, event))
        found.by_key[key[:3]] = undoing
    if end is None:
        return
    undoing.settle(event, failed=end == "failed")
    if end != "failed" and undone is not None and undone.state == "ok":
        undone.state, undone.word = "undone", "undone"
