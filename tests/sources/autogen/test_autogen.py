"""AutoGen is seen as its users run it: its agents and tools. It makes no spans of models."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import AgentScript
from hypervisor_observability.testing.source_harmless_contract import HarmlessContract
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_observability.testing.source_samples import agent_as_tool, one_tool, only_says
from hypervisor_observability.testing.source_standing_contract import (
    StandingContract,
    writing_async,
)
from hypervisor_observability.testing.source_stream_contract import StreamContract
from hypervisor_observability.testing.source_tests import check_seen
from tests.sources.autogen.scripted import answer, made, stream
from tests.sources.pages import PAGES, run_page
from tests.sources.streams import ABANDONED


class TestAutoGen(StandingContract, HarmlessContract, StreamContract):
    """The parts of the contract that ask for no models."""

    lacks: Mapping[str, str] = {
        "run": "agents run in an event loop alone",
        "handoff": "a handoff is a message between agents, of which no span tells",
        "refusal": "there is no way to refuse a tool",
    }
    abandoned_streams = ABANDONED

    def make_source(self) -> object:
        return GenAISource()

    async def run_async(self, agent: AgentScript, request: str) -> Any:
        return await answer(agent, request)

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return stream(agent, request)

    def test_what_a_tool_records_stands_below_it(self) -> None:
        """Not so of a plain function: the framework runs it in a thread without a context."""
        observability, look_up = _writing()
        with observability:
            asyncio.run(answer(one_tool(look_up), "weather?"))
            (event,) = Seen.of(observability.bus.all_events).points("vfs.write")
        assert event.causal_trace_id is None

    def test_what_tools_record_that_are_called_at_once_stands_below_each(self) -> None:
        """So it does of asynchronous functions."""
        for way in self.ways("run_async", "stream"):
            self._check_writes(way, writing_async, ("oslo", "bergen"))


def _writing() -> tuple[Observability, Any]:
    observability = Observability(plugins=[GenAISource()])

    def look_up(city: str) -> str:
        """Look up the weather of a city."""
        observability.recorder.vfs.write(f"/{city}")
        return city

    return observability, look_up


def watch(work: Any) -> Seen:
    with Observability(plugins=[GenAISource()]) as observability:
        asyncio.run(work)
        seen = Seen.of(observability.bus.all_events)
    check_seen(seen)
    return seen


def test_agent_and_its_tool_are_seen() -> None:
    seen = watch(answer(one_tool(), "weather?"))
    agent, tool = seen.one("agent", "researcher"), seen.one("tool", "look_up")

    assert tool.parent is agent
    assert tool.call_id == "call-0-1"
    assert seen.roots == [agent]


def test_agent_as_a_tool_stands_below_the_call() -> None:
    seen = watch(answer(agent_as_tool(), "weather?"))

    assert seen.one("agent", "researcher").nearest("tool") is seen.one("tool", "researcher")
    assert len(seen.roots) == 1


def test_team_is_one_tree_though_the_spans_between_have_ended() -> None:
    async def work() -> None:
        one, two = made(one_tool()), made(evolve(only_says(), name="writer"))
        team = RoundRobinGroupChat([one, two], termination_condition=MaxMessageTermination(3))
        await team.run(task="weather?")

    seen = watch(work())
    text = seen.text()

    assert seen.one("tool", "look_up").parent is seen.one("agent", "researcher"), text
    assert len(seen.roots) == 1, text


def test_page_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "autogen.md", tmp_path)
