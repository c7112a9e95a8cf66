"""Read a tree's events as agents, sagas, steps, compensations and incidents.

The recorder gives each of these a span of its own, but for incidents and elevations. Events
written by hand may put a whole saga under one causal id; then what belongs to a saga stands
below it, and everything else below the span's first piece of work.
"""

from collections.abc import Callable, Mapping

from ..causality.trace_tree import TraceTree, TreeNode
from ..events.event import HypervisorEvent
from ..events.event_types import (
    AGENT_FINISHED,
    AGENT_HANDOFF,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    EventType,
)
from ..facts import payload_facts, saga_facts
from ..facts.prices import Prices
from . import calls, elevations, incidents, saga_parts
from .usage import add_usage
from .work import Outline, Work


def outline(tree: TraceTree, prices: Prices | None = None) -> list[Work]:
    """Give the pieces of work at the roots of *tree*; the others are below them.

    Args:
        tree: What to read.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """
    found = Outline(ended=elevations.ends(tree))
    for _, node in tree.walk():
        _read(found, node)
    found.arrange()
    elevations.note_kills(tree, found.roots)
    add_usage(found, tree, prices)
    return found.roots


def _read(found: Outline, node: TreeNode) -> None:
    found.position = next(iter(node.positions), 0)
    # What says what the span is comes first, so that the rest stands below it.
    first = next((event for event in node.events if event.event_type in _STRUCTURE), None)
    if first is not None:
        _READERS[first.event_type](found, node, first)
    if node.span_id not in found.mains:  # or it told of what another span had begun
        found.open(node, _anonymous(node))
    for number, event in enumerate(node.events):
        # A node that somebody made by hand need not have positions.
        found.position = node.positions[number] if node.positions else number
        read = _READERS.get(event.event_type)
        if read is not None and event is not first:
            read(found, node, event)


def _agent_joined(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    work = Work(
        kind="agent",
        title=payload_facts.text(event, "name"),
        begun=event,
        agent_did=event.agent_did,
        ring=_ring(event),
        details=_caller(event),
    )
    found.open(node, work, ("agent", node.span_id, event.agent_did or ""))


def _agent_finished(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    work = found.by_key.get(("agent", node.span_id, event.agent_did or ""))
    if work is None:
        return
    work.settle(event, failed=payload_facts.has_failed(event))


def _ring_assigned(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    main = found.mains[node.span_id]
    if main.kind == "agent" and main.agent_did == event.agent_did:
        main.ring = _ring(event)


def _saga(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    key = ("saga", saga_facts.saga_id(event))
    saga = found.by_key.get(key)
    if saga is None:
        created = event if event.event_type == EventType.SAGA_CREATED else None
        name = payload_facts.text(event, "name")
        saga = Work(
            kind="saga",
            title=name or saga_facts.saga_id(event),
            begun=created,
            agent_did=event.agent_did,
            details=[saga_facts.saga_id(event)] * bool(name) + _caller(event),
        )
        found.open(node, saga, key)
    if event.event_type in saga_facts.SAGA_ENDS:
        outcome = saga_facts.outcome(event)
        if not saga_facts.ended_well(event):
            saga.end(event, "failed", "FAILED" if outcome == "failed" else "ESCALATED")
        else:
            saga.end(event, "undone" if outcome == "compensated" else "ok", outcome)
        saga.reason = payload_facts.reason(event)


def _ring(event: HypervisorEvent, key: str = "ring") -> str:
    ring = payload_facts.ring(event, key)
    return "" if ring is None else str(ring)


def _caller(event: HypervisorEvent) -> list[str]:
    """Name the trace of a caller that was linked rather than continued, if there is one."""
    trace_id = payload_facts.caller_trace(event).partition("/")[0]
    return [f"called from {trace_id}"] if trace_id else []


def _elevated(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    before = _ring(event, "from_ring") or "?"
    after = _ring(event, "to_ring") or "?"
    work = Work(
        kind="elevation",
        title=f"ring {before} to {after}",
        begun=event,
        agent_did=event.agent_did,
        reason=payload_facts.text(event, "reason"),
    )
    found.open(node, work)
    end = found.ended.get(event.event_id)
    if end is not None:
        elevations.end(work, end)


def _anonymous(node: TreeNode) -> Work:
    dids = (event.agent_did for event in node.events if event.agent_did)
    sessions = (event.session_id for event in node.events if event.session_id)
    did, session = next(dids, None), next(sessions, None)
    return Work(
        kind="agent" if did else "session" if session else "span",
        title="" if did else session or "",
        state="",
        word="",
        begun=node.events[0] if node.events else None,
        agent_did=did,
    )


_Reader = Callable[[Outline, TreeNode, HypervisorEvent], None]

# The types that say what a span is.
_STRUCTURE: Mapping[EventType, _Reader] = {
    EventType.SESSION_JOINED: _agent_joined,
    RUN_STARTED: calls.run,
    RUN_FINISHED: calls.run,
    TOOL_STARTED: calls.tool,
    TOOL_FINISHED: calls.tool,
    MODEL_STARTED: calls.model,
    MODEL_FINISHED: calls.model,
    EventType.SAGA_CREATED: _saga,
    EventType.SAGA_COMPLETED: _saga,
    EventType.SAGA_ESCALATED: _saga,
    EventType.SAGA_STEP_STARTED: saga_parts.step,
    EventType.SAGA_STEP_COMMITTED: saga_parts.step,
    EventType.SAGA_STEP_FAILED: saga_parts.step,
    EventType.SAGA_FANOUT_STARTED: saga_parts.fan_out,
    EventType.SAGA_FANOUT_RESOLVED: saga_parts.fan_out,
    EventType.SAGA_COMPENSATING: saga_parts.compensation,
}
_READERS: Mapping[EventType, _Reader] = {
    **_STRUCTURE,
    AGENT_FINISHED: _agent_finished,
    AGENT_HANDOFF: calls.handoff,
    EventType.SAGA_HANDOFF: saga_parts.handoff,
    EventType.RING_ASSIGNED: _ring_assigned,
    EventType.RING_ELEVATED: _elevated,
    EventType.RING_BREACH_DETECTED: incidents.breach,
    GOVERNANCE_DECISION: incidents.decision,
    EventType.RATE_LIMITED: incidents.other_incident,
    EventType.AGENT_KILLED: incidents.other_incident,
    EventType.QUARANTINE_ENTERED: incidents.other_incident,
    EventType.SLASH_EXECUTED: incidents.other_incident,
    EventType.VFS_CONFLICT: incidents.other_incident,
}
