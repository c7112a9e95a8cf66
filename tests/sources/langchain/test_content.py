"""What of prompts, answers, arguments and results goes into payloads."""

import gc
import weakref
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from tests.sources.langchain.fakes import ScriptedModel, made_agent
from tests.sources.langchain.watching import Content, watching

USED = Usage(5, 3)
PIXELS = "iVBORw0KGgo" * 100
IMAGES: list[dict[str, Any]] = [
    {"type": "text", "text": "what is this?"},
    {"type": "image", "source_type": "base64", "data": PIXELS, "mime_type": "image/png"},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}"}},
]


class Secretive:
    """An object of the application's, which nobody may write out."""

    def __repr__(self) -> str:
        raise AssertionError("nobody asked for this")

    __str__ = __repr__


@tool
def look_up(city: str) -> str:
    """Look up the weather."""
    return f"{city} is sunny"


def script() -> AgentScript:
    calls = (ToolCall("look_up", {"city": "Oslo"}, "c1"),)
    return AgentScript("clerk", (CallTools(calls, USED), Say("it is sunny", USED)), (look_up,))


def test_all_content_is_plain() -> None:
    with watching("all") as watched:
        made_agent(script()).invoke({"messages": [HumanMessage("weather?")]})

    first, second = watched.payloads("model.started")
    asked = {"name": "look_up", "id": "c1", "arguments": {"city": "Oslo"}}
    assert first["prompt"] == [{"role": "human", "content": "weather?"}]
    assert second["prompt"] == [
        {"role": "human", "content": "weather?"},
        {"role": "ai", "content": "", "tool_calls": [asked]},
        {"role": "tool", "content": "Oslo is sunny", "tool_call_id": "c1"},
    ]
    answers = [one["answer"] for one in watched.payloads("model.finished")]
    assert answers == [
        [{"role": "ai", "content": "", "tool_calls": [asked]}],
        [{"role": "ai", "content": "it is sunny"}],
    ]
    assert watched.payloads("tool.started")[0]["arguments"] == {"city": "Oslo"}
    assert watched.payloads("tool.finished")[0]["result"] == "Oslo is sunny"


@pytest.mark.parametrize("content", ["none", "names", "all"])
def test_images_stay_out_of_payloads(content: Content) -> None:
    with watching(content) as watched:
        model = ScriptedModel(turns=(Say("a dot", USED),))
        model.invoke([HumanMessage(content=IMAGES), AIMessage("hm")])

    told = str([one.payload for one in watched.events])
    assert PIXELS not in told
    assert ("what is this?" in told) == (content == "all")


@pytest.mark.parametrize("content", ["none", "names"])
def test_nothing_is_written_out_that_nobody_asked_for(content: Content) -> None:
    @tool
    def keep(thing: Any) -> Any:
        """Keep something."""
        return thing

    with watching(content) as watched:
        call = {"name": "keep", "args": {"thing": "x"}, "id": "c1", "type": "tool_call"}
        keep.invoke(call)
        started, finished = watched.payloads("tool.started"), watched.payloads("tool.finished")

    assert started[0].get("arguments") == (["thing"] if content == "names" else None)
    assert "result" not in finished[0]


def test_objects_of_the_application_in_a_state_are_left_alone() -> None:
    """LangChain hands the whole state to each callback."""
    from langgraph.graph import START, StateGraph

    graph: Any = StateGraph(dict)
    graph.add_node("keep", lambda state: {"thing": state["thing"]})
    graph.add_edge(START, "keep")
    contents: tuple[Content, ...] = ("none", "names", "all")
    for content in contents:
        with watching(content) as watched:
            graph.compile(name="keeper").invoke({"thing": Secretive()})

        assert watched.tree() == ["run keeper ok"]


class Response:
    """As those of clients of HTTP: its content is read from the network when it is asked for."""

    @property
    def content(self) -> bytes:
        raise AssertionError("somebody reads it")

    update = type = content

    def __repr__(self) -> str:
        return "<Response>"


def test_what_a_tool_returns_is_not_read() -> None:
    @tool
    def fetch(path: str) -> Any:
        """Fetch something."""
        return [Response(), {"page": Response()}]

    with watching("all") as watched:
        fetch.invoke({"path": "/"})

    assert watched.tree() == ["tool fetch ok"]


def test_arguments_that_a_model_asked_for_are_not_kept_beyond_the_run() -> None:
    class Arguments(dict[str, Any]):
        pass

    asked = [Arguments(city="Oslo")]
    kept = weakref.ref(asked[0])

    class Asking(ScriptedModel):
        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            message = AIMessage("")
            message.tool_calls = [{"name": "look_up", "args": asked.pop(), "id": "c1"}]
            return ChatResult(generations=[ChatGeneration(message=message)])

    with watching():
        (RunnableLambda(str) | Asking(turns=()) | RunnableLambda(str)).invoke("x")
        gc.collect()

        assert kept() is None


def test_answer_that_is_refused_is_told_where_all_content_is() -> None:
    told: dict[Content, bool] = {"all": True, "names": False}
    for content, is_told in told.items():
        with watching(content) as watched:
            calls = (ToolCall("no_such_tool", {}, "c1"),)
            turns = (CallTools(calls, USED), Say("done", USED))
            agent = made_agent(AgentScript("clerk", turns, (look_up,)))
            agent.invoke({"messages": [HumanMessage("weather?")]})

        (finished,) = watched.payloads("tool.finished")
        assert ("no_such_tool is not a valid tool" in str(finished.get("result"))) == is_told
