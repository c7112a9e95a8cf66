"""Agents of pydantic-ai whose models answer as a script says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, NoReturn

from attrs import evolve
from pydantic_ai import Agent, AgentRunResultEvent, DeferredToolRequests, Tool
from pydantic_ai.exceptions import ApprovalRequired
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaToolCall,
    FunctionModel,
)
from pydantic_ai.usage import RequestUsage

from hypervisor_observability.testing import (
    AgentScript,
    CallTools,
    Fail,
    Say,
    Stall,
    Usage,
)


def made(script: AgentScript, **told: Any) -> Any:
    """Make the agent of a *script*, and those that it calls as tools."""
    turns = iter(script.turns)

    async def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        turn = next(turns)
        if isinstance(turn, Fail):
            raise turn.error
        if isinstance(turn, Stall):
            await turn.wait()
        if isinstance(turn, Say):
            return ModelResponse(parts=[TextPart(turn.text)], usage=_usage(turn.usage))
        assert isinstance(turn, CallTools)
        return ModelResponse(
            parts=[ToolCallPart(one.name, dict(one.arguments), one.call_id) for one in turn.calls],
            usage=_usage(turn.usage),
        )

    tools = [Tool(tool, name=tool.__name__) for tool in script.tools]
    tools += [_as_tool(one) for one in script.agents]
    return Agent(Scripted(answer, model_name="scripted-1"), name=script.name, tools=tools, **told)


def made_to_ask(script: AgentScript) -> Any:
    """Make the agent, whose tools want to be approved first."""

    def asking(tool: Any) -> Any:
        @wraps(tool)
        def ask(**_: Any) -> NoReturn:
            raise ApprovalRequired

        return ask

    asked = evolve(script, tools=tuple(asking(tool) for tool in script.tools))
    return made(asked, output_type=[str, DeferredToolRequests])


async def stream(script: AgentScript, request: str) -> AsyncIterator[object]:
    """Give the events of a run, and at the end its answer."""
    async with made(script).run_stream_events(request) as events:
        async for event in events:
            yield event.result.output if isinstance(event, AgentRunResultEvent) else event


def _as_tool(script: AgentScript) -> Any:
    agent = made(script)

    async def ask(request: str) -> str:
        """Ask another agent."""
        return str((await agent.run(request)).output)

    return Tool(ask, name=script.name)


def _usage(usage: Usage) -> RequestUsage:
    return RequestUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


class Scripted(FunctionModel):
    """Streams what its function answers, with the tokens that are told there."""

    def __init__(self, function: Any, **told: Any) -> None:
        super().__init__(function, stream_function=self._streamed, **told)

    async def _streamed(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        answer = await self.function(messages, info)
        for index, part in enumerate(answer.parts):
            if isinstance(part, TextPart):
                for word in part.content.partition(" "):
                    yield word
            else:
                arguments = json.dumps(part.args)
                yield {
                    index: DeltaToolCall(part.tool_name, arguments, tool_call_id=part.tool_call_id)
                }
        yield answer.usage

    @asynccontextmanager
    async def request_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with super().request_stream(*args, **kwargs) as response:
            plain = response._map_item

            def mapped(item: Any) -> Any:
                if not isinstance(item, RequestUsage):
                    return plain(item)
                response._usage = item  # else it is estimated
                return iter(())

            response._map_item = mapped
            yield response
