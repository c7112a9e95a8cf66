"""The story of what is called by one name: runs, tools and models."""

from collections import Counter, OrderedDict

from attrs import define, field

from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..facts.usage import OTHER, Usage
from .spread import Spread

MOST_NAMES = 200
"""How many of a kind are told apart; further ones are ``other``."""
NOT_ENDED = "not ended"
_MOST_OPEN = 10_000
_MOST_CHARACTERS = 300


@define(eq=False)
class Story:
    """What is known of all calls of one name.

    Attributes:
        ends: How many ended in which way, in the words of ``payload_facts.work_end``.
        seconds: How long they took, of those that say it.
        first_token_seconds: How long a model took until its first token, likewise.
        usage: What a model was used for.
        last_error: What went wrong the last time; empty: nothing did.
    """

    ends: Counter[str] = field(factory=Counter)
    seconds: Spread = field(factory=Spread)
    first_token_seconds: Spread = field(factory=Spread)
    usage: Usage = field(factory=Usage)
    last_error: str = ""

    def end(self, event: HypervisorEvent) -> str:
        """Take the end of a call; tell how it ended."""
        how = payload_facts.work_end(event)
        self.ends[how] += 1
        if (seconds := payload_facts.amount(event, "duration_seconds")) is not None:
            self.seconds.add(seconds)
        if how == "error":
            self.last_error = what_went_wrong(event)
        return how


@define(eq=False)
class Stories:
    """The stories of a kind, by name, in the order in which they were met.

    Attributes:
        key: The key of payloads that tells the name.
        by_name: The stories.
    """

    key: str
    by_name: dict[str, Story] = field(factory=dict)
    # By their causal ids: most end, and nobody needs to know more of their beginnings.
    _open: OrderedDict[str, HypervisorEvent] = field(factory=OrderedDict, init=False)

    def named(self, event: HypervisorEvent) -> str:
        """Give the name of what *event* is about."""
        return payload_facts.name(event, self.key) or payload_facts.UNKNOWN

    def of(self, name: str) -> Story:
        """Give the story of a name, a new one where there is none."""
        story = self.by_name.get(name)
        if story is None:
            if len(self.by_name) >= MOST_NAMES:
                name = OTHER
            story = self.by_name.setdefault(name, Story())
        return story

    def begin(self, event: HypervisorEvent) -> None:
        """Take the beginning of a call."""
        causal = event.causal_trace_id
        if causal is not None:
            self._open.setdefault(causal, event)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)

    def end(self, event: HypervisorEvent) -> tuple[Story, str]:
        """Take the end of a call; give its story, and how it ended."""
        causal = event.causal_trace_id
        if causal is not None:
            self._open.pop(causal, None)
        story = self.of(self.named(event))
        return story, story.end(event)

    def busiest(self) -> list[tuple[str, Story, Counter[str]]]:
        """Give all, those with the most calls first, and how many of each ended in which way, or
        did not.
        """
        counts = {name: Counter(story.ends) for name, story in self.by_name.items()}
        for event in self._open.values():
            name = self.named(event)
            known = name in counts or len(counts) < MOST_NAMES
            counts.setdefault(name if known else OTHER, Counter())[NOT_ENDED] += 1
        busiest = sorted(counts.items(), key=lambda one: -one[1].total())
        return [(name, self.by_name.get(name) or Story(), ends) for name, ends in busiest]


def what_went_wrong(event: HypervisorEvent) -> str:
    """Tell why something failed or was refused, in a bounded text."""
    # Where its class is from is worth no line of its own.
    kind = payload_facts.name(event, "error_type").rpartition(".")[2][:_MOST_CHARACTERS]
    text = payload_facts.failure(event)[:_MOST_CHARACTERS]
    return f"{kind}: {text}" if kind and text else kind or text


def trace_of(event: HypervisorEvent) -> str | None:
    """Give the trace that *event* belongs to: in its short form, where it has two."""
    causal = event.causal_trace_id
    if causal is None:
        return None
    trace_id = causal.partition("/")[0]
    return narrow_trace(trace_id) or trace_id
