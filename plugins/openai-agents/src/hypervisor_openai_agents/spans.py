"""The SDK's traces and spans, as events.

===================  =============================================================================
of the SDK           of ours
===================  =============================================================================
trace                a run
task                 a run, where a trace of the user's has several; else what is around it
agent                an agent
function             a call of a tool; an agent that is called as one stands below it
generation,          a call of a model
response
turn                 a call of a model, where none of the two above was in it; see ``turns``
handoff              a handoff
guardrail            a decision
any other            nothing: what is below it stands in what is around it
===================  =============================================================================
"""

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from hypervisor_observability.events.event_types import AGENT_HANDOFF, GOVERNANCE_DECISION
from hypervisor_observability.recorder import HERE
from hypervisor_observability.sources import SourceContext
from hypervisor_openai_agents import frames
from hypervisor_openai_agents.endings import ended_by, ending_of, failure, handled
from hypervisor_openai_agents.seats import Run, Seat, Seats, Turn
from hypervisor_openai_agents.turns import Turns

_SCALARS = (str, bool, int, float)
_UNSEEN = "the source was turned off"


@define(eq=False)
class Spans:
    """Is told of the SDK's traces and spans, and records them."""

    context: SourceContext
    _seats: Seats = field(factory=Seats, init=False)
    _turns: Turns = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._turns = Turns(self.context.recorder)

    def trace_started(self, trace: Any) -> None:
        """Open a run: a trace is one, or holds several of the user's."""
        run = Run(is_implicit=frames.begun_by_sdk())
        key = str(trace.trace_id)
        self._seats.add(key, Seat(key, "run", run, around=handled(), is_work=True))
        metadata = getattr(trace, "metadata", None)
        self.context.recorder.open(
            "run",
            key,
            HERE,
            name=str(trace.name),
            run_id=key,
            conversation_id=getattr(trace, "group_id", None),
            attributes=_flat(metadata) if isinstance(metadata, dict) else None,
            activate=True,
        )

    def trace_ended(self, trace: Any) -> None:
        """Close it."""
        seat = self._seats.end(str(trace.trace_id))
        if seat is not None:
            with self._ending(seat, None):
                pass

    def span_started(self, span: Any) -> None:
        """Open what the span is, or note that it is nothing of ours."""
        around = self._seats.find(str(span.parent_id or span.trace_id))
        if around is None:  # begun before the source was, or long ago
            around = Seat(HERE, "other", Run())
        kind, key = span.span_data.type, str(span.span_id)
        seat = _WORK[kind](self, span.span_data, key, around) if kind in _WORK else None
        if seat is None:
            seat = around.within()
            if kind in _PASSED:
                _PASSED[kind](self, seat)
        seat.around = handled()
        self._seats.add(key, seat)

    def span_ended(self, span: Any) -> None:
        """Close it."""
        seat = self._seats.end(str(span.span_id))
        if seat is not None and seat.end is not None:
            seat.end(span, seat)

    def error_set(self, span: Any) -> None:
        """Note what the SDK sets as the error of a span: its text leaves out the most of it."""
        seat = self._seats.find(str(span.span_id))
        if seat is not None:
            seat.failure = failure()

    def end_all(self) -> None:
        """Close what is open: nobody will tell of its end."""
        for seat in self._seats.take_all():
            if seat.is_work:
                self.context.recorder.close(seat.key, status="expired", reason=_UNSEEN)

    # Beginnings of work

    def _parent(self, around: Seat) -> Hashable:
        return self.context.recorder.innermost(around.key)

    def _task(self, data: Any, key: str, around: Seat) -> Seat | None:
        if around.kind not in ("run", "other") or around.run.is_implicit:
            return None  # the trace is this run; or an agent is called as a tool
        self.context.recorder.open(
            "run", key, self._parent(around), name=str(data.name), run_id=key, activate=True
        )
        return Seat(key, "run", Run(), is_work=True, end=self._end)

    def _agent(self, data: Any, key: str, around: Seat) -> Seat:
        name = str(data.name)
        self.context.recorder.open(
            "agent",
            key,
            self._parent(around),
            agent_did=self.context.did_of(name),
            name=name,
            activate=True,
        )
        return Seat(key, "agent", around.run, around.turn, is_work=True, end=self._end)

    def _tool(self, data: Any, key: str, around: Seat) -> Seat:
        self._turns.tool_begins(around.turn)
        caller = frames.tool_caller()
        around.run.is_sensitive |= caller.is_sensitive
        says: dict[str, Any] = {"tool_name": str(data.name), "call_id": caller.call_id}
        hides = caller.is_sensitive and self.context.content == "all"
        if caller.arguments and not hides:
            arguments = frames.arguments_in(caller.arguments)
            says |= self.context.content_of(arguments=arguments)
        self.context.recorder.open("tool", key, self._parent(around), activate=True, **says)
        return Seat(key, "tool", around.run, around.turn, is_work=True, end=self._tool_ended)

    def _model(self, data: Any, key: str, around: Seat) -> Seat:
        called = frames.called_model()
        model = getattr(data, "model", None) or called.model
        self.context.recorder.open(
            "model",
            key,
            self._parent(around),
            model=str(model),
            operation="chat",
            stream=called.stream,
        )
        if around.turn is not None:
            around.turn.call_key = key
        seat = Seat(key, "model", around.run, around.turn, is_work=True, end=self._model_ended)
        seat.told["model"] = str(model)
        return seat

    # Beginnings of what is no work of ours

    def _turn(self, seat: Seat) -> None:
        called = frames.model_of_turn()
        seat.run.is_sensitive = called.is_sensitive
        seat.turn = Turn(seat.key, seat.turn, time.time_ns(), called.model)
        seat.end = self._turn_ended

    def _handoff(self, seat: Seat) -> None:
        self._turns.tool_begins(seat.turn)
        seat.end = self._handed_over

    def _guardrail(self, seat: Seat) -> None:
        seat.told["began"] = time.perf_counter()
        seat.end = self._decided

    # Ends

    @contextmanager
    def _ending(self, seat: Seat, span_error: Any) -> Iterator[dict[str, Any]]:
        """Close the work of a span, with what the block tells, be it at fault."""
        error, told = ending_of(span_error, seat)
        try:
            yield told
        finally:
            self.context.recorder.close(seat.key, error, **told)

    def _end(self, span: Any, seat: Seat) -> None:
        with self._ending(seat, span.error):
            pass

    def _tool_ended(self, span: Any, seat: Seat) -> None:
        with self._ending(seat, span.error) as told:
            data = span.span_data
            held_back = frames.held_back()
            if held_back is not None:
                told.update(status="blocked", reason=held_back)
            if self.context.content == "all" and data.output is not None:
                told["result"] = data.output
            if isinstance(data.mcp_data, dict):
                told["attributes"] = _flat(data.mcp_data)

    def _model_ended(self, span: Any, seat: Seat) -> None:
        with self._ending(seat, span.error):
            data = span.span_data
            usage = getattr(data, "usage", None)
            if usage is None:
                usage = getattr(getattr(data, "response", None), "usage", None)
            self._turns.call_reported(seat.turn, seat.key, seat.told["model"], usage)

    def _turn_ended(self, span: Any, seat: Seat) -> None:
        if seat.turn is not None:
            hides = seat.run.is_sensitive
            usage = span.span_data.usage
            self._turns.turn_ended(seat.turn, usage, ended_by(seat), hides=hides)

    def _handed_over(self, span: Any, seat: Seat) -> None:
        data = span.span_data
        if data.to_agent is None or ended_by(seat) is not None:
            return
        did_of = self.context.did_of
        self.context.recorder.point(
            AGENT_HANDOFF,
            seat.key,
            from_agent=None if data.from_agent is None else did_of(data.from_agent),
            to_agent=did_of(data.to_agent),
        )

    def _decided(self, span: Any, seat: Seat) -> None:
        if ended_by(seat) is not None:
            return  # it has not decided
        data = span.span_data
        self.context.recorder.point(
            GOVERNANCE_DECISION,
            seat.key,
            allowed=not data.triggered,
            evaluation_ms=(time.perf_counter() - seat.told["began"]) * 1_000,
            reason=f"guardrail {data.name}",
        )


_WORK = {
    "task": Spans._task,
    "agent": Spans._agent,
    "function": Spans._tool,
    "generation": Spans._model,
    "response": Spans._model,
}
_PASSED = {"turn": Spans._turn, "handoff": Spans._handoff, "guardrail": Spans._guardrail}


def _flat(values: dict[Any, Any]) -> dict[str, object]:
    """Give what may stand among attributes."""
    return {str(name): value for name, value in values.items() if isinstance(value, _SCALARS)}
