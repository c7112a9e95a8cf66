"""Agents of scripts, with models that answer as these say: a graph of ``create_agent``s."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from hypervisor_observability.testing import AgentScript, CallTools, Fail, HandOff, Say, Stall, Turn


class ScriptedModel(BaseChatModel):
    """Answers as a script says."""

    model_name: str = "scripted-1"
    turns: tuple[Any, ...]
    _taken: int = 0  # pydantic keeps what is private apart

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _next(self) -> Turn:
        turn: Turn = self.turns[self._taken]
        self._taken += 1
        if isinstance(turn, Fail):
            raise turn.error
        return turn

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(answer_of(self._next()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._next()
        if isinstance(turn, Stall):
            await turn.wait()
        return _result(answer_of(turn))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(answer_of(self._next())):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self._next()
        if isinstance(turn, Stall):
            await turn.wait()
        for chunk in _chunks(answer_of(turn)):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def answer_of(turn: Turn) -> AIMessage:
    """Give what a model answers."""
    calls: list[dict[str, Any]] = []
    text = ""
    if isinstance(turn, CallTools):
        calls = [{"name": c.name, "args": dict(c.arguments), "id": c.call_id} for c in turn.calls]
    elif isinstance(turn, HandOff):
        calls = [{"name": f"transfer_to_{turn.to}", "args": {}, "id": f"call-to-{turn.to}"}]
    elif isinstance(turn, Say):
        text = turn.text
    else:
        raise AssertionError(f"{turn} is no answer")
    used = turn.usage
    return AIMessage(
        content=text,
        tool_calls=[{**one, "type": "tool_call"} for one in calls],
        response_metadata={"finish_reason": "tool_calls" if calls else "stop"},
        usage_metadata={
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "total_tokens": used.input_tokens + used.output_tokens,
        },
    )


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    for word in str(message.content).split(" "):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
            tool_call_chunks=[
                {
                    "name": one["name"],
                    "args": json.dumps(one["args"]),
                    "id": one["id"],
                    "index": index,
                    "type": "tool_call_chunk",
                }
                for index, one in enumerate(message.tool_calls)
            ],
        )
    )


def made(script: AgentScript, **options: Any) -> Any:
    """Make what runs the agents of a *script*: an agent, or a graph of those that hand over."""
    if not script.hands_to:
        return made_agent(script, **options)
    graph = StateGraph(MessagesState)
    for one in (script, *script.hands_to):
        graph.add_node(one.name, made_agent(one, **options))
    graph.add_edge(START, script.name)
    return graph.compile(name="desk")


def made_agent(script: AgentScript, **options: Any) -> Any:
    """Make one agent, with whom it calls as tools."""
    tools = [
        *script.tools,
        *map(_agent_tool, script.agents),
        *(transfer_to(one.name) for one in script.hands_to),
    ]
    return create_agent(ScriptedModel(turns=script.turns), tools=tools, name=script.name, **options)


def _agent_tool(script: AgentScript) -> BaseTool:
    agent = made(script)

    def ask(request: str) -> str:
        return str(agent.invoke(state_of(request))["messages"][-1].content)

    async def ask_async(request: str) -> str:
        return str((await agent.ainvoke(state_of(request)))["messages"][-1].content)

    return StructuredTool.from_function(
        ask, ask_async, name=script.name, description=f"Ask {script.name}."
    )


def transfer_to(name: str) -> BaseTool:
    """Make the tool by which an agent hands over to another, as LangGraph's guide has it."""

    @tool(f"transfer_to_{name}")
    def transfer(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over."""
        answer = ToolMessage("handed over", tool_call_id=tool_call_id, name=f"transfer_to_{name}")
        return Command(goto=name, graph=Command.PARENT, update={"messages": [answer]})

    return transfer


def state_of(request: str) -> dict[str, Any]:
    """Give the state that a run begins with."""
    return {"messages": [{"role": "user", "content": request}]}
