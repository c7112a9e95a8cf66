"""Turn events into finished spans: sagas with their steps and compensations, agents.

One assembler serves one reader and is not shared between threads. It keeps open work only,
and at most ``MAX_OPEN`` of each kind: what is older is given out as it stands, marked with
``agent.hypervisor.expired``.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from ..event_types import AGENT_FINISHED, EventType
from ..events import HypervisorEvent
from .identity import (
    SpanIdentities,
    SpanIdentity,
    causal_id,
    causal_id_of,
    span_of_event,
    span_of_saga,
    trace_of_saga,
)
from .open_spans import OpenSaga, OpenSpan
from .record import AttributeValue, FinishedSpan, SpanLink, SpanStatus

MAX_OPEN = 10_000
MAX_STEPS = 1_000

UNKNOWN_SAGA = "unknown"


class SpanAssembler:
    """Assemble the spans of events given in their order."""

    def __init__(self) -> None:
        self._identities = SpanIdentities()
        self._sagas: OrderedDict[str, OpenSaga] = OrderedDict()
        self._agents: OrderedDict[str, OpenSpan] = OrderedDict()
        self.expired = 0
        """Spans that were given out unfinished because too many were open."""
        self._handlers: dict[str, Callable[[HypervisorEvent], list[FinishedSpan]]] = {
            EventType.SAGA_CREATED: self._saga_created,
            EventType.SAGA_STEP_STARTED: self._step_started,
            EventType.SAGA_STEP_COMMITTED: self._step_ended,
            EventType.SAGA_STEP_FAILED: self._step_ended,
            EventType.SAGA_COMPENSATING: self._compensating,
            EventType.SAGA_FANOUT_STARTED: self._fan_out_started,
            EventType.SAGA_FANOUT_RESOLVED: self._fan_out_resolved,
            EventType.SAGA_COMPLETED: self._saga_ended,
            EventType.SAGA_ESCALATED: self._saga_ended,
            EventType.SESSION_JOINED: self._agent_started,
            AGENT_FINISHED: self._agent_ended,
        }

    def state(self) -> dict[str, Any]:
        """Give all that has begun, as plain JSON values."""
        return {
            "identities": self._identities.state(),
            "sagas": {saga_id: saga.state() for saga_id, saga in self._sagas.items()},
            "agents": {full_id: span.state() for full_id, span in self._agents.items()},
            "expired": self.expired,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "SpanAssembler":
        """Make one that goes on where the one that gave *state* was.

        Raises:
            KeyError: Something is missing; likewise TypeError and ValueError.
        """
        assembler = cls()
        assembler._identities.restore(state["identities"])
        for saga_id, saga in state["sagas"].items():
            assembler._sagas[saga_id] = OpenSaga.from_state(saga)
        for full_id, span in state["agents"].items():
            assembler._agents[full_id] = OpenSpan.from_state(span)
        assembler.expired = int(state["expired"])
        return assembler

    @property
    def open_spans(self) -> int:
        """How many spans have begun and not ended."""
        within = sum(1 + len(_parts(saga)) for saga in self._sagas.values())
        return within + len(self._agents)

    def feed(self, event: HypervisorEvent) -> list[FinishedSpan]:
        """Take one event; give the spans that it ended."""
        handler = self._handlers.get(event.event_type)
        return [] if handler is None else handler(event)

    # Sagas

    def _saga_created(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga_id = _saga_id(event)
        expired = [] if saga_id not in self._sagas else self._expire_saga(saga_id, event)
        self._open_saga(saga_id, event)
        while len(self._sagas) > MAX_OPEN:
            expired += self._expire_saga(next(iter(self._sagas)), event)
        return expired

    def _open_saga(self, saga_id: str, event: HypervisorEvent) -> OpenSaga:
        identity = None
        if event.event_type == EventType.SAGA_CREATED:
            identity = self._identities.of(event)
        if identity is None:
            # Where the creation was not seen, the event's own ids belong to a part of the saga.
            causal = causal_id(event)
            trace_id = trace_of_saga(saga_id, event) if causal is None else causal.to_w3c()[0]
            identity = SpanIdentity(trace_id, span_of_saga(saga_id, event), None)
        name = event.payload.get("name")
        span = OpenSpan(
            f"saga {name}" if isinstance(name, str) and name else "saga",
            identity,
            event.timestamp_ns,
            "saga",
            event.agent_did,
            event.session_id,
            {"agent.saga.id": saga_id},
            _caller_links(event),
        )
        saga = self._sagas[saga_id] = OpenSaga(span)
        return saga

    def _saga_of(self, event: HypervisorEvent) -> OpenSaga:
        """Give the event's saga; one whose creation was not seen begins with this event."""
        saga_id = _saga_id(event)
        return self._sagas.get(saga_id) or self._open_saga(saga_id, event)

    def _saga_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga_id = _saga_id(event)
        saga = self._saga_of(event)
        del self._sagas[saga_id]
        spans = [_expired(span, event) for span in _parts(saga)]
        self.expired += len(spans)
        escalated = event.event_type == EventType.SAGA_ESCALATED
        outcome = event.payload.get("outcome")
        if isinstance(outcome, str):
            saga.span.attributes["agent.saga.outcome"] = outcome
        spans.append(_end(saga.span, event, "error" if escalated else "ok"))
        return spans

    def _expire_saga(self, saga_id: str, event: HypervisorEvent) -> list[FinishedSpan]:
        saga = self._sagas.pop(saga_id)
        spans = [_expired(span, event) for span in (*_parts(saga), saga.span)]
        self.expired += len(spans)
        return spans

    # Steps

    def _step_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga = self._saga_of(event)
        step_id, attempt = _step_id(event), _attempt(event)
        expired = []
        again = saga.steps.pop((step_id, attempt), None)
        if again is not None:
            expired.append(_expired(again, event))
        saga.steps[step_id, attempt] = self._open_step(saga, event)
        while len(saga.steps) > MAX_STEPS:
            expired.append(_expired(saga.steps.pop(next(iter(saga.steps))), event))
        self.expired += len(expired)
        return expired

    def _open_step(self, saga: OpenSaga, event: HypervisorEvent) -> OpenSpan:
        action = _action(event)
        span = self._part(saga, event, f"saga.step.{action or _step_id(event)}", "step")
        attempt = event.payload.get("attempt")
        if isinstance(attempt, int):
            span.attributes["agent.saga.attempt"] = attempt
        return span

    def _step_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga = self._saga_of(event)
        step_id = _step_id(event)
        span = saga.steps.pop((step_id, _attempt(event)), None)
        if span is None:
            # The end names no attempt, or its start was not seen: then it took no time.
            key = next((key for key in saga.steps if key[0] == step_id), None)
            span = self._open_step(saga, event) if key is None else saga.steps.pop(key)
        span_id = span.identity.span_id
        saga.finished[step_id] = span_id
        if len(saga.finished) > MAX_STEPS:
            del saga.finished[next(iter(saga.finished))]
        failed = event.event_type == EventType.SAGA_STEP_FAILED
        if failed:
            saga.failed_step = span_id
        return [_end(span, event, "error" if failed else "ok")]

    # Fan-outs

    def _fan_out_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga, key = self._saga_of(event), _group_id(event)
        again = saga.fan_outs.pop(key, None)
        expired = [] if again is None else [_expired(again, event)]
        saga.fan_outs[key] = self._open_fan_out(saga, event)
        while len(saga.fan_outs) > MAX_STEPS:
            expired.append(_expired(saga.fan_outs.pop(next(iter(saga.fan_outs))), event))
        self.expired += len(expired)
        return expired

    def _open_fan_out(self, saga: OpenSaga, event: HypervisorEvent) -> OpenSpan:
        policy = str(event.payload.get("policy") or "")
        span = self._part(saga, event, f"saga.fanout {policy}".rstrip(), "fanout")
        del span.attributes["agent.saga.step_id"], span.attributes["agent.saga.step_action"]
        return span

    def _fan_out_resolved(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga = self._saga_of(event)
        span = saga.fan_outs.pop(_group_id(event), None) or self._open_fan_out(saga, event)
        satisfied = event.payload.get("policy_satisfied") is not False
        return [_end(span, event, "ok" if satisfied else "error")]

    # Compensations

    def _compensating(self, event: HypervisorEvent) -> list[FinishedSpan]:
        saga = self._saga_of(event)
        key = _step_id(event)
        phase = event.payload.get("phase")
        if phase == "started":
            again = saga.compensations.pop(key, None)
            expired = [] if again is None else [_expired(again, event)]
            saga.compensations[key] = self._open_compensation(saga, event)
            while len(saga.compensations) > MAX_STEPS:
                oldest = saga.compensations.pop(next(iter(saga.compensations)))
                expired.append(_expired(oldest, event))
            self.expired += len(expired)
            return expired
        span = saga.compensations.pop(key, None) or self._open_compensation(saga, event)
        status = SpanStatus.ERROR if phase == "failed" else SpanStatus.OK
        return [_end(span, event, "compensating", status)]

    def _open_compensation(self, saga: OpenSaga, event: HypervisorEvent) -> OpenSpan:
        action = _action(event)
        name = f"saga.compensate.{action or _step_id(event)}"
        span = self._part(saga, event, name, "compensation")
        trace_id = saga.span.identity.trace_id
        if saga.failed_step is not None:
            span.links.append(SpanLink(trace_id, saga.failed_step, {"link.type": "caused_by"}))
        undone = event.payload.get("compensates_step_id") or _step_id(event)
        committed = saga.finished.get(undone) if isinstance(undone, str) else None
        if committed is not None and committed != saga.failed_step:
            span.links.append(SpanLink(trace_id, committed, {"link.type": "compensates"}))
        return span

    def _part(self, saga: OpenSaga, event: HypervisorEvent, name: str, scope: str) -> OpenSpan:
        """Open a child of the saga's span, or of that of a fan-out in it."""
        own = self._identities.of(event)
        within = saga.span.identity
        links = []
        if own is None:
            own = SpanIdentity(within.trace_id, span_of_event(event), within.span_id)
        elif own.trace_id == within.trace_id:
            above = {span.identity.span_id for span in saga.fan_outs.values()}
            parent = own.parent_span_id
            if parent not in above:
                parent = within.span_id
            own = SpanIdentity(own.trace_id, own.span_id, parent)
        else:
            # Work in another trace is no child of the saga's span: it refers to it.
            links.append(SpanLink(within.trace_id, within.span_id, {"link.type": "saga"}))
        attributes: dict[str, AttributeValue] = {
            "agent.saga.id": _saga_id(event),
            "agent.saga.step_id": _step_id(event),
            "agent.saga.step_action": _action(event),
        }
        return OpenSpan(
            name,
            own,
            event.timestamp_ns,
            scope,
            event.agent_did,
            event.session_id,
            attributes,
            links,
        )

    # Agents

    def _agent_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        causal = causal_id(event)
        if causal is None:
            return []  # nothing would tell which end belongs to it
        identity = self._identities.of(event)
        if identity is None or causal.full_id in self._agents:
            return []
        agent = event.payload.get("name") or (event.agent_did or "agent").rpartition(":")[2]
        span = OpenSpan(
            f"invoke_agent {agent}",
            identity,
            event.timestamp_ns,
            "agent",
            event.agent_did,
            event.session_id,
            {"gen_ai.operation.name": "invoke_agent", "agent.hypervisor.depth": causal.depth},
        )
        if event.agent_did is not None:
            span.attributes["gen_ai.agent.id"] = event.agent_did
        ring = event.payload.get("ring")
        if isinstance(ring, int):
            span.attributes["agent.hypervisor.ring"] = ring
        span.links += _caller_links(event)
        self._agents[causal.full_id] = span
        if len(self._agents) <= MAX_OPEN:
            return []
        self.expired += 1
        return [_expired(self._agents.popitem(last=False)[1], event)]

    def _agent_ended(self, event: HypervisorEvent) -> list[FinishedSpan]:
        span = self._agents.pop(event.causal_trace_id or "", None)
        if span is None:
            return []
        error = event.payload.get("error")
        if event.payload.get("status") == "error":
            return [span.finish(event, SpanStatus.ERROR, str(error or ""))]
        return [span.finish(event, SpanStatus.OK)]


def _end(
    span: OpenSpan, event: HypervisorEvent, state: str, status: SpanStatus | None = None
) -> FinishedSpan:
    payload = event.payload
    span.attributes["agent.saga.state"] = state
    for key in ("error", "reason", "result"):
        if key in payload:
            span.attributes[f"agent.saga.{key}"] = str(payload[key])
    if status is None:
        status = SpanStatus.ERROR if state == "error" else SpanStatus.OK
    message = ""
    if status is SpanStatus.ERROR:
        message = str(payload.get("error") or payload.get("reason") or "")
    return span.finish(event, status, message)


def _expired(span: OpenSpan, event: HypervisorEvent) -> FinishedSpan:
    span.attributes["agent.hypervisor.expired"] = True
    return span.finish(event, SpanStatus.UNSET)


def _caller_links(event: HypervisorEvent) -> list[SpanLink]:
    """Link to the caller whose trace was not continued."""
    caller = causal_id_of(event.payload.get("caller_trace"))
    return [] if caller is None else [SpanLink(*caller.to_w3c(), {"link.type": "caller"})]


def _parts(saga: OpenSaga) -> list[OpenSpan]:
    return [*saga.steps.values(), *saga.compensations.values(), *saga.fan_outs.values()]


def _saga_id(event: HypervisorEvent) -> str:
    saga_id: Any = event.payload.get("saga_id")
    if saga_id is None:
        saga_id = event.causal_trace_id or UNKNOWN_SAGA
    return str(saga_id)


def _group_id(event: HypervisorEvent) -> str:
    return str(event.payload.get("group_id") or event.causal_trace_id or "")


def _action(event: HypervisorEvent) -> str:
    payload = event.payload
    action = payload.get("action")
    if action is None:
        action = payload.get("step_action")
    return "" if action is None else str(action)


def _step_id(event: HypervisorEvent) -> str:
    step_id = event.payload.get("step_id")
    return _action(event) if step_id is None or step_id == "" else str(step_id)


def _attempt(event: HypervisorEvent) -> int:
    attempt = event.payload.get("attempt")
    return attempt if isinstance(attempt, int) else 1
