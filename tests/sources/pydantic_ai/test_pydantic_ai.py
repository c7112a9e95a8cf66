"""pydantic-ai is seen as its users run it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from hypervisor_genai import GenAISource
from hypervisor_observability.testing import AgentScript, SourceContract
from tests.sources.pydantic_ai.scripted import made, made_to_ask, stream
from tests.sources.streams import ABANDONED


class TestPydanticAI(SourceContract):
    lacks: Mapping[str, str] = {
        "handoff": "pydantic-ai has agents call each other as tools, and no handoffs"
    }
    abandoned_streams = ABANDONED

    def make_source(self) -> object:
        return GenAISource()

    def run(self, agent: AgentScript, request: str) -> object:
        return _run_sync(made(agent), request)

    def run_refused(self, agent: AgentScript, request: str) -> object:
        return _run_sync(made_to_ask(agent), request)

    async def run_async(self, agent: AgentScript, request: str) -> Any:
        return (await made(agent).run(request)).output

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return stream(agent, request)


def _run_sync(agent: Any, request: str) -> object:
    loop = asyncio.new_event_loop()  # run_sync would leave one of its own open
    asyncio.set_event_loop(loop)
    try:
        return agent.run_sync(request).output
    finally:
        asyncio.set_event_loop(None)
        loop.close()
