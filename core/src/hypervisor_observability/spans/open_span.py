"""A span that has begun and not ended."""

from typing import Any

from attrs import define, evolve, field

from ..events.event import HypervisorEvent, is_erased, raw_timestamp
from ..values.open_twin import open_twin
from .identity import SpanIdentity
from .record import AttributeValue, FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus

MAX_SPAN_EVENTS = 128
"""Most events, and most links, of a span: OpenTelemetry's defaults (SDK, Span Limits)."""

ERASED = "agent.hypervisor.erased"
EXPIRED = "agent.hypervisor.expired"
PENDING = "agent.hypervisor.pending"
DROPPED_EVENTS = "agent.hypervisor.dropped_events"

Key = tuple[str, ...]
"""The kind of work, and what tells it apart from others of its kind."""

_OK, _UNSET, _ERROR = SpanStatus.OK, SpanStatus.UNSET, SpanStatus.ERROR
_finished_draft = open_twin(FinishedSpan)


@define(eq=False)
class OpenSpan:
    """Work that has begun.

    Attributes:
        key: Under which it is found; the kind comes first.
        name: Of low cardinality.
        identity: Its ids.
        start_ns: Nanoseconds since the epoch.
        agent_did: The agent that does it.
        session_id: The session in which it is done.
        causal: The causal id of the event that began it, as it was written.
        kind: Its role.
        attributes: Details so far.
        links: Other spans that it refers to.
        events: What has happened within it.
        error: Why it has failed already, whatever its end says; None if it has not.
    """

    key: Key
    name: str
    identity: SpanIdentity
    start_ns: int
    agent_did: str | None
    session_id: str | None
    causal: str | None = None
    kind: SpanKind = SpanKind.INTERNAL
    attributes: dict[str, AttributeValue] = field(factory=dict)
    links: list[SpanLink] = field(factory=list)
    events: list[SpanEvent] = field(factory=list)
    error: str | None = None

    @classmethod
    def begun(
        cls,
        event: HypervisorEvent,
        key: Key,
        name: str,
        identity: SpanIdentity,
        attributes: dict[str, AttributeValue] | None = None,
    ) -> "OpenSpan":
        """Give the span of the work that *event* began."""
        return cls(
            key,
            name,
            identity,
            raw_timestamp(event),
            event.agent_did,
            event.session_id,
            event.causal_trace_id,
            attributes={} if attributes is None else attributes,
        )

    def add_link(self, trace_id: str, span_id: str, link_type: str) -> None:
        """Refer to another span."""
        if len(self.links) < MAX_SPAN_EVENTS:
            self.links.append(SpanLink(trace_id, span_id, {"link.type": link_type}))

    def add_caller(self, caller: tuple[str, str] | None) -> None:
        """Refer to the span of a caller whose trace was not continued."""
        if caller is not None:
            self.add_link(*caller, "caller")

    def add_event(self, event: SpanEvent) -> None:
        """Note what happened; beyond the limit it is only counted."""
        if len(self.events) < MAX_SPAN_EVENTS:
            self.events.append(event)
        else:
            dropped = self.attributes.get(DROPPED_EVENTS, 0)
            self.attributes[DROPPED_EVENTS] = int(dropped) + 1

    def finish(self, event: HypervisorEvent, status: SpanStatus, message: str = "") -> FinishedSpan:
        """End the work with *event*."""
        if self.error is not None and status is not _ERROR:
            status, message = _ERROR, self.error
        if is_erased(event):
            self.attributes[ERASED] = True
            status = _UNSET if status is _OK else status
        return self._span(event, max(self.start_ns, raw_timestamp(event)), status, message)

    def expire(self, event: HypervisorEvent) -> FinishedSpan:
        """Give it out as it stands: its end is not waited for any longer than *event*."""
        self.attributes[EXPIRED] = True
        return self.finish(event, _UNSET)

    def begin(self, event: HypervisorEvent) -> FinishedSpan:
        """Tell that the work has begun."""
        span = self._span(event, self.start_ns, _UNSET, "", pending=True)
        return evolve(span, attributes={**span.attributes, PENDING: True})

    def _span(
        self,
        event: HypervisorEvent,
        end_ns: int,
        status: SpanStatus,
        message: str,
        *,
        pending: bool = False,
    ) -> FinishedSpan:
        agent_did = self.agent_did or event.agent_did
        session_id = self.session_id or event.session_id
        attributes = dict(self.attributes)
        if agent_did is not None:
            attributes["agent.did"] = agent_did
        if session_id is not None:
            attributes["session.id"] = session_id
        identity, events = self.identity, self.events
        span = _finished_draft()
        span.name = self.name
        span.trace_id = identity.trace_id
        span.span_id = identity.span_id
        span.parent_span_id = identity.parent_span_id
        span.start_ns = self.start_ns
        span.end_ns = end_ns
        span.kind = self.kind
        span.status = status
        span.status_message = message
        span.attributes = attributes
        span.events = tuple(sorted(events, key=lambda one: one.time_ns)) if events else ()
        span.links = tuple(self.links)
        span.agent_did = agent_did
        span.session_id = session_id
        span.scope = self.key[0]
        span.closed_by = event.event_id
        span.pending = pending
        span.__class__ = FinishedSpan
        return span  # type: ignore[no-any-return]  # it is one since the line above

    def state(self) -> list[Any]:
        """Give it as plain JSON."""
        identity = self.identity
        return [
            list(self.key),
            self.name,
            [identity.trace_id, identity.span_id, identity.parent_span_id],
            self.start_ns,
            self.agent_did,
            self.session_id,
            self.causal,
            self.kind.value,
            dict(self.attributes),
            [[link.trace_id, link.span_id, dict(link.attributes)] for link in self.links],
            [[one.name, one.time_ns, dict(one.attributes)] for one in self.events],
            self.error,
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> "OpenSpan":
        """Give the span whose ``state()`` was *state*."""
        key, name, ids, start_ns, agent, session, causal, kind, attributes, links, events, error = (
            state
        )
        return cls(
            tuple(key),
            name,
            SpanIdentity(*ids),
            start_ns,
            agent,
            session,
            causal,
            SpanKind(kind),
            attributes,
            [SpanLink(*link) for link in links],
            [SpanEvent(*one) for one in events],
            error,
        )
