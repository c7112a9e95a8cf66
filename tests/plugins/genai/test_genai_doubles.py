"""No call counts twice, whoever tells of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from hypervisor_genai.doubles import framework_of
from hypervisor_observability.sources import SourceContext
from tests.plugins.genai.spans import Watch, watching

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}
TOKENS = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}


@contextmanager
def span(watch: Watch, scope: str, told: dict[str, Any], **more: Any) -> Iterator[Any]:
    with watch.tracer(scope).start_as_current_span("s", attributes=told, **more) as one:
        yield one


def test_call_of_the_client_library_is_the_frameworks_call() -> None:
    with watching() as watch:
        with span(watch, "framework", {**MODEL, **TOKENS}):
            with span(watch, "http", {}), span(watch, "client", {**MODEL, **TOKENS}):
                pass
        seen = watch.seen

    assert len(seen.all("model")) == 1
    (usage,) = seen.points("usage.recorded")
    assert usage.payload["input_tokens"] == 7


def test_tokens_that_only_the_client_library_knows_count_once() -> None:
    with watching() as watch:
        with span(watch, "framework", MODEL):
            for _ in range(2):  # it was tried again
                with span(watch, "client", {**MODEL, **TOKENS}):
                    pass
        (usage,) = watch.seen.points("usage.recorded")

    assert (usage.payload["input_tokens"], usage.payload["output_tokens"]) == (14, 6)


def test_agent_that_two_instrumentations_tell_of_is_one() -> None:
    told = {"openinference.span.kind": "AGENT", "agent.name": "guide"}
    with watching() as watch:
        with span(watch, "native", AGENT), span(watch, "other", told), span(watch, "native", TOOL):
            pass
        seen = watch.seen

    assert seen.one("tool", "look").parent is seen.one("agent", "guide")


@pytest.mark.parametrize("told", [AGENT, TOOL])
def test_work_that_begins_the_same_work_is_two(told: dict[str, str]) -> None:
    with watching() as watch:
        with span(watch, "framework", told), span(watch, "framework", told):
            pass
        assert len(watch.seen.pieces) == 2


def test_client_and_server_tell_of_one_call_and_the_servers_code_stands_in_it() -> None:
    with watching() as watch:
        with span(watch, "agents", TOOL), span(watch, "mcp", TOOL, kind=SpanKind.CLIENT):
            with span(watch, "mcp", TOOL, kind=SpanKind.SERVER):
                watch.observability.recorder.vfs.write("inside")
        (tool,) = watch.seen.pieces

    assert len(tool.points) == 1


@pytest.mark.parametrize(
    ("scope", "module"),
    [
        ("openinference.instrumentation.langchain", "langchain_core"),
        ("opentelemetry.instrumentation.langchain", "langchain_core"),
        ("opentelemetry.instrumentation.langgraph", "langchain_core"),
        ("langsmith", "langchain_core"),
        ("openinference.instrumentation.openai_agents", "agents"),
        ("opentelemetry.instrumentation.openai_agents", "agents"),
        ("opentelemetry-instrumentation-openai-agents", None),
        ("openinference.instrumentation.openai", None),
        ("pydantic-ai", None),
        ("", None),
    ],
)
def test_framework_with_a_source_of_its_own_is_known_by_the_scope(
    scope: str, module: str | None
) -> None:
    assert framework_of(scope) == module


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the source for LangChain up."""
    monkeypatch.setattr(
        SourceContext, "observed_elsewhere", lambda _, module: module == "langchain_core"
    )


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("kind", "models"), [("AGENT", 0), ("CHAIN", 1), ("TOOL", 1)])
def test_client_library_below_an_agent_of_such_a_framework_is_left_alone(
    kind: str, models: int
) -> None:
    told = {"openinference.span.kind": kind, "agent.name": "guide", "tool.name": "look"}
    with watching() as watch:
        with span(watch, "openinference.instrumentation.langchain", told):
            with span(watch, "openinference.instrumentation.openai", {**MODEL, **TOKENS}):
                pass
        assert len(watch.seen.pieces) == models


@pytest.mark.usefixtures("native")
def test_framework_that_its_own_source_observes_is_left_alone() -> None:
    with watching() as watch:
        with span(watch, "openinference.instrumentation.langchain", AGENT):
            with span(watch, "openinference.instrumentation.langchain", MODEL):
                with span(watch, "openinference.instrumentation.openai", {**MODEL, **TOKENS}):
                    pass
            with span(watch, "pydantic-ai", {**AGENT, "gen_ai.agent.name": "other"}):
                pass
        seen = watch.seen

    assert [one.name for one in seen.pieces] == ["other"]
    assert seen.points("usage.recorded") == []


def test_framework_without_its_own_source_is_seen() -> None:
    with watching() as watch:
        with span(watch, "openinference.instrumentation.langchain", AGENT):
            pass
        assert len(watch.seen.pieces) == 1
