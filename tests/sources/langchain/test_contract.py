"""The source keeps the contract."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain.agents.middleware import wrap_tool_call
from langchain_core.messages import ToolMessage

from hypervisor_langchain import LangChainSource
from hypervisor_observability.testing import AgentScript, SourceContract
from tests.sources.langchain.fakes import made, state_of
from tests.sources.streams import ABANDONED

# LangChain hides this warning of its own, but not while two threads hide it at once.
pytestmark = pytest.mark.filterwarnings("ignore:The `validate_arguments` method:DeprecationWarning")


class TestLangChainSource(SourceContract):
    abandoned_streams = ABANDONED

    def make_source(self) -> object:
        return LangChainSource()

    def run(self, agent: AgentScript, request: str) -> object:
        return made(agent).invoke(state_of(request))["messages"][-1].content

    async def run_async(self, agent: AgentScript, request: str) -> object:
        return (await made(agent).ainvoke(state_of(request)))["messages"][-1].content

    async def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        async for message, _ in made(agent).astream(state_of(request), stream_mode="messages"):
            if message.type != "tool":  # those of tools that run at once come in any order
                yield message.content

    def run_refused(self, agent: AgentScript, request: str) -> object:
        @wrap_tool_call
        def refuse(request: Any, handler: object) -> ToolMessage:
            return ToolMessage("no", tool_call_id=request.tool_call["id"], status="error")

        return made(agent, middleware=[refuse]).invoke(state_of(request))["messages"][-1].content
