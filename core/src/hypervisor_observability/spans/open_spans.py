"""Work that has begun and not ended, and how it is saved."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from ..events import HypervisorEvent
from .identity import SpanIdentity
from .record import AttributeValue, FinishedSpan, SpanKind, SpanLink, SpanStatus


@define(eq=False)
class OpenSpan:
    """Work that has begun."""

    name: str
    identity: SpanIdentity
    start_ns: int
    scope: str
    agent_did: str | None
    session_id: str | None
    attributes: dict[str, AttributeValue] = field(factory=dict)
    links: list[SpanLink] = field(factory=list)

    def state(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {
            "name": self.name,
            "ids": [
                self.identity.trace_id,
                self.identity.span_id,
                self.identity.parent_span_id,
            ],
            "start_ns": self.start_ns,
            "scope": self.scope,
            "agent_did": self.agent_did,
            "session_id": self.session_id,
            "attributes": self.attributes,
            "links": [[link.trace_id, link.span_id, dict(link.attributes)] for link in self.links],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "OpenSpan":
        """Make it again of what ``state`` gave.

        Raises:
            KeyError: Something is missing; likewise TypeError and ValueError.
        """
        return cls(
            state["name"],
            SpanIdentity(*state["ids"]),
            int(state["start_ns"]),
            state["scope"],
            state["agent_did"],
            state["session_id"],
            dict(state["attributes"]),
            [SpanLink(*link) for link in state["links"]],
        )

    def finish(self, event: HypervisorEvent, status: SpanStatus, message: str = "") -> FinishedSpan:
        """End the work with *event*."""
        agent_did = self.agent_did or event.agent_did
        session_id = self.session_id or event.session_id
        attributes = dict(self.attributes)
        if agent_did is not None:
            attributes["agent.did"] = agent_did
        if session_id is not None:
            attributes["session.id"] = session_id
        return FinishedSpan(
            name=self.name,
            trace_id=self.identity.trace_id,
            span_id=self.identity.span_id,
            parent_span_id=self.identity.parent_span_id,
            start_ns=self.start_ns,
            end_ns=max(self.start_ns, event.timestamp_ns),
            kind=SpanKind.INTERNAL,
            status=status,
            status_message=message,
            attributes=attributes,
            links=tuple(self.links),
            agent_did=agent_did,
            session_id=session_id,
            scope=self.scope,
            closed_by=event.event_id,
        )


@define(eq=False)
class OpenSaga:
    """A saga that has begun, with what is needed to link its parts."""

    span: OpenSpan
    steps: dict[tuple[str, int], OpenSpan] = field(factory=dict)
    compensations: dict[str, OpenSpan] = field(factory=dict)
    # By group_id.
    fan_outs: dict[str, OpenSpan] = field(factory=dict)
    # step_id to the span id of its last finished attempt.
    finished: dict[str, str] = field(factory=dict)
    failed_step: str | None = None

    def state(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {
            "span": self.span.state(),
            "steps": [[*key, span.state()] for key, span in self.steps.items()],
            "compensations": {key: span.state() for key, span in self.compensations.items()},
            "fan_outs": {key: span.state() for key, span in self.fan_outs.items()},
            "finished": self.finished,
            "failed_step": self.failed_step,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "OpenSaga":
        """Make it again of what ``state`` gave.

        Raises:
            KeyError: Something is missing; likewise TypeError and ValueError.
        """
        return cls(
            OpenSpan.from_state(state["span"]),
            {
                (step_id, int(attempt)): OpenSpan.from_state(span)
                for step_id, attempt, span in state["steps"]
            },
            {key: OpenSpan.from_state(span) for key, span in state["compensations"].items()},
            # One that an older release saved knows of none.
            {key: OpenSpan.from_state(span) for key, span in state.get("fan_outs", {}).items()},
            dict(state["finished"]),
            state["failed_step"],
        )
