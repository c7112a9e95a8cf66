"""What an instrumentation of OpenTelemetry tells of the same work counts once: this source wins."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Tracer

from hypervisor_genai import GenAISource
from hypervisor_observability import Config, Observability
from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from hypervisor_openai_agents import OpenAIAgentsSource
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.observing import Observed, look_up
from tests.sources.openai_agents.test_runs import WAYS
from tests.sources.openai_agents.test_usage import Unnamed


@contextmanager
def both(
    scope: str = "opentelemetry.instrumentation.openai_v2",
) -> Iterator[tuple[Observed, Tracer]]:
    """Observe by this source and by the one for spans, and give an instrumentation's tracer."""
    plugins = [GenAISource(), OpenAIAgentsSource()]
    provider = TracerProvider(shutdown_on_exit=False)
    with Observability(Config(), plugins=plugins) as observability:
        assert set(observability.states().values()) == {"running"}
        yield Observed(observability), provider.get_tracer(scope)
    provider.shutdown()


def instrumented(tracer: Tracer, script: AgentScript) -> Unnamed:
    """Make a model over a client library that is instrumented."""

    def told(usage: Any) -> Any:
        return tracer.start_as_current_span(
            "chat fake-1",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "fake-1",
                "gen_ai.usage.input_tokens": usage.input_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
            },
        )

    class Instrumented(Unnamed):
        async def _response(self) -> Any:
            response = await super()._response()
            with told(response.usage):
                return response

    return Instrumented(script)


def asks_for(tool: Callable[..., Any], **arguments: object) -> AgentScript:
    """Give an agent that calls the tool."""
    calls = (ToolCall(tool.__name__, arguments, "call-1"),)
    turns = (CallTools(calls, Usage(20, 5)), Say("done", Usage(30, 7)))
    return AgentScript("boss", turns, (tool,))


@WAYS
def test_call_of_a_model_and_that_of_the_client_below_it_are_one(way: Any) -> None:
    with both() as (seen, tracer):

        def summarize(text: str) -> str:
            """Ask a model by the client library, without an agent."""
            attributes: dict[str, Any] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "small",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 1,
            }
            with tracer.start_as_current_span("chat small", attributes=attributes):
                return text[:1]

        script = asks_for(summarize, text="long")
        asyncio.run(way(made(script, lambda one: instrumented(tracer, one))))

    assert seen.outline == [
        "run Agent workflow ok",
        "  agent boss ok",
        "    model Instrumented ok",
        "    tool summarize ok",
        "      model small ok",
        "    model Instrumented ok",
    ]
    assert sorted(seen.tokens, key=str) == [("boss", 20, 5), ("boss", 3, 1), ("boss", 30, 7)]


@WAYS
def test_call_of_a_tool_and_that_of_the_protocol_below_it_are_one(way: Any) -> None:
    with both() as (seen, tracer):

        def search(city: str) -> str:
            """Call a server that has the tool."""
            for name in ("search", "geocode"):
                attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
                with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes):
                    pass
            return look_up(city)

        asyncio.run(way(made(asks_for(search, city="Oslo"), Unnamed)))

    assert [str(one) for one in seen.seen.all("tool")] == ["tool search", "tool geocode"]
    assert seen.seen.one("tool", "search").start.payload["call_id"] == "call-1"
    assert str(seen.seen.one("tool", "geocode").parent) == "tool search"


@WAYS
def test_spans_of_an_instrumentation_of_the_framework_are_left_alone(way: Any) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "boss"}
    with both("openinference.instrumentation.openai_agents") as (seen, tracer):

        class Told(Unnamed):
            async def _response(self) -> Any:
                with tracer.start_as_current_span("invoke_agent boss", attributes=agent):
                    return await super()._response()

        asyncio.run(way(made(AgentScript("boss", (Say("done", Usage(1, 1)),)), Told)))

    assert seen.outline == ["run Agent workflow ok", "  agent boss ok", "    model Told ok"]
