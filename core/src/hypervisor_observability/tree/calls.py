"""Read runs, and calls of tools and models."""

from ..causality.trace_tree import TreeNode
from ..events.event import HypervisorEvent
from ..events.event_types import MODEL_FINISHED, RUN_FINISHED, TOOL_FINISHED
from ..facts import payload_facts
from .work import Kind, Outline, Work

_ENDS = frozenset({RUN_FINISHED, TOOL_FINISHED, MODEL_FINISHED})


def run(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a run."""
    _read(found, node, event, "run", payload_facts.text(event, "name"))


def tool(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a call of a tool."""
    _read(found, node, event, "tool", payload_facts.text(event, "tool_name"))


def model(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read the start or the end of a call of a model."""
    _read(found, node, event, "model", payload_facts.text(event, "model"))


def handoff(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read that an agent handed the work over."""
    before, after = (payload_facts.text(event, key) for key in ("from_agent", "to_agent"))
    work = Work(
        kind="handoff",
        title=f"{before or '?'} to {after or '?'}",
        state="",
        word="",
        begun=event,
        ended=event,
        agent_did=event.agent_did,
        reason=payload_facts.text(event, "reason"),
    )
    found.open(node, work)


def _read(found: Outline, node: TreeNode, event: HypervisorEvent, kind: Kind, title: str) -> None:
    is_end = event.event_type in _ENDS
    key = (kind, node.span_id)
    work = found.by_key.get(key)
    if work is None:
        begun = None if is_end else event
        work = Work(kind=kind, title=title, begun=begun, agent_did=event.agent_did)
        attempt = payload_facts.name(event, "attempt") if kind == "tool" else ""
        if attempt not in ("", "1"):
            work.details.append(f"attempt {attempt}")
        found.open(node, work, key)
    if not is_end:
        return
    work.settle(event, failed=payload_facts.has_failed(event))
    if payload_facts.was_blocked(event):
        work.end(event, "refused", "BLOCKED")
        work.reason = payload_facts.text(event, "reason")
