"""The spans of sessions, agents, elevations, quarantines and decisions."""

from collections.abc import Callable

from attrs import frozen

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_FINISHED, GOVERNANCE_DECISION, EventType
from ..facts import lasting, lives, payload_facts
from .handoffs import Handoffs
from .identity import (
    SpanIdentities,
    SpanIdentity,
    caller_of,
    causal_ids,
    span_of_event,
    trace_of_event,
)
from .open_span import Key, OpenSpan
from .open_spans import OpenOfKind
from .record import FinishedSpan, SpanKind, SpanStatus
from .work import Work

SESSION_WORKFLOW = "hypervisor.session"

_WITH_THE_SESSION = frozenset({"agent", "run", "tool", "model", "elevation", "quarantine"})


@frozen
class AgentAssembly:
    """Assemble the spans of what is no saga's part.

    The end of a session ends the agents, elevations and quarantines in it whose own end was
    not seen. The death of an agent ends all that it does.

    Attributes:
        work: What is open.
        identities: Gives ids.
        handoffs: Links agents to those who handed over to them.
        pending: Whether a session is told of when it begins, too.
    """

    work: Work
    identities: SpanIdentities
    handoffs: Handoffs
    pending: bool = False

    @property
    def handlers(self) -> dict[str, Callable[[HypervisorEvent], list[FinishedSpan]]]:
        """What takes which events."""
        return {
            EventType.SESSION_CREATED: self._session_created,
            EventType.SESSION_TERMINATED: self._session_ended,
            EventType.SESSION_ARCHIVED: self._session_ended,
            EventType.SESSION_JOINED: self._agent_joined,
            AGENT_FINISHED: self._agent_finished,
            EventType.RING_ASSIGNED: self._ring_assigned,
            EventType.RING_ELEVATED: self._elevated,
            EventType.RING_DEMOTED: self._elevation_ended,
            EventType.RING_ELEVATION_EXPIRED: self._elevation_ended,
            EventType.QUARANTINE_ENTERED: self._quarantined,
            EventType.QUARANTINE_RELEASED: self._released,
            EventType.AGENT_KILLED: self._killed,
            GOVERNANCE_DECISION: self._decided,
        }

    # Sessions

    def _session_created(self, event: HypervisorEvent) -> list[FinishedSpan]:
        if event.session_id is None:
            return []  # nothing would tell which end belongs to it
        span = self.open(
            event, ("session", event.session_id), f"invoke_workflow {SESSION_WORKFLOW}"
        )
        span.attributes["gen_ai.operation.name"] = "invoke_workflow"
        span.attributes["gen_ai.workflow.name"] = SESSION_WORKFLOW
        conversation = payload_facts.name(event, "conversation_id")
        if conversation:
            span.attributes["gen_ai.conversation.id"] = conversation
        expired = self.work.begin(span, event)
        return [*expired, span.begin(event)] if self.pending else expired

    def _session_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        if event.session_id is None:
            return []
        span = self.work.open.pop(("session", event.session_id))
        inner = reversed(self.work.open.of_session(event.session_id))
        spans = self.work.end_with(
            "session", [one for one in inner if one.key[0] in _WITH_THE_SESSION], event
        )
        if span is None:
            self.work.unmatched += event.event_type == EventType.SESSION_TERMINATED
            return spans
        return [*spans, end_as_told(span, event)]

    # Agents

    def _agent_joined(self, event: HypervisorEvent) -> list[FinishedSpan]:
        key = _agent_key(event)
        if key is None or self.work.open.get(key) is not None:
            return []
        name = payload_facts.name(event, "name")
        title = name or (event.agent_did or "agent").rpartition(":")[2]
        span = self.open(event, key, f"invoke_agent {title}", within=False)
        if payload_facts.flag(event, "remote"):
            span.kind = SpanKind.CLIENT
        causal = causal_ids(event)
        span.attributes["gen_ai.operation.name"] = "invoke_agent"
        span.attributes["agent.hypervisor.depth"] = int(
            causal is not None and causal.parent_span_id is not None
        )
        if event.agent_did is not None:
            span.attributes["gen_ai.agent.id"] = event.agent_did
        _note_ring(span, event)
        span.add_caller(caller_of(event))
        session = None if event.session_id is None else self._session(event.session_id)
        if session is not None and session.identity.trace_id != span.identity.trace_id:
            # A session may last for days: it is referred to, and is no parent.
            span.add_link(session.identity.trace_id, session.identity.span_id, "session")
        self.handoffs.begin(span, name)
        return self.work.begin(span, event)

    def _agent_finished(self, event: HypervisorEvent) -> list[FinishedSpan]:
        key = _agent_key(event)
        if key is not None and self.work.is_over(key):
            return self._elevations_left(event)
        span = None if key is None else self.work.open.pop(key)
        if span is None and event.causal_trace_id is None:
            found = self._agent(event)
            span = None if found is None else self.work.open.pop(found.key)
        elevations = self._elevations_left(event)
        if span is None:
            self.work.unmatched += 1
            return elevations
        return [*elevations, end_as_told(span, event)]

    def _elevations_left(self, event: HypervisorEvent) -> list[FinishedSpan]:
        """End the elevations of an agent that does no other work where it has finished."""
        if event.agent_did is None or not self.work.open.count("elevation"):
            return []
        sessions = lives.sessions_left(event, self._works)
        left = self.work.open.of_agent_in("elevation", event.agent_did, sessions)
        return self.work.end_with("agent", reversed(left), event)

    def _works(self, did: str, session: str) -> bool:
        return bool(self.work.open.of_agent_in("agent", did, [session] if session else None))

    def _killed(self, event: HypervisorEvent) -> list[FinishedSpan]:
        did = event.agent_did
        if did is None:
            return []
        # Innermost first, as they would have ended.
        spans = [
            span
            for span in reversed(self.work.open.of_agent(did))
            if span.key[0] != "session"
            and (event.session_id is None or span.session_id in {None, event.session_id})
        ]
        return self.work.kill(spans, event)

    # Rings

    def _ring_assigned(self, event: HypervisorEvent) -> list[FinishedSpan]:
        agent = self._agent(event)
        if agent is not None:
            _note_ring(agent, event)
        return []

    def _elevated(self, event: HypervisorEvent) -> list[FinishedSpan]:
        before, after = (payload_facts.ring(event, key) for key in _RINGS)
        named = before is not None and after is not None
        name = f"ring.elevate {before}→{after}" if named else "ring.elevate"
        span = self.open(event, ("elevation", *lasting.key_of(event)), name)
        for key, ring in zip(_RINGS, (before, after), strict=True):
            if ring is not None:
                span.attributes[f"agent.hypervisor.{key}"] = ring
        return self.work.begin(span, event)

    def _elevation_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        self._ring_assigned(event)
        span = self._pop(event, "elevation")
        if span is None:
            return []  # a demotion need not end an elevation
        ended_by = event.event_type.value.partition(".")[2]
        span.attributes["agent.hypervisor.ended_by"] = ended_by
        return [end_as_told(span, event)]

    # Quarantines and decisions

    def _quarantined(self, event: HypervisorEvent) -> list[FinishedSpan]:
        killed = self._killed(event) if payload_facts.is_kill(event) else []
        reason = payload_facts.name(event, "reason")
        key = ("quarantine", *lasting.key_of(event))
        span = self.open(event, key, f"quarantine {reason}" if reason else "quarantine")
        return killed + self.work.begin(span, event)

    def _released(self, event: HypervisorEvent) -> list[FinishedSpan]:
        span = self._pop(event, "quarantine")
        if span is None:
            self.work.unmatched += 1
            return []
        return [end_as_told(span, event)]

    def _decided(self, event: HypervisorEvent) -> list[FinishedSpan]:
        """Give the span of a decision: it takes no time of the tool's."""
        tool = payload_facts.name(event, "tool_name")
        span = self.open(event, ("decision", event.event_id), f"execute_tool {tool or 'unknown'}")
        span.attributes["gen_ai.operation.name"] = "execute_tool"
        if tool:
            span.attributes["gen_ai.tool.name"] = tool
        decision = payload_facts.decision(event)
        if decision == payload_facts.ERASED:
            return [span.finish(event, SpanStatus.UNSET)]
        span.attributes["agent.hypervisor.policy.decision"] = decision
        said = {
            "evaluation_ms": payload_facts.amount(event, "evaluation_ms"),
            "rate_limited": payload_facts.flag(event, "rate_limited"),
        }
        for key, value in said.items():
            if value is not None:
                span.attributes[f"agent.hypervisor.policy.{key}"] = value
        if decision == "allow":
            return [span.finish(event, SpanStatus.UNSET)]
        span.attributes["error.type"] = "policy_denied"
        return [
            span.finish(event, SpanStatus.ERROR, payload_facts.text(event, "reason") or "denied")
        ]

    # What all of them need

    def _session(self, session_id: str) -> OpenSpan | None:
        return self.work.open.get(("session", session_id))

    def _agent(self, event: HypervisorEvent) -> OpenSpan | None:
        """Give the open span of the agent that *event* is about."""
        key = _agent_key(event)
        span = None if key is None else self.work.open.get(key)
        if span is None and event.agent_did is not None:
            span = self.work.open.newest_at("agent", event.agent_did, event.session_id)
        return span

    def open(self, event: HypervisorEvent, key: Key, name: str, *, within: bool = True) -> OpenSpan:
        """Make a span that *event* opens.

        Args:
            event: Its causal id places the span.
            key: As of the open span.
            name: Likewise.
            within: Whether it is a child of the agent's span where no causal id places it.
        """
        identity = self.identities.of(event)
        if identity is None:
            agent = self._agent(event) if within and event.agent_did is not None else None
            span_id = span_of_event(event)
            if agent is None:
                identity = SpanIdentity(trace_of_event(event), span_id, None)
            else:
                identity = SpanIdentity(agent.identity.trace_id, span_id, agent.identity.span_id)
        return OpenSpan.begun(event, key, name, identity)

    def _pop(self, event: HypervisorEvent, kind: str) -> OpenSpan | None:
        """Take out the elevation or quarantine that *event* ends."""
        key = lasting.ended_by(lasting.key_of(event), OpenOfKind(self.work.open, kind))
        return None if key is None else self.work.open.pop((kind, *key))


_RINGS = ("from_ring", "to_ring")


def _agent_key(event: HypervisorEvent) -> Key | None:
    """Tell an agent's work apart: by its causal id, else by who does it where."""
    if event.causal_trace_id is not None and causal_ids(event) is not None:
        return ("agent", event.causal_trace_id)
    if event.agent_did is None:
        return None
    return ("agent", event.agent_did, event.session_id or "")


def _note_ring(span: OpenSpan, event: HypervisorEvent) -> None:
    ring = payload_facts.ring(event)
    if ring is not None:
        span.attributes["agent.hypervisor.ring"] = ring


def end_as_told(span: OpenSpan, event: HypervisorEvent) -> FinishedSpan:
    """End *span* with the status that *event* tells."""
    if payload_facts.has_failed(event):
        error_type = payload_facts.name(event, "error_type")
        if error_type:
            span.attributes["error.type"] = error_type
        return span.finish(event, SpanStatus.ERROR, payload_facts.text(event, "error"))
    if payload_facts.was_blocked(event):
        span.attributes["error.type"] = "policy_denied"
        reason = payload_facts.text(event, "reason") or "blocked"
        return span.finish(event, SpanStatus.ERROR, reason)
    left = payload_facts.left_undone(event)
    if left:
        span.attributes["agent.hypervisor.status"] = left
        return span.finish(event, SpanStatus.UNSET)
    return span.finish(event, SpanStatus.OK)
