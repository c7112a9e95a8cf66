"""Scripts of the contract, made into agents of that framework."""

from collections.abc import AsyncIterator

from hypervisor_observability.testing import AgentScript, CallTools, Fail, HandOff, Say, Stall
from tests.crew.crew import Agent, Answer


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


async def stream(script: AgentScript, request: str) -> AsyncIterator[object]:
    """Give what the framework streams."""
    async for word in made(script).stream(request):
        yield word
