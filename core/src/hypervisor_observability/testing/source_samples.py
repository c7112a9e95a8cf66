"""The runs that the tests of a source play."""

from collections.abc import Callable
from typing import Any

from .source_scripts import (
    AgentScript,
    CallTools,
    Fail,
    HandOff,
    Say,
    Stall,
    ToolCall,
    Turn,
    Usage,
)

REQUEST = "weather in Oslo?"
BROKEN_TOOL = "no such city"
BROKEN_MODEL = "the model is away"

Tool = Callable[..., Any]


def look_up(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city} is sunny"


async def look_up_async(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city} is sunny"


def fail_to_look_up(city: str) -> str:
    """Look up the weather of a city."""
    raise LookupError(f"{BROKEN_TOOL}: {city}")


def one_tool(
    tool: Tool = look_up, *, number: int = 0, times: int = 1, **arguments: Any
) -> AgentScript:
    """Give an agent that calls one tool.

    Args:
        tool: The tool.
        number: Tells its calls apart from those of another run.
        times: How often it calls it, one time after the other.
        arguments: Of each call; by default a city.
    """
    arguments = arguments or {"city": f"city-{number}"}
    turns: list[Turn] = []
    for time in range(1, times + 1):
        call = ToolCall(tool.__name__, arguments, f"call-{number}-{time}")
        turns.append(CallTools((call,), Usage(20, 5)))
    return AgentScript("researcher", (*turns, Say("it is sunny", Usage(30, 7))), (tool,))


def two_tools(tool: Tool = look_up) -> AgentScript:
    """Give an agent that calls a tool twice at once."""
    calls = tuple(
        ToolCall(tool.__name__, {"city": city}, f"call-{city}") for city in ("oslo", "bergen")
    )
    turns = (CallTools(calls, Usage(20, 5)), Say("both are sunny", Usage(30, 7)))
    return AgentScript("researcher", turns, (tool,))


def agent_as_tool(tool: Tool = look_up, *, number: int = 0, times: int = 1) -> AgentScript:
    """Give an agent that calls another one as a tool, which calls a tool itself."""
    call = ToolCall("researcher", {"request": REQUEST}, f"call-{number}-0")
    turns = (CallTools((call,), Usage(11, 3)), Say("take no umbrella", Usage(13, 4)))
    return AgentScript("writer", turns, agents=(one_tool(tool, number=number, times=times),))


def hand_off() -> AgentScript:
    """Give an agent that hands over to another one, which calls a tool."""
    turns: tuple[Turn, ...] = (HandOff("researcher", Usage(11, 3)),)
    return AgentScript("triage", turns, hands_to=(one_tool(),))


def model_fails() -> AgentScript:
    """Give an agent whose model raises."""
    return AgentScript("researcher", (Fail(RuntimeError(BROKEN_MODEL)),), (look_up,))


def model_stalls() -> tuple[AgentScript, Stall]:
    """Give an agent whose model waits after its tool, and the turn in which it does."""
    stall = Stall()
    first = one_tool().turns[0]
    return AgentScript("researcher", (first, stall), (look_up,)), stall


def only_says(text: str = "it is sunny") -> AgentScript:
    """Give an agent that answers at once."""
    return AgentScript("researcher", (Say(text, Usage(20, 5)),), (look_up,))
