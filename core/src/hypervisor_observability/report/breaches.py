"""The newest breaches of rings, one by one."""

from collections import deque

from attrs import define, field, frozen

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .calls import trace_of

MOST_BREACHES = 12
"""How many are told one by one: the newest."""
_MOST_CHARACTERS = 300


@frozen
class Breach:
    """A breach.

    Attributes:
        agent: Who tried.
        tool: What; empty where that was not said.
        severity: How grave it is.
        trace: The trace in which it happened; None: in none.
    """

    agent: str
    tool: str
    severity: str
    trace: str | None


@define(eq=False)
class NewestBreaches:
    """The newest breaches, oldest first."""

    found: deque[Breach] = field(factory=lambda: deque(maxlen=MOST_BREACHES))

    def take(self, event: HypervisorEvent) -> None:
        """Take a breach."""
        agent = (event.agent_did or payload_facts.UNKNOWN)[:_MOST_CHARACTERS]
        tool = payload_facts.text(event, "attempted_tool")[:_MOST_CHARACTERS]
        self.found.append(Breach(agent, tool, payload_facts.severity(event), trace_of(event)))
