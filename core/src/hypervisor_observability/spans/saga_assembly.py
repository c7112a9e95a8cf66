"""The spans of sagas: steps, retries, compensations and fan-outs, and what links them."""

from collections.abc import Callable, Mapping
from typing import Any

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts, saga_facts
from .identity import (
    SpanIdentities,
    SpanIdentity,
    caller_of,
    causal_ids,
    span_of_saga,
    trace_of_saga,
)
from .open_span import Key, OpenSpan
from .record import FinishedSpan, SpanStatus
from .saga_memory import FinishedPart, Saga, SagaMemory
from .saga_parts import SagaParts, end_part, note_numbers
from .work import Work

_STEP_FAILED = EventType.SAGA_STEP_FAILED


class SagaAssembly:
    """Assemble the spans of sagas.

    A part that comes before its saga's creation, or after its end, is a child of the saga's
    span all the same. An end whose start was not seen took no time, and a start that comes
    after its end begins nothing: no part is two spans.
    """

    def __init__(self, work: Work, identities: SpanIdentities) -> None:
        self._work = work
        self._identities = identities
        self._memory = SagaMemory()
        self._parts = SagaParts(work.open, identities)
        self.handlers: dict[str, Callable[[HypervisorEvent], list[FinishedSpan]]] = {
            EventType.SAGA_CREATED: self._created,
            EventType.SAGA_STEP_STARTED: self._part_started,
            EventType.SAGA_STEP_COMMITTED: self._step_ended,
            EventType.SAGA_STEP_FAILED: self._step_ended,
            EventType.SAGA_COMPENSATING: self._compensating,
            EventType.SAGA_FANOUT_STARTED: self._part_started,
            EventType.SAGA_FANOUT_RESOLVED: self._fanout_resolved,
            EventType.SAGA_COMPLETED: self._saga_ended,
            EventType.SAGA_ESCALATED: self._saga_ended,
        }

    def state(self) -> dict[str, Any]:
        """Give what is known as plain JSON."""
        return self._memory.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know again what ``state()`` gave."""
        self._memory.restore(state)

    def hand_over(self, event: HypervisorEvent) -> None:
        """Note that another agent goes on with a step: its next start links to this one."""
        saga_id = saga_facts.saga_id(event)
        part = ("step", saga_facts.step_id(event))
        saga = self._memory.going_on.get(saga_id)
        if saga is None or payload_facts.name(event, "status") == "failed":
            return
        span = self._work.open.newest_of_saga("step", saga_id, part[1])
        done = saga.finished.get(part) if span is None else span.identity
        if done is not None:
            over = FinishedPart(done.trace_id, done.span_id, "handed_over")
            self._memory.remember(saga, part, over)

    # Sagas

    def _created(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga_id = saga_facts.saga_id(event)
        key = ("saga", saga_id)
        saga, ended = self._memory.going_on.get(saga_id), self._memory.ended.get(saga_id)
        if ended is not None and not ended.created and event.timestamp_ns <= ended.end_ns:
            ended.created = True
            self._work.unmatched += 1
            return []
        if saga is not None and not saga.created:
            # Parts of it came first. Its ids are out already, so they stay.
            saga.created = True
            span = self._work.open.pop(key)
            if span is not None:
                span.name = _saga_name(event)
                span.start_ns = min(span.start_ns, event.timestamp_ns)
                span.agent_did = event.agent_did or span.agent_did
                span.session_id = event.session_id or span.session_id
                span.add_caller(caller_of(event))
                self._work.open.add(span)
            return []
        expired = [] if saga is None else self._expire_saga(saga_id, event)
        self._memory.ended.pop(saga_id, None)
        self._open_saga(saga_id, event)
        self._bound(event)
        return expired

    def _bound(self, event: HypervisorEvent) -> None:
        while len(self._memory.going_on) > self._work.max_open:
            oldest = next(iter(self._memory.going_on))
            self._work.given_up += self._expire_saga(oldest, event)

    def _open_saga(self, saga_id: str, event: HypervisorEvent) -> Saga:
        created = event.event_type == EventType.SAGA_CREATED
        identity = self._identities.of(event) if created else None
        if identity is None:
            # Where the creation was not seen, the event's own ids belong to a part of the saga.
            causal = causal_ids(event)
            trace_id = trace_of_saga(saga_id, event) if causal is None else causal.trace_id
            identity = SpanIdentity(trace_id, span_of_saga(saga_id, event), None)
        key = ("saga", saga_id)
        span = OpenSpan.begun(event, key, _saga_name(event), identity, {"agent.saga.id": saga_id})
        span.causal = event.causal_trace_id if created else None
        span.add_caller(caller_of(event))
        self._work.open.add(span)
        saga = self._memory.going_on[saga_id] = Saga(identity, created)
        return saga

    def _saga_of(self, key: Key, event: HypervisorEvent) -> Saga:
        """Give the saga of a part; one whose creation was not seen begins with this event."""
        saga = self._memory.get(key[1])
        if saga is None:
            saga = self._open_saga(key[1], event)
            self._bound(event)
        return saga

    def _saga_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga_id = saga_facts.saga_id(event)
        key = ("saga", saga_id)
        if saga_id in self._memory.ended:
            self._work.unmatched += 1
            return []
        if saga_id not in self._memory.going_on:
            if self._work.is_over(key):
                return []  # too many were open, and it was given out
            self._work.unmatched += 1
            self._open_saga(saga_id, event)
        spans = self._work.expire(self._work.open.of_saga(saga_id), event)
        span = self._work.open.pop(key)
        if span is None:
            self._work.is_over(key)  # an agent's death has ended it
        else:
            if payload_facts.has(event, "outcome"):
                span.attributes["agent.saga.outcome"] = saga_facts.outcome(event)
            spans.append(end_part(span, event, "ok" if saga_facts.ended_well(event) else "error"))
        forgotten = self._memory.close(saga_id, event.timestamp_ns)
        if forgotten is None:
            return spans
        return spans + self._work.expire(self._work.open.of_saga(forgotten), event)

    def _expire_saga(self, saga_id: str, event: HypervisorEvent) -> list[FinishedSpan]:
        self._memory.forget(saga_id)
        parts = self._work.open.of_saga(saga_id)
        whole = self._work.open.get(("saga", saga_id))
        return self._work.expire([*parts, *([] if whole is None else [whole])], event)

    # Parts

    def _part_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        key = saga_facts.part_key(event)
        if self._work.came_late(key, event):
            return []
        saga = self._saga_of(key, event)
        span = self._parts.part(saga, event, key)
        self._parts.link_to_last_attempt(span, saga)
        return self._work.begin(span, event)

    def _step_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        failed = event.event_type == _STEP_FAILED
        span = self._part_ended(event, "failed" if failed else "committed")
        return self._given(span, event, "error" if failed else "ok")

    def _compensating(self, event: HypervisorEvent) -> list[FinishedSpan]:
        phase = saga_facts.phase(event)
        if phase == "started":
            return self._part_started(event)
        span = self._part_ended(event, phase or "succeeded", at_once=not phase)
        status = SpanStatus.ERROR if phase == "failed" else SpanStatus.OK
        return self._given(span, event, "compensating", status)

    def _fanout_resolved(self, event: HypervisorEvent) -> list[FinishedSpan]:
        satisfied = saga_facts.is_satisfied(event)
        span = self._part_ended(event, "committed" if satisfied else "failed")
        if span is not None:
            note_numbers(span, event, ("success_count", "failure_count"))
        return self._given(span, event, "ok" if satisfied else "error")

    def _part_ended(
        self, event: HypervisorEvent, outcome: str, *, at_once: bool = False
    ) -> OpenSpan | None:
        """Take out what *event* ended; what nobody saw begin took no time.

        Args:
            event: Without the number of an attempt it ends the newest.
            outcome: What is remembered of the part.
            at_once: Whether it need not have begun: then it was at one moment.

        Returns:
            Its span; None if that was given out before.
        """
        key, spans = saga_facts.part_key(event), self._work.open
        saga, span = self._saga_of(key, event), spans.pop(key)
        if span is None and not saga_facts.says_attempt(event):
            newest = spans.newest_of_saga(key[0], key[1], key[2])
            span = None if newest is None else spans.pop(newest.key)
        if span is None:
            if at_once:
                return self._parts.part(saga, event, key)
            if self._work.is_over(key):
                return None
            span = self._parts.part(saga, event, key)
            self._work.end_unseen(key, event)
        ids = span.identity
        done = FinishedPart(ids.trace_id, ids.span_id, outcome)
        self._memory.remember(saga, (key[0], key[2]), done)
        return span

    def _given(
        self,
        span: OpenSpan | None,
        event: HypervisorEvent,
        state: str,
        status: SpanStatus | None = None,
    ) -> list[FinishedSpan]:
        """Give out a part that *event* ended, unless that was done before."""
        return [] if span is None else [end_part(span, event, state, status)]


def _saga_name(event: HypervisorEvent) -> str:
    name = payload_facts.name(event, "name") if event.event_type == EventType.SAGA_CREATED else ""
    return f"saga {name}" if name else "saga"
