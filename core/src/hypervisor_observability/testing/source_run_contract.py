"""What a source sees of a run that goes well."""

import asyncio

from .source_pieces import Seen
from .source_scripts import AgentScript, CallTools, Say, ToolCall, Usage
from .source_tests import SourceTests

REQUEST = "weather in Oslo?"


def look_up(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city} is sunny"


def one_tool() -> AgentScript:
    """Give an agent that calls one tool, once."""
    calls = (ToolCall("look_up", {"city": "Oslo"}, "call-1"),)
    turns = (CallTools(calls, Usage(20, 5)), Say("sunny", Usage(30, 7)))
    return AgentScript("researcher", turns, (look_up,))


class RunContract(SourceTests):
    """What a source sees of a run that goes well."""

    def test_run_is_seen(self) -> None:
        """One agent, its tool, and each call of its model."""
        self.needs("run")
        with self.faultless(), self.observed() as observability:
            self.run(one_tool(), REQUEST)
            _check_one_tool(self.seen(observability))

    def test_async_run_is_seen(self) -> None:
        """The same by the framework's asynchronous way."""
        self.needs("run_async")
        with self.faultless(), self.observed() as observability:
            asyncio.run(self.run_async(one_tool(), REQUEST))
            _check_one_tool(self.seen(observability))

    def test_nothing_is_seen_after_uninstrument(self) -> None:
        """The framework is as it was."""
        self.needs("run")
        with self.observed() as observability:
            self.run(one_tool(), REQUEST)
        count = len(observability.bus.all_events)
        self.run(one_tool(), REQUEST)
        left = observability.bus.all_events[count:]
        assert not left, (
            f"after uninstrument() came {left[0].event_type.value}: take back everything"
        )


def _check_one_tool(seen: Seen) -> None:
    text = seen.text()
    agent = seen.one("agent", "researcher")
    tool = seen.one("tool", "look_up")
    assert len(seen.all("agent")) == 1, f"one agent has worked\n{text}"
    assert len(seen.all("tool")) == 1, f"one tool was called\n{text}"
    assert tool.nearest("agent") is agent, f"the tool stands below its agent\n{text}"
    models = seen.all("model")
    assert len(models) == 2, f"the model was called twice\n{text}"
    for model in models:
        assert model.nearest("agent", "tool") is agent, f"a model stands below its agent\n{text}"
    assert len(seen.roots) == 1, f"a run is one tree\n{text}"
    for piece in seen.pieces:
        assert piece.status == "ok", f"all went well\n{text}"
    assert tool.start.payload.get("call_id") == "call-1", "a tool's call_id is what the model gave"
