"""Read breaches, refusals and other incidents of a tree's events."""

from ..causality.trace_tree import TreeNode
from ..events.event import HypervisorEvent, is_erased
from ..facts import payload_facts
from .work import Outline, Work


def breach(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read that an agent tried what its ring does not allow."""
    work = _incident(event, "BREACH")
    work.kind, work.title = "breach", payload_facts.text(event, "attempted_tool")
    for key, words in (("ring", "ring {}"), ("required_ring", "needs {}"), ("severity", "{}")):
        if value := payload_facts.text(event, key):
            work.details.append(words.format(value))
    found.open(node, work)


def decision(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read a policy decision; one that allowed is no incident."""
    if payload_facts.is_allowed(event):
        return
    word = payload_facts.ERASED if is_erased(event) else "REFUSED"
    work = _incident(event, word)
    work.kind, work.title = "decision", payload_facts.text(event, "tool_name")
    if payload_facts.flag(event, "rate_limited"):
        work.details.append("rate limited")
    found.open(node, work)


def other_incident(found: Outline, node: TreeNode, event: HypervisorEvent) -> None:
    """Read any other incident by the name of its type."""
    found.open(node, _incident(event, payload_facts.text(event, "severity")))


def _incident(event: HypervisorEvent, word: str) -> Work:
    return Work(
        kind="incident",
        title=event.event_type.value.rpartition(".")[2].replace("_", " "),
        state="erased" if is_erased(event) else "refused",
        word=word or (payload_facts.ERASED if is_erased(event) else ""),
        begun=event,
        ended=event,
        agent_did=event.agent_did,
        reason=payload_facts.reason(event),
    )
