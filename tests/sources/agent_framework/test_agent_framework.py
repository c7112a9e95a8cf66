"""Microsoft's Agent Framework is seen as its users run it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowBuilder
from agent_framework.observability import OBSERVABILITY_SETTINGS
from attrs import evolve

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import AgentScript, SourceContract
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_observability.testing.source_samples import one_tool, only_says
from tests.sources.agent_framework.scripted import made, stream
from tests.sources.pages import PAGES, run_page
from tests.sources.streams import ABANDONED


class TestAgentFramework(SourceContract):
    lacks: Mapping[str, str] = {
        "run": "agents run in an event loop alone",
        "handoff": "handoffs belong to a distribution of orchestrations",
        "refusal": "a middleware that answers in place of a tool has no span",
    }
    abandoned_streams = ABANDONED

    @pytest.fixture(autouse=True)
    def content(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the framework put into spans what goes into payloads: it does not by itself."""
        monkeypatch.setattr(OBSERVABILITY_SETTINGS, "_enable_sensitive_data", True)

    def make_source(self) -> object:
        return GenAISource()

    async def run_async(self, agent: AgentScript, request: str) -> Any:
        return (await made(agent).run(request)).text

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return stream(agent, request)


@pytest.mark.parametrize("streams", [False, True])
def test_workflow_is_a_run_of_its_agents(streams: bool) -> None:
    async def main() -> None:
        first, second = made(one_tool()), made(evolve(only_says(), name="writer"))
        builder = WorkflowBuilder(start_executor=first, name="flow")
        flow = builder.add_edge(first, second).build()
        if streams:
            async for _ in flow.run("weather?", stream=True):
                pass
        else:
            await flow.run("weather?")

    with Observability(plugins=[GenAISource()]) as observability:
        asyncio.run(main())
        seen = Seen.of(observability.bus.all_events)

    (flow,) = seen.roots
    assert (flow.kind, flow.name, flow.status) == ("run", "flow", "ok")
    assert [agent.name for agent in flow.below] == ["researcher", "writer"]


def test_framework_that_is_told_to_make_no_spans_makes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OBSERVABILITY_SETTINGS, "_enable_instrumentation", False)
    with Observability(plugins=[GenAISource()]) as observability:
        asyncio.run(made(one_tool()).run("weather?"))
        assert observability.bus.emitted == 0


def test_page_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "agent-framework.md", tmp_path)
