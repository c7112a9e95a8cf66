"""Scripts of the contract, made into agents of the framework."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agents import Agent, function_tool

from hypervisor_observability.testing import AgentScript
from tests.sources.openai_agents.fake_models import ModelMaker


def made(script: AgentScript, model: ModelMaker) -> Agent[None]:
    """Make the agent of a script, with all that it may call or hand over to."""
    tools = [function_tool(tool) for tool in script.tools]
    called = [
        made(one, model).as_tool(one.name, f"Ask {one.name} for something.")
        for one in script.agents
    ]
    return Agent(
        name=script.name,
        instructions="Answer.",
        model=model(script),
        tools=[*tools, *called],
        handoffs=[made(one, model) for one in script.hands_to],
    )


@contextmanager
def event_loop() -> Iterator[None]:
    """Give ``Runner.run_sync`` a loop; it would make one that stays open, and take it again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()
