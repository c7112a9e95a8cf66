"""The help desk in LangGraph: two agents of LangChain, which know nothing of us.

Nothing of either is imported before it is asked for: neither need be installed.
"""

from collections.abc import Callable
from typing import Annotated, Any

from .story import ANSWERS, BILLING, HAND_OVER, MODEL, REQUEST, TRIAGE, Answer, Shop, refusal

_Handler = Callable[[Any], Any]


def desk_of(shop: Shop) -> Callable[[], str]:
    """Make the desk. What it gives has the agents see to the request, and gives their answer.

    Raises:
        ImportError: LangChain or LangGraph is not installed, or is another one.
    """
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langsmith import tracing_context

    tools = [tool(shop.look_up), tool(shop.refund)]
    desk = StateGraph(MessagesState)
    desk.add_node(TRIAGE, _agent(TRIAGE, [*tools, _hand_over()], shop))
    desk.add_node(BILLING, _agent(BILLING, tools, shop))
    desk.add_edge(START, TRIAGE)
    graph = desk.compile(name="desk")

    def run() -> str:
        with tracing_context(enabled=False):  # LangSmith gets nothing, whatever the environment
            state = graph.invoke({"messages": [{"role": "user", "content": REQUEST}]})
        return str(state["messages"][-1].content)

    return run


def _agent(name: str, tools: list[Any], shop: Shop) -> Any:
    from langchain.agents import create_agent
    from langchain.agents.middleware import wrap_tool_call
    from langchain_core.messages import ToolMessage

    def governed(request: Any, handler: _Handler) -> Any:
        call = request.tool_call
        why = refusal(name, call["name"])
        if why is None:
            return handler(request)
        shop.say(f"{name}: refused: {why}")
        return ToolMessage(why, name=call["name"], tool_call_id=call["id"], status="error")

    def tried_again(request: Any, handler: _Handler) -> Any:
        try:
            return handler(request)
        except ConnectionError:
            return handler(request)

    middleware = [wrap_tool_call(governed), wrap_tool_call(tried_again)]
    return create_agent(_fake_model(name), tools, middleware=middleware, name=name)


def _hand_over() -> Any:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import InjectedToolCallId, tool
    from langgraph.types import Command

    def hand_over(tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Hand the conversation over to billing."""
        answer = ToolMessage(f"handed over to {BILLING}", tool_call_id=tool_call_id)
        return Command(goto=BILLING, graph=Command.PARENT, update={"messages": [answer]})

    return tool(HAND_OVER)(hand_over)


def _fake_model(agent: str) -> Any:
    from langchain_core.language_models import GenericFakeChatModel

    class FakeModel(GenericFakeChatModel):
        model_name: str = MODEL

        def bind_tools(self, *_: object, **__: object) -> "FakeModel":
            return self

    return FakeModel(messages=map(_message, ANSWERS[agent]))


def _message(answer: Answer) -> Any:
    from langchain_core.messages import AIMessage

    calls = []
    if answer.tool:
        calls = [{"name": answer.tool, "args": dict(answer.arguments), "id": f"call-{answer.tool}"}]
    return AIMessage(
        answer.text,
        tool_calls=calls,
        usage_metadata={
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    )
