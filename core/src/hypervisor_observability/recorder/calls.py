"""What just happens, without an extent: calls that record one event; methods of ``Recorder``."""

from typing import Protocol

from ..events import ids
from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_HANDOFF, GOVERNANCE_DECISION, USAGE_RECORDED, EventType
from ..values.truth import as_bool
from .event_writer import unless_empty
from .place import current_place
from .topics import Vfs


class Records(Protocol):
    """What records events in the place of the running code."""

    vfs: Vfs

    def record(self, event_type: EventType, /, **payload: object) -> HypervisorEvent | None:
        """Record an event of any type."""


def ring_assigned(self: Records, ring: int) -> HypervisorEvent | None:
    """Record that the agent was given a ring."""
    return self.record(EventType.RING_ASSIGNED, ring=ring)


def breach(
    self: Records,
    attempted_tool: str,
    *,
    ring: int,
    required_ring: int | None = None,
    severity: str = "medium",
) -> HypervisorEvent | None:
    """Record that the agent tried what its ring does not allow.

    Args:
        attempted_tool: What it tried to use.
        ring: The agent's ring.
        required_ring: The ring that the tool needs.
        severity: ``low``, ``medium``, ``high`` or ``critical``.
    """
    return self.record(
        EventType.RING_BREACH_DETECTED,
        attempted_tool=attempted_tool,
        ring=ring,
        required_ring=required_ring,
        severity=severity,
    )


def decision(
    self: Records,
    allowed: bool,  # noqa: FBT001 - as in GovernanceMetrics.record_decision, whose order is given
    *,
    tool_name: str,
    evaluation_ms: float | None = None,
    rate_limited: bool = False,
    reason: str = "",
) -> HypervisorEvent | None:
    """Record what the policy decided about the use of a tool.

    Args:
        allowed: Whether it may be used.
        tool_name: The tool.
        evaluation_ms: How long the decision took, in milliseconds.
        rate_limited: Whether it was refused for being used too often.
        reason: Why.
    """
    return self.record(
        GOVERNANCE_DECISION,
        allowed=as_bool(allowed),
        tool_name=tool_name,
        evaluation_ms=evaluation_ms,
        rate_limited=as_bool(rate_limited),
        reason=reason,
    )


def usage(
    self: Records,
    *,
    model: str | None = None,
    provider: str | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cost: float | None = None,
    currency: str | None = None,
) -> HypervisorEvent | None:
    """Record what the agent used of a model.

    Args:
        model: Which one.
        provider: Who serves it, such as ``openai``.
        input_tokens: Tokens that it read.
        output_tokens: Tokens that it wrote.
        cost: What that costs.
        currency: Of the cost, as in ISO 4217.
    """
    return self.record(
        USAGE_RECORDED,
        model=model,
        provider=provider,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=cost,
        currency=currency,
    )


def handoff(
    self: Records, to_agent: str, *, from_agent: str | None = None, reason: str = ""
) -> HypervisorEvent | None:
    """Record that an agent handed the work over to another, which goes on by itself.

    Args:
        to_agent: The agent that has it now.
        from_agent: The one that had it; by default the one that the code runs as.
        reason: Why.
    """
    return self.record(
        AGENT_HANDOFF,
        from_agent=current_place().agent_did if from_agent is None else ids.as_text(from_agent),
        to_agent=ids.as_text(to_agent),
        reason=unless_empty(reason),
    )


def vfs_write(
    self: Records,
    path: str,
    *,
    content_hash: str | None = None,
    previous_hash: str | None = None,
) -> HypervisorEvent | None:
    """Record that the agent wrote a file of the session: short for ``vfs.write``."""
    return self.vfs.write(path, content_hash=content_hash, previous_hash=previous_hash)
