"""The parts of a saga as open spans: what they are called, whose children they are."""

from attrs import frozen

from ..events.event import HypervisorEvent, is_erased
from ..facts import payload_facts, saga_facts
from .identity import SpanIdentities, SpanIdentity, span_of_event
from .open_span import Key, OpenSpan
from .open_spans import OpenSpans
from .record import AttributeValue, FinishedSpan, SpanStatus
from .saga_memory import Saga

_OK, _ERROR = SpanStatus.OK, SpanStatus.ERROR
_TOLD = ("error", "reason", "result")
Attributes = dict[str, AttributeValue]


@frozen
class SagaParts:
    """Make the spans of steps, compensations and fan-outs.

    Attributes:
        open: The open spans: a branch is a child of its fan-out's.
        identities: Gives ids.
    """

    open: OpenSpans
    identities: SpanIdentities

    def part(self, saga: Saga, event: HypervisorEvent, key: Key) -> OpenSpan:
        """Make the span of what *event* is about, whose ``part_key`` is *key*."""
        attributes: Attributes = {"agent.saga.id": key[1]}
        if key[0] == "fanout":
            return self._fanout(saga, event, key, attributes)
        action = saga_facts.action(event)
        attributes["agent.saga.step_id"] = key[2]
        attributes["agent.saga.step_action"] = action
        if key[0] == "compensation":
            return self._compensation(saga, event, key, action or key[2], attributes)
        attempt = payload_facts.integer(event, "attempt")
        if attempt is not None:
            attributes["agent.saga.attempt"] = attempt
        return self._child(saga, event, key, f"saga.step.{action or key[2]}", attributes)

    def link_to_last_attempt(self, span: OpenSpan, saga: Saga) -> None:
        """Refer to the attempt before, if *span* is another one at a step."""
        before = saga.finished.get((span.key[0], span.key[2]))
        if before is not None and span.key[0] == "step":
            reason = "handoff" if before.outcome == "handed_over" else "retry_of"
            span.add_link(before.trace_id, before.span_id, reason)

    def _compensation(
        self, saga: Saga, event: HypervisorEvent, key: Key, action: str, attributes: Attributes
    ) -> OpenSpan:
        """Link it to what failed and to what it undoes."""
        span = self._child(saga, event, key, f"saga.compensate.{action}", attributes)
        if saga.failed_step is not None:
            span.add_link(*saga.failed_step, "caused_by")
        undone = saga.finished.get(("step", saga_facts.undone_step(event)))
        if undone is not None and undone.outcome != "failed":
            span.add_link(undone.trace_id, undone.span_id, "compensates")
        return span

    def _fanout(
        self, saga: Saga, event: HypervisorEvent, key: Key, attributes: Attributes
    ) -> OpenSpan:
        policy = payload_facts.name(event, "policy")
        name = f"saga.fanout {policy}" if policy else "saga.fanout"
        attributes["agent.saga.group_id"] = key[2]
        span = self._child(saga, event, key, name, attributes)
        note_numbers(span, event, ("branch_count",))
        return span

    def _child(
        self, saga: Saga, event: HypervisorEvent, key: Key, name: str, attributes: Attributes
    ) -> OpenSpan:
        """Open a child of the saga's span, or of the fan-out whose branch it is."""
        own = self.identities.of(event)
        within = saga.identity
        if key[0] == "step" and self.open.count("fanout"):
            fanout = self._fanout_of(key[1], event, own)
            within = saga.identity if fanout is None else fanout.identity
        elsewhere = own is not None and own.trace_id != within.trace_id
        if own is None:
            own = SpanIdentity(within.trace_id, span_of_event(event), within.span_id)
        elif not elsewhere and own.parent_span_id != within.span_id:
            own = SpanIdentity(own.trace_id, own.span_id, within.span_id)
        span = OpenSpan.begun(event, key, name, own, attributes)
        if elsewhere:
            # Work in another trace is no child of the saga's span: it refers to it.
            span.add_link(within.trace_id, within.span_id, "saga")
        return span

    def _fanout_of(
        self, saga_id: str, event: HypervisorEvent, own: SpanIdentity | None
    ) -> OpenSpan | None:
        """Give the fan-out whose branch a step is: the one it names, else that of its causal id.

        Where there is no causal id, a step that begins while branches run is one of them.
        """
        group_id = payload_facts.name(event, "group_id") or None
        if group_id is None and own is not None:
            parent = None if own.parent_span_id is None else self.open.with_id(own.parent_span_id)
            return parent if parent is not None and parent.key[:2] == ("fanout", saga_id) else None
        return self.open.newest_of_saga("fanout", saga_id, group_id)


def note_numbers(span: OpenSpan, event: HypervisorEvent, keys: tuple[str, ...]) -> None:
    """Take those of *keys* over that hold a number of things."""
    for key in keys:
        number = payload_facts.count(event, key)
        if number is not None:
            span.attributes[f"agent.saga.{key}"] = number


def end_part(
    span: OpenSpan, event: HypervisorEvent, state: str, status: SpanStatus | None = None
) -> FinishedSpan:
    """End a saga, or a part of one, in *state*."""
    known = state == "error" or not is_erased(event)
    span.attributes["agent.saga.state"] = state if known else payload_facts.ERASED
    for key, told in payload_facts.texts(event, _TOLD).items():
        span.attributes[f"agent.saga.{key}"] = told
    if status is None:
        status = _ERROR if state == "error" else _OK
    message = ""
    if status is _ERROR:
        message = payload_facts.failure(event)
        error_type = payload_facts.name(event, "error_type")
        if error_type:
            span.attributes["error.type"] = error_type
    return span.finish(event, status, message)
