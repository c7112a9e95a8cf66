"""What LangGraph's commands and signals say, by stand-ins of its classes' names."""

import sys
from types import ModuleType
from typing import Any

import pytest

from hypervisor_langchain.calls import Call
from hypervisor_langchain.handoffs import enter_node, leave_node, signal_of, take_giver, targets_of


class Command:
    def __init__(self, goto: Any = ()) -> None:
        self.goto = goto


class Send:
    def __init__(self, node: Any) -> None:
        self.node = node


class GraphBubbleUp(Exception):  # noqa: N818 - LangGraph calls it so
    pass


class GraphInterrupt(GraphBubbleUp):
    pass


class GraphDrained(GraphBubbleUp):
    pass


class ParentCommand(GraphBubbleUp):
    pass


@pytest.fixture
def langgraph(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "langgraph.types": (Command, Send),
        "langgraph.errors": (GraphBubbleUp, GraphInterrupt, GraphDrained, ParentCommand),
    }
    for name, classes in found.items():
        module = ModuleType(name)
        vars(module).update({one.__name__: one for one in classes})
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("langgraph")
@pytest.mark.parametrize(
    ("result", "targets"),
    [
        (Command("billing"), [("billing", False)]),
        (Command(["a", Send("b"), Send(None), 7, ""]), [("a", False), ("b", True)]),
        ([Command("a"), {"messages": []}, Command()], [("a", False)]),
        ({"goto": "a"}, []),
        ("a", []),
        (None, []),
    ],
)
def test_targets_are_those_of_commands(result: object, targets: list[tuple[str, bool]]) -> None:
    assert list(targets_of(result)) == targets


@pytest.mark.usefixtures("langgraph")
@pytest.mark.parametrize(
    ("error", "signal"),
    [
        (ParentCommand(), "goto"),
        (GraphInterrupt(), "interrupted"),
        (GraphDrained(), "drained"),
        (ValueError(), ""),
        (None, ""),
    ],
)
def test_signals_are_no_failures(error: BaseException | None, signal: str) -> None:
    assert signal_of(error) == signal


def test_nothing_is_a_signal_while_langgraph_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "langgraph.errors", raising=False)
    monkeypatch.delitem(sys.modules, "langgraph.types", raising=False)

    assert signal_of(GraphInterrupt()) == ""
    assert list(targets_of(Command("a"))) == []


@pytest.mark.usefixtures("langgraph")
def test_first_agent_in_a_node_takes_over_once() -> None:
    graph = Call(1, None, kind="run")
    first = Call(2, graph, "plan", is_node=True, kind="part", worker="planner")
    leave_node(first, Command("work"))
    second = Call(3, graph, "work", is_node=True, kind="part")
    enter_node(second)

    assert take_giver(Call(4, second, did="worker")) == (graph, "planner")
    assert take_giver(Call(5, second, did="other")) is None


@pytest.mark.usefixtures("langgraph")
def test_agent_below_a_tool_takes_nothing_over() -> None:
    graph = Call(1, None, kind="run")
    node = Call(2, graph, "work", is_node=True, kind="part", giver="planner")
    tool = Call(3, node, "ask", kind="tool")

    assert take_giver(Call(4, tool, did="helper")) is None
    assert take_giver(Call(5, node, did="planner")) is None, "nobody hands over to himself"
