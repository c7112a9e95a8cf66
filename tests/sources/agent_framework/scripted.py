"""Agents of Microsoft's Agent Framework whose models answer as a script says."""

from collections.abc import AsyncIterator
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
    tool,
)
from agent_framework.observability import ChatTelemetryLayer

from hypervisor_observability.testing import AgentScript, CallTools, Fail, Say, Stall


class Scripted(FunctionInvocationLayer, ChatMiddlewareLayer, ChatTelemetryLayer, BaseChatClient):
    """Answers as a script says."""

    def __init__(self, script: AgentScript) -> None:
        super().__init__()
        self.model = "scripted-1"
        self.turns = iter(script.turns)

    def _inner_get_response(self, *, stream: bool, **_: Any) -> Any:
        turn = next(self.turns)
        return ResponseStream(_updates(turn), finalizer=_joined) if stream else _response(turn)


async def _response(turn: Any) -> ChatResponse:
    return ChatResponse(
        messages=[Message(role="assistant", contents=await _contents(turn))],
        response_id="response",
        model="scripted-1",
        usage_details=_usage(turn),
    )


async def _updates(turn: Any) -> AsyncIterator[ChatResponseUpdate]:
    contents = await _contents(turn)
    if isinstance(turn, Say):
        contents = [Content.from_text(word) for word in turn.text.partition(" ")]
    for one in contents:
        yield ChatResponseUpdate(role="assistant", contents=[one])
    yield ChatResponseUpdate(role="assistant", contents=[Content.from_usage(_usage(turn))])


def _joined(updates: Any) -> ChatResponse:
    return ChatResponse.from_updates(updates)


async def _contents(turn: Any) -> list[Content]:
    if isinstance(turn, Fail):
        raise turn.error
    if isinstance(turn, Stall):
        await turn.wait()
    if isinstance(turn, Say):
        return [Content.from_text(turn.text)]
    assert isinstance(turn, CallTools)
    return [
        Content.from_function_call(one.call_id, one.name, arguments=dict(one.arguments))
        for one in turn.calls
    ]


def _usage(turn: Any) -> Any:
    used = turn.usage
    return {"input_token_count": used.input_tokens, "output_token_count": used.output_tokens}


def made(script: AgentScript) -> Any:
    """Make the agent of a *script*, and those that it calls as tools."""
    tools = [tool(one, name=one.__name__) for one in script.tools]
    tools += [made(one).as_tool(name=one.name, arg_name="request") for one in script.agents]
    return Agent(Scripted(script), name=script.name, description=script.name, tools=tools)


async def stream(script: AgentScript, request: str) -> AsyncIterator[object]:
    """Give the parts of a run."""
    async for part in made(script).run(request, stream=True):
        yield part
