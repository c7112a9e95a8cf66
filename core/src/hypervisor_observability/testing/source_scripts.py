"""What the agents of a source's tests do: scripts, which a test makes real agents of."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

from attrs import field, frozen


@frozen
class Usage:
    """What one call of a model used up.

    Attributes:
        input_tokens: Of the prompt.
        output_tokens: Of the answer.
    """

    input_tokens: int
    output_tokens: int


@frozen
class ToolCall:
    """A call of a tool that a model asks for.

    Attributes:
        name: Of the tool; of an agent, where the script has it under ``agents``.
        arguments: By name.
        call_id: What the model calls this call by.
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str


@frozen
class CallTools:
    """The model asks for tools, all at once."""

    calls: tuple[ToolCall, ...]
    usage: Usage


@frozen
class Say:
    """The model answers with a text, and the agent is done."""

    text: str
    usage: Usage


@frozen
class HandOff:
    """The model hands the conversation over.

    Attributes:
        to: The name of the agent, one of ``hands_to``.
        usage: Of this call.
    """

    to: str
    usage: Usage


@frozen
class Fail:
    """The call of the model raises *error*."""

    error: Exception


@frozen(eq=False)
class Stall:
    """The call of the model waits until it is cancelled: its fake awaits ``wait()``.

    Attributes:
        begun: Set once it waits.
    """

    begun: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def wait(self) -> NoReturn:
        """Wait for the cancellation.

        Raises:
            CancelledError: It came.
        """
        self.begun.set()
        await asyncio.Future()
        raise AssertionError("nobody gives a result")


Turn: TypeAlias = CallTools | Say | HandOff | Fail | Stall
"""What the fake model answers to one call."""


@frozen
class AgentScript:
    """An agent, and what its fake model answers.

    Attributes:
        name: Of the agent.
        turns: What its model answers, one for each call.
        tools: Functions with type hints and a docstring, sync or async. Their names are those of
            the tools.
        agents: Whom it may call as a tool. The tool has the agent's name, and one argument,
            ``request``, a string.
        hands_to: Whom it may hand over to.
    """

    name: str
    turns: tuple[Turn, ...]
    tools: tuple[Callable[..., Any], ...] = ()
    agents: "tuple[AgentScript, ...]" = ()
    hands_to: "tuple[AgentScript, ...]" = ()

    def all(self) -> "Iterator[AgentScript]":
        """Give it and all those below it."""
        yield self
        for other in (*self.agents, *self.hands_to):
            yield from other.all()
