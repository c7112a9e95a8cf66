"""Attribute profiles: under which names a span tells what it knows. Pure.

``hypervisor`` has the names ``agent.saga.*``, ``agent.did`` and ``session.id``. ``otel-genai``
adds those of OpenTelemetry's conventions for generative AI (in development there), and
``openinference`` those of OpenInference. ``agent.hypervisor.*`` holds what has no standard name,
and stays in all of them.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from hypervisor_observability.spans.record import AttributeValue, FinishedSpan, SpanStatus

ProfileName = Literal["hypervisor", "otel-genai", "openinference"]
PROFILES: tuple[ProfileName, ...] = ("hypervisor", "otel-genai", "openinference")
DEFAULT_PROFILES: tuple[ProfileName, ...] = ("hypervisor", "otel-genai")

_GENAI = "gen_ai."
_HYPERVISOR = ("agent.saga.", "agent.did")
_AGENT_NAME = "invoke_agent "
_TOOL_NAME = "execute_tool "

# OpenInference's semantic conventions, openinference.span.kind.
_OPENINFERENCE_KINDS = {
    "agent": "AGENT",
    "tool": "TOOL",
    "model": "LLM",
    "run": "CHAIN",
    "decision": "GUARDRAIL",
    "elevation": "GUARDRAIL",
    "quarantine": "GUARDRAIL",
}
# Its names of what is called.
_OPENINFERENCE_NAMES = {
    "gen_ai.tool.name": "tool.name",
    "gen_ai.request.model": "llm.model_name",
    "gen_ai.usage.input_tokens": "llm.token_count.prompt",
    "gen_ai.usage.output_tokens": "llm.token_count.completion",
}


def span_attributes(span: FinishedSpan) -> dict[str, AttributeValue]:
    """The attributes of *span*, with its agent and session where they are not among them."""
    attributes = dict(span.attributes)
    if span.agent_did is not None:
        attributes.setdefault("agent.did", span.agent_did)
    if span.session_id is not None:
        attributes.setdefault("session.id", span.session_id)
    return attributes


def profiled(span: FinishedSpan, profiles: Collection[str]) -> dict[str, AttributeValue]:
    """Give the attributes of *span* under the names of *profiles*.

    Those that the span has itself win over what a profile derives.
    """
    attributes = span_attributes(span)
    if "otel-genai" in profiles:
        attributes = {**_genai(span, attributes), **attributes}
    else:
        attributes = {k: v for k, v in attributes.items() if not k.startswith(_GENAI)}
    if "openinference" in profiles:
        attributes = {**_openinference(span), **attributes}
    if "hypervisor" not in profiles:
        attributes = {k: v for k, v in attributes.items() if not k.startswith(_HYPERVISOR)}
    return attributes


def _genai(
    span: FinishedSpan, attributes: Mapping[str, AttributeValue]
) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    if span.scope == "agent":
        found["gen_ai.operation.name"] = "invoke_agent"
        found["gen_ai.agent.name"] = span.name.removeprefix(_AGENT_NAME)
        if span.agent_did is not None:
            found["gen_ai.agent.id"] = span.agent_did
    elif span.scope == "decision":
        found["gen_ai.operation.name"] = "execute_tool"
        if span.name.startswith(_TOOL_NAME):
            found["gen_ai.tool.name"] = span.name.removeprefix(_TOOL_NAME)
    elif span.scope == "session":
        found["gen_ai.operation.name"] = "invoke_workflow"
    if span.status is SpanStatus.ERROR and "error.type" not in attributes:
        # The value for errors without a type (General attributes, error.type).
        found["error.type"] = "_OTHER"
    return found


def _openinference(span: FinishedSpan) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "openinference.span.kind": _OPENINFERENCE_KINDS.get(span.scope, "CHAIN")
    }
    if span.scope == "agent":
        found["agent.name"] = span.name.removeprefix(_AGENT_NAME)
        if span.agent_did is not None:
            found["graph.node.id"] = span.agent_did
    for ours, theirs in _OPENINFERENCE_NAMES.items():
        if span.scope in {"tool", "model"} and ours in span.attributes:
            found[theirs] = span.attributes[ours]
    return found
