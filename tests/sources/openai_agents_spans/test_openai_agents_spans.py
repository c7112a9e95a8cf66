"""openai-agents is seen through OpenTelemetry's own instrumentation, where its source is not on.

Not right there are handoffs, of which no span tells.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Runner, set_trace_processors
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import AgentScript
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_observability.testing.source_samples import (
    agent_as_tool,
    hand_off,
    one_tool,
    two_tools,
)
from hypervisor_observability.testing.source_tests import check_seen
from hypervisor_openai_agents import OpenAIAgentsSource
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import chat_completions


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    """Have both instrumentations on, and the framework send nothing anywhere."""
    set_trace_processors([])
    instrumentors: list[Any] = [OpenAIInstrumentor(), OpenAIAgentsInstrumentor()]
    for one in instrumentors:
        one.instrument()
    yield
    for one in instrumentors:
        one.uninstrument()
    set_trace_processors([])


def watch(script: AgentScript, *sources: object) -> Seen:
    async def main() -> None:
        await Runner.run(made(script, chat_completions), "weather?")

    with Observability(plugins=[GenAISource(), *sources]) as observability:
        asyncio.run(main())
        seen = Seen.of(observability.bus.all_events)
    check_seen(seen)
    return seen


def test_run_is_one_tree_with_its_agent_tool_models_and_tokens() -> None:
    seen = watch(one_tool())
    text = seen.text()
    agent = seen.one("agent", "researcher")

    assert [root.kind for root in seen.roots] == ["run"], text
    assert seen.one("tool", "look_up").nearest("agent") is agent, text
    assert [one.nearest("agent") for one in seen.all("model")] == [agent] * 2, text
    used = [event.payload["input_tokens"] for event in seen.points("usage.recorded")]
    assert used == [20, 30], text


def test_tools_that_are_called_at_once_stand_beside_each_other() -> None:
    seen = watch(two_tools())
    agent = seen.one("agent", "researcher")

    assert [one.nearest("agent", "tool") for one in seen.all("tool")] == [agent] * 2


def test_agent_as_a_tool_stands_below_the_call() -> None:
    seen = watch(agent_as_tool())
    call = seen.one("tool", "researcher")

    assert seen.one("agent", "researcher").nearest("tool") is call
    assert seen.one("tool", "look_up").nearest("agent") is seen.one("agent", "researcher")


def test_both_agents_of_a_handoff_are_seen_and_the_handoff_is_not() -> None:
    seen = watch(hand_off())

    assert {one.name for one in seen.all("agent")} == {"triage", "researcher"}
    assert seen.points("agent.handoff") == []


def test_frameworks_own_source_wins() -> None:
    seen = watch(one_tool(), OpenAIAgentsSource())
    text = seen.text()

    assert len(seen.all("agent")) == 1, text
    assert len(seen.all("tool")) == 1, text
    assert len(seen.all("model")) == 2, text
    used = [event.payload["input_tokens"] for event in seen.points("usage.recorded")]
    assert used == [20, 30], text
