"""What each agent did, in numbers."""

from collections import Counter

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..facts.usage import OTHER, Usage
from .calls import MOST_NAMES, trace_of

_MOST_CHARACTERS = 300


@define(eq=False)
class AgentStory:
    """An agent.

    Attributes:
        name: The name that it joined under; empty: it has none beside its DID.
        ends: How often its work ended in which way, in the words of ``payload_facts.work_end``.
        breaches: How many breaches of rings it was seen in.
        refused: How many decisions denied it something.
        usage: What models were used for on its account.
        bad_trace: The last trace in which it failed, was refused, or breached a ring; None: it
            never was.
    """

    name: str = ""
    ends: Counter[str] = field(factory=Counter)
    breaches: int = 0
    refused: int = 0
    usage: Usage = field(factory=Usage)
    bad_trace: str | None = None

    def join(self, event: HypervisorEvent) -> None:
        """Take that it joins."""
        self.name = payload_facts.name(event, "name")[:_MOST_CHARACTERS] or self.name

    def end(self, event: HypervisorEvent) -> None:
        """Take that its work ended."""
        how = payload_facts.work_end(event)
        self.ends[how] += 1
        if how == "error":
            self.bad_trace = trace_of(event)

    def breach(self, event: HypervisorEvent) -> None:
        """Take a breach."""
        self.breaches += 1
        self.bad_trace = trace_of(event)

    def deny(self, event: HypervisorEvent) -> None:
        """Take a decision that denied."""
        self.refused += 1
        self.bad_trace = trace_of(event)


@define(eq=False)
class Agents:
    """The agents by their DIDs.

    Attributes:
        by_did: What is known of each, in the order in which they were met.
    """

    by_did: dict[str, AgentStory] = field(factory=dict)

    def of(self, event: HypervisorEvent) -> AgentStory:
        """Give the story of the agent of *event*."""
        did = event.agent_did or payload_facts.UNKNOWN
        story = self.by_did.get(did)
        if story is None:
            if len(self.by_did) >= MOST_NAMES:
                did = OTHER
            story = self.by_did.setdefault(did, AgentStory())
        return story

    def most_telling(self) -> list[tuple[str, AgentStory]]:
        """Give all, those with the most to tell first: what went wrong, then how often they
        worked.
        """
        return sorted(self.by_did.items(), key=lambda one: _weight(one[1]), reverse=True)


def _weight(story: AgentStory) -> tuple[int, int, int]:
    wrong = story.ends["error"] + story.breaches + story.refused
    return wrong, story.ends.total(), story.usage.tokens
