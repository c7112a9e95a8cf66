"""The source at work on runs of the framework, and what it has seen of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from hypervisor_observability import Config, HypervisorEvent, Observability
from hypervisor_observability.testing import (
    AgentScript,
    CallTools,
    Say,
    ToolCall,
    Usage,
    check_payloads,
)
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_openai_agents import OpenAIAgentsSource


@define
class Observed:
    """What is seen, while the block lasts and behind it."""

    observability: Observability
    _seen: Seen | None = field(default=None, init=False)

    @property
    def recorder(self) -> Any:
        """Of the user's."""
        return self.observability.recorder

    def events(self, event_type: str | None = None) -> list[HypervisorEvent]:
        """Give the events of a type, or all."""
        events = self.observability.bus.all_events
        return [one for one in events if event_type in (None, one.event_type.value)]

    @property
    def seen(self) -> Seen:
        """Give all, as pieces of work; nothing of it is wrong."""
        check_payloads(self.events())
        seen = Seen.of(self.events())
        assert not seen.stray
        return seen

    @property
    def outline(self) -> list[str]:
        """Give each piece of work by depth, kind and name, with how it ended."""
        lines = []
        for root in self.seen.roots:
            for one in root.within():
                statuses = "+".join(str(end.payload["status"]) for end in one.ends)
                lines.append(f"{'  ' * len(list(one.above()))}{one} {statuses}")
        return lines

    @property
    def tokens(self) -> list[tuple[object, object, object]]:
        """Give what was reported: the agent, and its tokens."""
        return [
            (one.agent_did, one.payload.get("input_tokens"), one.payload.get("output_tokens"))
            for one in self.events("usage.recorded")
        ]


@contextmanager
def observed(**options: Any) -> Iterator[Observed]:
    """Observe with a source that is made with *options*."""
    source = OpenAIAgentsSource(**options)
    with Observability(Config(), plugins=[source]) as observability:
        assert observability.states() == {"openai-agents": "running"}
        yield Observed(observability)
        errors = observability.status()["sources"]["openai-agents"]["errors"]
    assert errors == 0


def look_up(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city} is sunny"


def fail(city: str) -> str:
    """Fail to look it up."""
    raise LookupError(f"no station in {city}")


def asks(tool: Any, name: str = "researcher") -> AgentScript:
    """Give an agent that calls a tool, and then answers."""
    call = ToolCall(tool.__name__, {"city": "Oslo"}, "call-1")
    return AgentScript(
        name, (CallTools((call,), Usage(20, 5)), Say("sunny", Usage(30, 7))), (tool,)
    )


def says(text: str, name: str = "writer", tokens: tuple[int, int] = (10, 2)) -> AgentScript:
    """Give an agent that answers at once."""
    return AgentScript(name, (Say(text, Usage(*tokens)),))
