"""The words in which spans tell of agents, tools and models, as their conventions have them.

None of these conventions is stable, so all that is taken from one stands in its row here, with
the versions that it was read in. A value that a later version moves gets its new key in front.
"""

from collections.abc import Mapping

from attrs import frozen

from hypervisor_observability.recorder.kinds import KindName


@frozen
class Dialect:
    """A convention.

    Attributes:
        title: What it is called.
        read_in: The versions that it was read in.
        told_by: The attribute that makes a span one of its spans.
        kinds: What its values say. None: known, and no work of an agent.
        keys: Where a value stands, by what we call it, in the order of trust.
    """

    title: str
    read_in: str
    told_by: str
    kinds: Mapping[str, KindName | None]
    keys: Mapping[str, tuple[str, ...]]


_GEN_AI_KEYS: Mapping[str, tuple[str, ...]] = {
    "agent": ("gen_ai.agent.name", "gen_ai.agent.id"),
    "run": ("gen_ai.workflow.name",),
    "tool": ("gen_ai.tool.name",),
    "call_id": ("gen_ai.tool.call.id",),
    "arguments": (
        "gen_ai.tool.call.arguments",
        "tool_arguments",
        "gcp.vertex.agent.tool_call_args",
    ),
    "result": ("gen_ai.tool.call.result", "tool_response", "gcp.vertex.agent.tool_response"),
    "put_off": ("pydantic_ai.tool.deferral.name",),
    "model": ("gen_ai.request.model", "gen_ai.response.model"),
    "used_model": ("gen_ai.response.model", "gen_ai.request.model"),
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "cost": ("operation.cost",),
    "finish_reason": ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason"),
    "first_token_seconds": (
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.client.operation.time_to_first_chunk",
    ),
    "conversation": ("gen_ai.conversation.id",),
    "texts": ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages"),
}

GEN_AI = Dialect(
    "OpenTelemetry's GenAI conventions",
    "semantic-conventions 1.36 to 1.41, in development",
    "gen_ai.operation.name",
    {
        "invoke_agent": "agent",
        "create_agent": None,
        "invoke_workflow": "run",
        "execute_tool": "tool",
        "chat": "model",
        "generate_content": "model",
        "text_completion": "model",
        "embeddings": "model",
    },
    _GEN_AI_KEYS,
)

AGENT_FRAMEWORK = Dialect(
    "Spans of Microsoft's Agent Framework for its workflows, which have no convention's",
    "agent-framework-core 1.23",
    "workflow.id",
    {},
    {"run": ("workflow.name", "workflow.id")},
)

MCP = Dialect(
    "OpenTelemetry's conventions of the Model Context Protocol",
    "semantic-conventions 1.39, in development; mcp 2.3",
    "mcp.method.name",
    {"tools/call": "tool"},
    _GEN_AI_KEYS,
)

OPENINFERENCE = Dialect(
    "OpenInference",
    "openinference-semantic-conventions 0.1.42",
    "openinference.span.kind",
    {"AGENT": "agent", "TOOL": "tool", "LLM": "model", "EMBEDDING": "model"},
    {
        "agent": ("agent.name", "graph.node.id"),
        "tool": ("tool.name", "tool_call.function.name"),
        "call_id": ("tool_call.id", "tool.id"),
        "arguments": ("tool_call.function.arguments", "tool.parameters", "input.value"),
        "result": ("output.value",),
        "model": ("llm.request.model_name", "llm.model_name", "embedding.model_name"),
        "used_model": ("llm.response.model_name", "llm.model_name", "embedding.model_name"),
        "provider": ("llm.provider", "llm.system"),
        "input_tokens": ("llm.token_count.prompt",),
        "output_tokens": ("llm.token_count.completion",),
        "cost": ("llm.cost.total",),
        "finish_reason": ("llm.finish_reason",),
        "conversation": ("session.id",),
        "texts": ("input.value", "output.value"),
    },
)

_TRACELOOP_KEYS: Mapping[str, tuple[str, ...]] = {
    **_GEN_AI_KEYS,
    "agent": ("gen_ai.agent.name", "traceloop.entity.name"),
    "tool": ("gen_ai.tool.name", "traceloop.entity.name"),
    "arguments": ("gen_ai.tool.call.arguments", "traceloop.entity.input"),
    "result": ("gen_ai.tool.call.result", "traceloop.entity.output"),
    "run": ("traceloop.entity.name", "traceloop.workflow.name"),
    "texts": (*_GEN_AI_KEYS["texts"], "traceloop.entity.input", "traceloop.entity.output"),
}

TRACELOOP = Dialect(
    "OpenLLMetry",
    "opentelemetry-semantic-conventions-ai 0.5.1",
    "traceloop.span.kind",
    {"workflow": "run", "task": None, "agent": "agent", "tool": "tool"},
    _TRACELOOP_KEYS,
)

TRACELOOP_MODELS = Dialect(
    "OpenLLMetry, calls of models",
    TRACELOOP.read_in,
    "llm.request.type",
    {"chat": "model", "completion": "model", "embedding": "model", "rerank": None},
    _TRACELOOP_KEYS,
)

DIALECTS = (GEN_AI, MCP, OPENINFERENCE, TRACELOOP, TRACELOOP_MODELS)
"""In the order in which a span is asked for them: the first that knows it has it."""
