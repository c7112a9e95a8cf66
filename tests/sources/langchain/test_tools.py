"""Tools: which call a tool answers, which attempt it is, and which calls are refused."""

import asyncio
from typing import Any

import pytest
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    after_model,
    before_model,
    wrap_tool_call,
)
from langchain_core.messages import RemoveMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command

from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from tests.sources.langchain.fakes import ScriptedModel, made_agent, state_of
from tests.sources.langchain.watching import Watched, watching

USED = Usage(5, 3)
STATE = state_of("hello")


def look_up(city: str) -> str:
    """Look up the weather."""
    return f"{city} is sunny"


def asks(*rounds: tuple[ToolCall, ...], tools: tuple[Any, ...] = (look_up,)) -> AgentScript:
    """Give an agent whose model asks for tools, some rounds of them."""
    turns = tuple(CallTools(calls, USED) for calls in rounds)
    return AgentScript("clerk", (*turns, Say("done", USED)), tools)


def call(call_id: str, name: str = "look_up", **arguments: object) -> ToolCall:
    return ToolCall(name, arguments or {"city": "Oslo"}, call_id)


def ended(watched: Watched) -> list[tuple[Any, ...]]:
    return [
        (one["tool_name"], one["call_id"], one["attempt"], one["status"])
        for one in watched.payloads("tool.finished")
    ]


def refusals(watched: Watched) -> list[tuple[Any, ...]]:
    return [
        (one["tool_name"], one["call_id"])
        for one in watched.payloads("tool.finished")
        if one["status"] == "blocked"
    ]


def test_tool_that_a_human_rejects_is_blocked() -> None:
    config = {"configurable": {"thread_id": "t"}}
    review = HumanInTheLoopMiddleware(interrupt_on={"look_up": True})
    with watching() as watched:
        agent = made_agent(asks((call("c1"),)), middleware=[review], checkpointer=InMemorySaver())
        agent.invoke(STATE, config)
        decision = {"type": "reject", "message": "not today"}
        agent.invoke(Command(resume={"decisions": [decision]}), config)

    assert refusals(watched) == [("look_up", "c1")]
    assert watched.tree() == [
        "agent clerk ok",
        "  model scripted-1 ok",
        "agent clerk ok",
        "  tool look_up blocked",
        "  model scripted-1 ok",
    ]


def test_tool_that_a_human_approves_is_called() -> None:
    config = {"configurable": {"thread_id": "t"}}
    review = HumanInTheLoopMiddleware(interrupt_on={"look_up": True})
    with watching() as watched:
        agent = made_agent(asks((call("c1"),)), middleware=[review], checkpointer=InMemorySaver())
        agent.invoke(STATE, config)
        agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)

    assert ended(watched) == [("look_up", "c1", 1, "ok")]


def test_tool_that_a_hook_answers_for_with_an_error_is_blocked() -> None:
    @after_model
    def limit(state: Any, runtime: Any) -> dict[str, Any]:
        calls = state["messages"][-1].tool_calls
        over = [one for one in calls if one["id"] == "c2"]
        return {
            "messages": [
                ToolMessage("too many", tool_call_id=one["id"], name=one["name"], status="error")
                for one in over
            ]
        }

    with watching() as watched:
        made_agent(asks((call("c1"),), (call("c2"),)), middleware=[limit]).invoke(STATE)

    assert refusals(watched) == [("look_up", "c2")]
    assert [one["status"] for one in watched.payloads("tool.finished")] == ["ok", "blocked"]


def test_tool_that_does_not_exist_is_blocked() -> None:
    with watching() as watched:
        made_agent(asks((call("c1", "no_such_tool"),))).invoke(STATE)

    assert refusals(watched) == [("no_such_tool", "c1")]


def test_tool_that_gets_wrong_arguments_has_failed() -> None:
    with watching() as watched:
        made_agent(asks((call("c1", town="Oslo"),))).invoke(STATE)

    assert ended(watched) == [("look_up", "c1", 1, "error")]


def test_error_that_middleware_makes_of_a_tools_own_is_no_refusal() -> None:
    def broken(city: str) -> str:
        """Fail."""
        raise LookupError(city)

    @wrap_tool_call
    def catch(request: Any, handler: Any) -> Any:
        try:
            return handler(request)
        except LookupError as error:
            return ToolMessage(str(error), tool_call_id=request.tool_call["id"], status="error")

    with watching() as watched:
        script = asks((call("c1", "broken"),), tools=(broken,))
        made_agent(script, middleware=[catch]).invoke(STATE)

    assert ended(watched) == [("broken", "c1", 1, "error")]


def test_answer_in_place_of_a_tool_is_no_refusal() -> None:
    @wrap_tool_call
    def remember(request: Any, handler: Any) -> Any:
        return ToolMessage("sunny, as before", tool_call_id=request.tool_call["id"])

    with watching() as watched:
        made_agent(asks((call("c1"),)), middleware=[remember]).invoke(STATE)

    assert watched.payloads("tool.finished") == []


def test_refusals_of_an_earlier_run_are_not_told_again() -> None:
    config = {"configurable": {"thread_id": "t"}}
    with watching() as watched:
        saver = InMemorySaver()
        made_agent(asks((call("c1", "no_such_tool"),)), checkpointer=saver).invoke(STATE, config)
        made_agent(asks(), checkpointer=saver).invoke(STATE, config)

    assert refusals(watched) == [("no_such_tool", "c1")]


def test_refusals_of_an_agent_are_not_told_again_by_what_holds_it() -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("clerk", made_agent(asks((call("c1", "no_such_tool"),))))
    graph.add_edge(START, "clerk")
    with watching() as watched:
        graph.compile(name="desk").invoke(STATE)

    assert refusals(watched) == [("no_such_tool", "c1")]


def test_each_attempt_of_a_tool_is_counted() -> None:
    tries: list[str] = []

    def flaky(city: str) -> str:
        """Fail twice."""
        tries.append(city)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return "sunny"

    @wrap_tool_call
    def retry(request: Any, handler: Any) -> Any:
        for _ in range(2):
            try:
                return handler(request)
            except ConnectionError:
                pass
        return handler(request)

    with watching() as watched:
        script = asks((call("c1", "flaky"),), tools=(flaky,))
        made_agent(script, middleware=[retry]).invoke(STATE)

    assert ended(watched) == [
        ("flaky", "c1", 1, "error"),
        ("flaky", "c1", 2, "error"),
        ("flaky", "c1", 3, "ok"),
    ]


def test_attempts_of_a_runnable_are_counted() -> None:
    tries: list[str] = []

    @tool
    def flaky(city: str) -> str:
        """Fail at first."""
        tries.append(city)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return "sunny"

    with watching() as watched:
        flaky.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke({"city": "O"})

    assert [one["attempt"] for one in watched.payloads("tool.started")] == [1, 2]


def test_call_that_a_model_asks_for_again_under_the_same_id_is_a_new_one() -> None:
    with watching() as watched:
        made_agent(asks((call("c1"),), (call("c1"),))).invoke(STATE)

    assert ended(watched) == [("look_up", "c1", 1, "ok")] * 2


def test_tool_that_handles_its_error_has_failed() -> None:
    @tool
    def strict(city: str) -> str:
        """Refuse."""
        raise ToolException(city)

    strict.handle_tool_error = True
    with watching() as watched:
        made_agent(asks((call("c1", "strict"),), tools=(strict,))).invoke(STATE)

    assert ended(watched) == [("strict", "c1", 1, "error")]


def test_tools_at_once_are_told_apart() -> None:
    with watching() as watched:
        calls = (call("c1"), call("c2", city="Bergen"), call("c3", city="Bodo"))
        made_agent(asks(calls)).invoke(STATE)

    assert sorted(ended(watched)) == [("look_up", f"c{n}", 1, "ok") for n in (1, 2, 3)]


def test_tool_that_code_calls_by_its_arguments_answers_the_model() -> None:
    @tool
    def look(city: str) -> str:
        """Look up the weather."""
        return city

    def by_hand(message: Any) -> list[str]:
        return [look.invoke(one["args"]) for one in message.tool_calls]

    turns = (CallTools((call("c1", "look"), call("c2", "look", city="Bodo")), USED),)
    with watching() as watched:
        (ScriptedModel(turns=turns) | RunnableLambda(by_hand)).invoke("weather?")

    assert ended(watched) == [("look", "c1", 1, "ok"), ("look", "c2", 1, "ok")]


def test_tool_alone_stands_below_the_code_around_it() -> None:
    @tool
    def look(city: str) -> str:
        """Look up the weather."""
        return city

    with watching() as watched:
        with watched.recorder.run("job"):
            look.invoke("Oslo")

    assert watched.tree() == ["run job ok", "  tool look ok"]
    assert watched.payloads("tool.started")[0]["arguments"] == ["input"]


def test_what_a_tool_leaves_running_stands_below_it() -> None:
    """A task that lives longer than its tool, and calls a model then."""
    later: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def ask_later() -> None:
        await over.wait()
        await ScriptedModel(turns=(Say("late", USED),)).ainvoke("x")

    async def start(city: str) -> str:
        """Start something."""
        later.append(asyncio.create_task(ask_later()))
        return "started"

    async def main() -> None:
        agent = made_agent(asks((call("c1", "start"),), tools=(start,)))
        await agent.ainvoke(STATE)
        over.set()
        await later[0]

    with watching() as watched:
        asyncio.run(main())

    late = watched.seen.all("model")[-1]
    assert late.nearest("tool") is watched.one("tool", "start")


def test_tool_that_lacks_the_asynchronous_way_is_seen_in_its_thread() -> None:
    with watching() as watched:

        @tool
        def look(city: str) -> str:
            """Look up the weather."""
            watched.recorder.vfs.write(f"/{city}")
            return city

        assert isinstance(look, BaseTool)
        asyncio.run(look.ainvoke({"city": "Oslo"}))

    (write,) = [one for one in watched.events if one.event_type.value == "vfs.write"]
    owner = watched.seen.owner(write)
    assert owner is watched.one("tool", "look")


@pytest.mark.parametrize("status", ["error", "success"])
def test_history_that_is_written_anew_refuses_nothing(status: Any) -> None:
    @before_model
    def rewrite(state: Any, runtime: Any) -> dict[str, Any]:
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *state["messages"]]}

    history = [
        *STATE["messages"],
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": "old", "args": {}, "id": "c0", "type": "tool_call"}],
        },
        ToolMessage("no", tool_call_id="c0", name="old", status=status),
    ]
    with watching() as watched:
        made_agent(asks(), middleware=[rewrite]).invoke({"messages": history})

    assert watched.payloads("tool.finished") == []
