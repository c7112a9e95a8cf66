"""Agents of Google's ADK whose models answer as a script says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from google.adk.agents import Agent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools import AgentTool
from google.genai import types

from hypervisor_observability.testing import (
    AgentScript,
    CallTools,
    Fail,
    HandOff,
    Say,
    Stall,
    Usage,
)


class Scripted(BaseLlm):
    """Answers as a script says."""

    turns: list[Any]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        turn = self.turns.pop(0)
        if isinstance(turn, Fail):
            raise turn.error
        if isinstance(turn, Stall):
            await turn.wait()
        if stream and isinstance(turn, Say):
            yield LlmResponse(content=_said(turn.text.partition(" ")[0]), partial=True)
        yield LlmResponse(content=_content(turn), usage_metadata=_usage(turn.usage))


def made(script: AgentScript) -> Any:
    """Make the agent of a *script*, with those that it calls or hands over to."""
    return Agent(
        name=script.name,
        model=Scripted(model="scripted-1", turns=list(script.turns)),
        description=f"does the work of a {script.name}",
        tools=[*script.tools, *(AgentTool(made(one)) for one in script.agents)],
        sub_agents=[made(one) for one in script.hands_to],
    )


async def events(script: AgentScript, request: str, **told: Any) -> AsyncIterator[Any]:
    """Give the events of a run."""
    runner = InMemoryRunner(agent=made(script), app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="user")
    found = runner.run_async(
        user_id="user", session_id=session.id, new_message=_asked(request), **told
    )
    try:
        async for event in found:
            yield event
    finally:
        await found.aclose()


def streamed(script: AgentScript, request: str) -> AsyncIterator[Any]:
    """Give the events of a run whose models stream."""
    return events(script, request, run_config=RunConfig(streaming_mode=StreamingMode.SSE))


async def answer(script: AgentScript, request: str) -> str:
    """Run, and give the last text."""
    return last_text([event async for event in events(script, request)])


def answer_in_thread(script: AgentScript, request: str) -> str:
    """Do so by the runner's own synchronous way, which has a thread of its own."""
    runner = InMemoryRunner(agent=made(script), app_name="app")
    session = asyncio.run(runner.session_service.create_session(app_name="app", user_id="user"))
    found = runner.run(user_id="user", session_id=session.id, new_message=_asked(request))
    return last_text(list(found))


def last_text(found: list[Any]) -> str:
    """Give the last text of *found* events."""
    texts: list[str] = [
        part.text for one in found if one.content for part in one.content.parts or []
    ]
    return [text for text in texts if text][-1]


def _content(turn: Any) -> types.Content:
    if isinstance(turn, Say):
        return _said(turn.text)
    if isinstance(turn, HandOff):
        return _calls((("transfer_to_agent", {"agent_name": turn.to}, "call-transfer"),))
    assert isinstance(turn, CallTools)
    return _calls(tuple((one.name, dict(one.arguments), one.call_id) for one in turn.calls))


def _calls(calls: tuple[tuple[str, dict[str, Any], str], ...]) -> types.Content:
    return types.Content(
        role="model",
        parts=[
            types.Part(function_call=types.FunctionCall(name=name, args=args, id=call_id))
            for name, args, call_id in calls
        ],
    )


def _said(text: str) -> types.Content:
    return types.Content(role="model", parts=[types.Part(text=text)])


def _asked(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


def _usage(usage: Usage) -> types.GenerateContentResponseUsageMetadata:
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=usage.input_tokens, candidates_token_count=usage.output_tokens
    )
