"""Which spans tell of work that is recorded already: no call counts twice."""

from opentelemetry.trace import SpanKind

from hypervisor_genai.links import Link
from hypervisor_genai.reading import Work

_OWNERS = (
    (("langchain", "langgraph", "langsmith"), "langchain_core"),
    (("openai_agents", "openai_agents_v2"), "agents"),
    (("hypervisor", "agent_hypervisor"), "hypervisor"),
)


def framework_of(scope: str) -> str | None:
    """Give the module of the framework whose work is told by spans of this instrumentation, if
    it has a source of its own.

    Scopes are named ``openinference.instrumentation.langchain``,
    ``opentelemetry.instrumentation.openai_agents`` and so on.
    """
    parts = scope.lower().replace("-", "_").split(".")
    for names, module in _OWNERS:
        if not set(parts).isdisjoint(names):
            return module
    return None


def is_same(above: Link, work: Work, scope: str, kind: SpanKind) -> bool:
    """Tell whether a span is about the very work that its nearest known ancestor is about.

    That is a model's call within a model's call: a framework's, and that of the client library
    below it. It is an agent or a tool of the same name told by two instrumentations, or by the
    client and the server of MCP.
    """
    outer = above.work
    if outer is None or outer.kind != work.kind:
        return False
    if work.kind == "model":
        return True
    if work.kind not in ("agent", "tool") or outer.name != work.name:
        return False
    return scope != above.scope or (work.kind == "tool" and kind is SpanKind.SERVER)


def calls_for(above: Link, work: Work) -> bool:
    """Tell whether a client library calls a model for a framework that has a source of its own,
    which records the call. What a tool calls itself is the tool's.
    """
    outer = above.work
    if not above.elsewhere or outer is None:
        return False
    return work.kind == "model" and outer.kind in ("agent", "run")
