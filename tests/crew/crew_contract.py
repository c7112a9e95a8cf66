"""The contract of sources with that framework: its scripts, made into agents."""

from collections.abc import AsyncIterator

from hypervisor_observability.testing import (
    AgentScript,
    CallTools,
    Fail,
    HandOff,
    Say,
    SourceContract,
    Stall,
)
from tests.crew.crew import Agent, Answer
from tests.crew.crew_source import CrewSource


def made(script: AgentScript) -> Agent:
    """Make the agent of a script, with all that it may call or hand over to."""
    turns = iter(script.turns)

    async def answer() -> Answer:
        turn = next(turns)
        if isinstance(turn, Fail):
            raise turn.error
        if isinstance(turn, Stall):
            await turn.wait()
        calls = turn.calls if isinstance(turn, CallTools) else ()
        to = turn.to if isinstance(turn, HandOff) else ""
        text = turn.text if isinstance(turn, Say) else ""
        return Answer(text, calls, to, (turn.usage.input_tokens, turn.usage.output_tokens))

    return Agent(
        script.name,
        answer,
        {tool.__name__: tool for tool in script.tools},
        {one.name: made(one) for one in script.agents},
        {one.name: made(one) for one in script.hands_to},
    )


def refused(script: AgentScript) -> Agent:
    """Make the agent of a script that may call no tool."""
    agent = made(script)
    agent.allows = lambda _: False
    return agent


async def stream(script: AgentScript, request: str) -> AsyncIterator[object]:
    """Give what the framework streams."""
    async for word in made(script).stream(request):
        yield word


class CrewContract(SourceContract):
    """The contract of sources, with this framework."""

    def make_source(self) -> object:
        return CrewSource()

    def run(self, agent: AgentScript, request: str) -> object:
        return made(agent).run(request)

    async def run_async(self, agent: AgentScript, request: str) -> object:
        return await made(agent).arun(request)

    def run_refused(self, agent: AgentScript, request: str) -> object:
        return refused(agent).run(request)

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return stream(agent, request)
