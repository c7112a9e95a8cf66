"""The spans of runs, and of calls of tools and models."""

from collections.abc import Callable

from attrs import frozen

from ..events.event import HypervisorEvent
from ..events.event_types import (
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
)
from ..facts import payload_facts
from .agent_assembly import AgentAssembly, end_as_told
from .identity import caller_of, causal_ids
from .open_span import Key, OpenSpan
from .record import FinishedSpan, SpanKind

_RUN, _TOOL, _MODEL = "run", "tool", "model"


@frozen
class CallAssembly:
    """Assemble the spans of runs and calls. Each is told apart by its causal id.

    Attributes:
        agents: Places what no causal id places; ends what its agent or session does not survive.
    """

    agents: AgentAssembly

    @property
    def handlers(self) -> dict[str, Callable[[HypervisorEvent], list[FinishedSpan]]]:
        """What takes which events."""
        return {
            RUN_STARTED: self._run_started,
            RUN_FINISHED: lambda event: self._finished(_RUN, event),
            TOOL_STARTED: self._tool_started,
            TOOL_FINISHED: lambda event: self._finished(_TOOL, event),
            MODEL_STARTED: self._model_started,
            MODEL_FINISHED: lambda event: self._finished(_MODEL, event),
        }

    def _run_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        name = payload_facts.name(event, "name") or _RUN

        def begin(span: OpenSpan) -> None:
            span.attributes["gen_ai.operation.name"] = "invoke_workflow"
            span.attributes["gen_ai.workflow.name"] = name
            conversation = payload_facts.name(event, "conversation_id")
            if conversation:
                span.attributes["gen_ai.conversation.id"] = conversation
            span.add_caller(caller_of(event))

        return self._started(_RUN, event, f"invoke_workflow {name}", begin)

    def _tool_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        tool, call = payload_facts.name(event, "tool_name"), payload_facts.name(event, "call_id")

        def begin(span: OpenSpan) -> None:
            span.attributes["gen_ai.operation.name"] = "execute_tool"
            if tool:
                span.attributes["gen_ai.tool.name"] = tool
            if call:
                span.attributes["gen_ai.tool.call.id"] = call

        return self._started(_TOOL, event, f"execute_tool {tool or 'unknown'}", begin)

    def _model_started(self, event: HypervisorEvent) -> list[FinishedSpan]:
        model, provider = payload_facts.name(event, "model"), payload_facts.name(event, "provider")
        operation = payload_facts.name(event, "operation") or "chat"

        def begin(span: OpenSpan) -> None:
            span.kind = SpanKind.CLIENT
            span.attributes["gen_ai.operation.name"] = operation
            if model:
                span.attributes["gen_ai.request.model"] = model
            if provider:
                span.attributes["gen_ai.provider.name"] = provider

        return self._started(_MODEL, event, f"{operation} {model or 'unknown'}", begin)

    def _started(
        self, kind: str, event: HypervisorEvent, name: str, begin: Callable[[OpenSpan], None]
    ) -> list[FinishedSpan]:
        key = _key(kind, event)
        work = self.agents.work
        if work.open.get(key) is not None or work.came_late(key, event):
            return []
        span = self.agents.open(event, key, name)
        begin(span)
        return work.begin(span, event)

    def _finished(self, kind: str, event: HypervisorEvent) -> list[FinishedSpan]:
        key, work = _key(kind, event), self.agents.work
        if work.is_over(key):
            return []
        span = work.open.pop(key)
        if span is None:
            work.end_unseen(key, event)
            return []
        first_token = payload_facts.amount(event, "first_token_seconds")
        if first_token is not None:
            span.attributes["agent.hypervisor.first_token_seconds"] = first_token
        return [end_as_told(span, event)]


def _key(kind: str, event: HypervisorEvent) -> Key:
    """Tell a call apart: by its causal id, else by who makes which where."""
    if event.causal_trace_id is not None and causal_ids(event) is not None:
        return (kind, event.causal_trace_id)
    named = payload_facts.name(event, "call_id") or payload_facts.name(event, "tool_name")
    return (kind, event.agent_did or "", event.session_id or "", named)
