"""Calls that LangChain tells apart from what caused them, or calls otherwise than the agent is."""

import pickle  # noqa: TID251 - our own
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send

from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from tests.sources.langchain.fakes import ScriptedModel, made_agent, state_of
from tests.sources.langchain.watching import watching

USED = Usage(5, 3)


def says(name: str, times: int = 1) -> AgentScript:
    return AgentScript(name, (Say("sunny", USED),) * times)


def asks(name: str, tool: Any) -> AgentScript:
    call = ToolCall(tool.__name__, {"city": "Oslo"}, "call-1")
    return AgentScript(name, (CallTools((call,), USED), Say("sunny", USED)), (tool,))


def test_model_with_callbacks_of_its_own_stands_in_the_graph_that_calls_it() -> None:
    model = ScriptedModel(turns=(Say("sunny", USED),))

    def ask(state: Any) -> Any:
        answer = model.invoke(state["messages"], {"callbacks": [BaseCallbackHandler()]})
        return {"messages": [answer]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    with watching() as watched:
        builder.compile(name="desk").invoke(state_of("x"))

    assert watched.tree() == ["run desk ok", "  model scripted-1 ok"]


def test_call_stands_in_the_scope_that_code_of_a_tool_has_opened_around_it() -> None:
    helper = made_agent(says("helper"))

    with watching() as watched:

        def look_up(city: str) -> str:
            """Look up the weather."""
            with watched.recorder.agent("did:assistant"):
                helper.invoke(state_of(city))
            return "sunny"

        made_agent(asks("weather", look_up)).invoke(state_of("x"))

    assert watched.tree() == [
        "agent weather ok",
        "  model scripted-1 ok",
        "  tool look_up ok",
        "    agent did:assistant ok",
        "      agent helper ok",
        "        model scripted-1 ok",
        "  model scripted-1 ok",
    ]


def test_agent_keeps_its_name_whatever_its_run_is_called() -> None:
    agent = made_agent(says("weather"))
    with watching() as watched:
        agent.invoke(state_of("x"), {"run_name": "request 17"})

    # The oldest version does not say it.
    told = ((agent.config or {}).get("metadata") or {}).get("lc_agent_name")
    assert watched.tree() == [f"agent {told or 'request 17'} ok", "  model scripted-1 ok"]


def test_each_agent_that_something_is_sent_to_takes_over() -> None:
    chief, worker = made_agent(says("chief")), made_agent(says("worker", 3))

    def share(state: Any) -> Any:
        chief.invoke(state)
        return Command(goto=[Send("worker", state_of("x")) for _ in range(3)])

    builder = StateGraph(MessagesState)
    builder.add_node("chief", share, destinations=("worker",))
    builder.add_node("worker", worker)
    builder.add_edge(START, "chief")
    with watching() as watched:
        builder.compile(name="team").invoke(state_of("x"))

    told = [(one["from_agent"], one["to_agent"]) for one in watched.payloads("agent.handoff")]
    assert told == [("chief", "worker")] * 3


@pytest.mark.parametrize("run_id", ["request-17", 17])
def test_id_of_a_run_may_be_anything(run_id: Any) -> None:
    model = ScriptedModel(turns=(Say("sunny", USED),))
    with watching() as watched:
        RunnableLambda(model.invoke).invoke("x", {"run_id": run_id})

    assert [line.split()[0] for line in watched.tree()] == ["run", "model"]


def test_configuration_of_a_call_can_be_pickled_and_used() -> None:
    model = ScriptedModel(turns=(Say("sunny", USED),))

    def ask(text: str, config: RunnableConfig) -> Any:
        return model.invoke(text, pickle.loads(pickle.dumps(config)))  # noqa: S301 - our own

    with watching() as watched:
        RunnableLambda(ask).invoke("x")

    assert watched.tree() == ["run ask ok", "  model scripted-1 ok"]
