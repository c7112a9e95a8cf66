"""Agents of AutoGen whose models answer as a script says."""

import json
from collections.abc import AsyncIterator
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.tools import AgentTool
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, RequestUsage
from autogen_core.tools import FunctionTool
from autogen_ext.models.replay import ReplayChatCompletionClient

from hypervisor_observability.testing import AgentScript, CallTools, Fail, Say, Stall, ToolCall

_CAN: Any = {
    "family": "unknown",
    "function_calling": True,
    "json_output": False,
    "structured_output": False,
    "vision": False,
}


class Scripted(ReplayChatCompletionClient):
    """Answers as a script says."""

    def __init__(self, script: AgentScript) -> None:
        super().__init__([], model_info=_CAN)
        self.turns = iter(script.turns)
        self.agents = {one.name for one in script.agents}

    async def create(self, *_: Any, **__: Any) -> CreateResult:
        turn = next(self.turns)
        if isinstance(turn, Fail):
            raise turn.error
        if isinstance(turn, Stall):
            await turn.wait()
        if isinstance(turn, Say):
            return _result("stop", turn.text)
        assert isinstance(turn, CallTools)
        return _result("function_calls", [self._call(one) for one in turn.calls])

    def _call(self, call: ToolCall) -> FunctionCall:
        arguments = dict(call.arguments)
        if call.name in self.agents:  # its tool's argument has another name
            arguments = {"task": arguments["request"]}
        return FunctionCall(id=call.call_id, name=call.name, arguments=json.dumps(arguments))

    async def create_stream(self, *_: Any, **__: Any) -> Any:
        result = await self.create()
        if isinstance(result.content, str):
            for word in result.content.partition(" "):
                yield word
        yield result


def _result(reason: Any, content: Any) -> CreateResult:
    return CreateResult(
        finish_reason=reason,
        content=content,
        usage=RequestUsage(prompt_tokens=20, completion_tokens=5),
        cached=False,
    )


def made(script: AgentScript, *, streams: bool = False) -> Any:
    """Make the agent of a *script*, and those that it calls as tools."""
    tools: list[Any] = [
        FunctionTool(tool, description=tool.__doc__ or "", name=tool.__name__)
        for tool in script.tools
    ]
    tools += [AgentTool(made(one)) for one in script.agents]
    return AssistantAgent(
        script.name,
        model_client=Scripted(script),
        tools=tools,
        reflect_on_tool_use=True,
        model_client_stream=streams,
        description=script.name,
    )


async def answer(script: AgentScript, request: str) -> str:
    """Run, and give the last text."""
    result = await made(script).run(task=request)
    return str(result.messages[-1].to_text())


async def stream(script: AgentScript, request: str) -> AsyncIterator[object]:
    """Give the messages of a run."""
    async for message in made(script, streams=True).run_stream(task=request):
        yield message
