"""Graphs of LangGraph: agents in them, handoffs, interrupts, and graphs within graphs."""

import warnings
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from hypervisor_observability.testing import (
    AgentScript,
    CallTools,
    HandOff,
    Say,
    ToolCall,
    Usage,
)
from tests.sources.langchain.fakes import ScriptedModel, made, made_agent, state_of
from tests.sources.langchain.watching import watching

USED = Usage(5, 3)
STATE = state_of("hello")


def says(name: str, *texts: str) -> AgentScript:
    return AgentScript(name, tuple(Say(one, USED) for one in texts or ("done",)))


def calling(name: str, tool: Any, **arguments: object) -> AgentScript:
    calls = (ToolCall(tool.__name__, arguments, "call-1"),)
    return AgentScript(name, (CallTools(calls, USED), Say("done", USED)), (tool,))


def graph_of(name: str | None = None, *, goes_on: bool = True, **nodes: Any) -> Any:
    """Make a graph of nodes, one after the other."""
    graph = StateGraph(MessagesState)
    for node, action in nodes.items():
        graph.add_node(node, action)
    steps = [START, *nodes] if goes_on else [START, next(iter(nodes))]
    for before, after in pairwise(steps):
        graph.add_edge(before, after)
    return graph.compile(name=name)


def answer(state: MessagesState) -> dict[str, Any]:
    turns = (Say("hello", USED),)
    return {"messages": [ScriptedModel(turns=turns).invoke(state["messages"])]}


def test_graph_that_calls_models_itself_is_a_run() -> None:
    with watching() as watched:
        graph_of("chat", answer=answer).invoke(STATE)

    assert watched.tree() == ["run chat ok", "  model scripted-1 ok"]
    assert watched.payloads("run.started")[0]["kind"] == "graph"


def test_graph_whose_node_is_called_as_an_agents_is_one() -> None:
    with watching() as watched:
        graph_of("helper", agent=answer).invoke(STATE)

    assert watched.tree() == ["agent helper ok", "  model scripted-1 ok"]


def test_graph_that_says_it_is_an_agent_is_one() -> None:
    with watching() as watched:
        graph = graph_of("helper", answer=answer)
        graph.with_config(metadata={"lc_agent_name": "helper"}).invoke(STATE)

    assert watched.tree() == ["agent helper ok", "  model scripted-1 ok"]


def test_agent_that_is_called_as_its_own_nodes_is_one() -> None:
    for name in ("model", "tools", "agent"):
        with watching() as watched:
            made_agent(says(name)).invoke(STATE)

        assert watched.tree() == [f"agent {name} ok", "  model scripted-1 ok"]


def test_agent_of_the_prebuilt_kind_is_seen() -> None:
    def look_up(city: str) -> str:
        """Look up the weather."""
        return city

    with watching() as watched, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        from langgraph.prebuilt import create_react_agent

        script = calling("reactor", look_up, city="Oslo")
        model = ScriptedModel(turns=script.turns)
        agent = create_react_agent(model, list(script.tools), name="reactor")
        graph_of("desk", reactor=agent).invoke(STATE)

    assert watched.tree() == [
        "run desk ok",
        "  agent reactor ok",
        "    model scripted-1 ok",
        "    tool look_up ok",
        "    model scripted-1 ok",
    ]


def test_agents_that_follow_each_other_stand_below_their_graph() -> None:
    with watching() as watched:
        graph_of("team", first=made_agent(says("a")), second=made_agent(says("b"))).invoke(STATE)

    assert watched.tree() == [
        "run team ok",
        "  agent a ok",
        "    model scripted-1 ok",
        "  agent b ok",
        "    model scripted-1 ok",
    ]
    assert watched.payloads("agent.handoff") == []


def test_graph_within_a_graph_is_a_run_below_it() -> None:
    with watching() as watched:
        inner = graph_of("inner", work=made_agent(says("worker")))
        nameless = graph_of(work=made_agent(says("clerk")))
        graph_of("outer", one=inner, office=nameless).invoke(STATE)

    assert watched.tree() == [
        "run outer ok",
        "  run inner ok",
        "    agent worker ok",
        "      model scripted-1 ok",
        "  run office ok",
        "    agent clerk ok",
        "      model scripted-1 ok",
    ]


def test_agent_without_a_name_is_called_as_its_node() -> None:
    with watching() as watched:
        nameless = create_agent(ScriptedModel(turns=says("x").turns))
        graph_of("team", expert=nameless).invoke(STATE)
        create_agent(ScriptedModel(turns=says("x").turns)).invoke(STATE)

    assert watched.tree() == [
        "run team ok",
        "  agent expert ok",
        "    model scripted-1 ok",
        "agent LangGraph ok",
        "  model scripted-1 ok",
    ]


def test_agent_has_its_own_name_whatever_the_run_is_called() -> None:
    nameless = create_agent(ScriptedModel(turns=says("x").turns))

    def helper(question: str) -> str:
        """Help."""
        return str(nameless.invoke(STATE)["messages"][-1].content)

    with watching() as watched:
        agent = made_agent(calling("clerk", helper, question="what?"))
        agent.invoke(STATE, {"run_name": "request 17"})

    # Early releases of LangChain 1 tell nothing but the name of the run.
    is_told = "lc_agent_name" in (agent.config or {}).get("metadata", {})
    assert watched.tree() == [
        f"agent {'clerk' if is_told else 'request 17'} ok",
        "  model scripted-1 ok",
        "  tool helper ok",
        "    agent LangGraph ok",
        "      model scripted-1 ok",
        "  model scripted-1 ok",
    ]


def test_node_that_goes_to_another_hands_over() -> None:
    planner, worker = made_agent(says("planner")), made_agent(says("worker"))

    def plan(state: MessagesState) -> Command[Any]:
        said = planner.invoke(state)["messages"][-1]
        return Command(goto="work", update={"messages": [said]})

    def work(state: MessagesState) -> Command[Any]:
        said = worker.invoke(state)["messages"][-1]
        return Command(goto=END, update={"messages": [said]})

    with watching() as watched:
        graph_of("net", goes_on=False, plan=plan, work=work).invoke(STATE)

    assert watched.payloads("agent.handoff") == [{"from_agent": "planner", "to_agent": "worker"}]
    run = watched.one("run", "net")
    assert [one.event_type.value for one in run.points] == ["agent.handoff"]


def test_node_that_sends_to_several_hands_over_to_each() -> None:
    boss = made_agent(says("boss"))

    def plan(state: MessagesState) -> Command[Any]:
        boss.invoke(state)
        return Command(goto=[Send("left", state), "right"])

    nodes = {"plan": plan, "left": made_agent(says("l")), "right": made_agent(says("r"))}
    with watching() as watched:
        graph_of("net", goes_on=False, **nodes).invoke(STATE)

    handed = {(one["from_agent"], one["to_agent"]) for one in watched.payloads("agent.handoff")}
    assert handed == {("boss", "l"), ("boss", "r")}


def test_node_without_an_agent_hands_nothing_over() -> None:
    def route(state: MessagesState) -> Command[Any]:
        return Command(goto="work")

    with watching() as watched:
        nodes = {"route": route, "work": made_agent(says("worker"))}
        graph_of("net", goes_on=False, **nodes).invoke(STATE)

    assert watched.payloads("agent.handoff") == []


def test_agent_that_goes_to_a_plain_node_hands_nothing_over() -> None:
    planner = made_agent(says("planner"))

    def plan(state: MessagesState) -> Command[Any]:
        planner.invoke(state)
        return Command(goto="sum_up")

    def sum_up(state: MessagesState) -> dict[str, Any]:
        return {}

    with watching() as watched:
        graph_of("net", goes_on=False, plan=plan, sum_up=sum_up).invoke(STATE)

    assert watched.payloads("agent.handoff") == []


def ask(city: str) -> str:
    """Ask a human."""
    return str(interrupt({"city": city}))


def test_interrupted_agent_goes_on_in_a_new_run() -> None:
    config = {"configurable": {"thread_id": "thread-7"}}
    with watching() as watched:
        agent = made_agent(calling("clerk", ask, city="Oslo"), checkpointer=InMemorySaver())
        agent.invoke(STATE, config)
        said = agent.invoke(Command(resume="yes"), config)["messages"][-1]

    assert said.content == "done"
    assert watched.tree() == [
        "agent clerk ok",
        "  model scripted-1 ok",
        "  tool ask ok",
        "agent clerk ok",
        "  tool ask ok",
        "  model scripted-1 ok",
    ]
    assert [one.get("reason") for one in watched.payloads("tool.finished")] == ["interrupted", None]
    assert [one.get("reason") for one in watched.payloads("agent.finished")] == [
        "interrupted",
        None,
    ]
    started = watched.payloads("session.joined")
    assert [one["attributes"] for one in started] == [{"thread_id": "thread-7"}] * 2


def test_interrupt_of_an_agent_in_a_graph_is_no_failure() -> None:
    config = {"configurable": {"thread_id": "t"}}
    with watching() as watched:
        graph = StateGraph(MessagesState)
        graph.add_node("clerk", made_agent(calling("clerk", ask, city="Oslo")))
        graph.add_edge(START, "clerk")
        desk = graph.compile(name="desk", checkpointer=InMemorySaver())
        desk.invoke(STATE, config)
        desk.invoke(Command(resume="yes"), config)

    assert {piece.status for piece in watched.seen.pieces} == {"ok"}
    assert [one.get("reason") for one in watched.payloads("run.finished")] == ["interrupted", None]
    assert [one["conversation_id"] for one in watched.payloads("run.started")] == ["t", "t"]


def test_node_that_is_tried_again_tries_its_tool_again() -> None:
    tries = []

    def flaky(city: str) -> str:
        """Fail at first."""
        tries.append(city)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return "sunny"

    made_tool = tool(flaky)

    def look(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", made_tool.invoke({"city": "Oslo"}))]}

    def start(state: MessagesState) -> dict[str, Any]:
        calls = (ToolCall("flaky", {"city": "Oslo"}, "call-9"),)
        return {"messages": [ScriptedModel(turns=(CallTools(calls, USED),)).invoke("x")]}

    graph = StateGraph(MessagesState)
    graph.add_node("start", start)
    policy = RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False)
    graph.add_node("look", look, retry_policy=policy)
    graph.add_edge(START, "start")
    graph.add_edge("start", "look")
    with watching() as watched:
        graph.compile(name="desk").invoke(STATE)

    ended = [
        (one["call_id"], one["attempt"], one["status"]) for one in watched.payloads("tool.finished")
    ]
    assert ended == [("call-9", 1, "error"), ("call-9", 2, "ok")]


def test_graph_that_gets_nowhere_has_failed() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("round", lambda state: {})
    graph.add_edge(START, "round")
    graph.add_edge("round", "round")
    with watching() as watched, pytest.raises(GraphRecursionError):
        graph.compile(name="wheel").invoke(STATE, {"recursion_limit": 3})

    assert watched.tree() == ["run wheel error"]


def test_agent_that_hands_over_to_one_that_hands_back() -> None:
    back = AgentScript("billing", (HandOff("triage", USED),))
    front = AgentScript("triage", (HandOff("billing", USED), Say("bye", USED)))
    graph = StateGraph(MessagesState)
    for one, other in ((front, back), (back, front)):
        script = AgentScript(one.name, one.turns, hands_to=(other,))
        graph.add_node(script.name, made_agent(script))
    graph.add_edge(START, "triage")
    with watching() as watched:
        graph.compile(name="desk").invoke(STATE)

    handed = [(one["from_agent"], one["to_agent"]) for one in watched.payloads("agent.handoff")]
    assert handed == [("triage", "billing"), ("billing", "triage")]
    assert [one.name for one in watched.seen.all("agent")] == ["triage", "billing", "triage"]


def test_handoff_out_of_a_team_is_seen_where_it_goes() -> None:
    script = AgentScript("clerk", (HandOff("manager", USED),), hands_to=(says("manager"),))
    with watching() as watched:
        graph = StateGraph(MessagesState)
        graph.add_node("clerk", made_agent(script))
        graph.add_node("manager", made(says("manager")))
        graph.add_edge(START, "clerk")
        graph_of("company", office=graph.compile(name="team")).invoke(STATE)

    assert watched.payloads("agent.handoff") == [{"from_agent": "clerk", "to_agent": "manager"}]
    assert watched.one("agent", "manager").nearest("run") is watched.one("run", "team")
