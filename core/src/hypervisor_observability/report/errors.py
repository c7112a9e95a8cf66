"""What went wrong, each error once, however many scopes it passed and however often it came."""

from collections.abc import Mapping

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import (
    AGENT_FINISHED,
    MODEL_FINISHED,
    RUN_FINISHED,
    TOOL_FINISHED,
    EventType,
)
from ..facts import payload_facts, saga_facts
from .calls import MOST_NAMES, trace_of, what_went_wrong

MOST_TRACES = 500
"""How many traces of an error are counted; further ones are not."""
_MOST_CHARACTERS = 300

_NAMED_BY: Mapping[EventType, tuple[str, str]] = {
    RUN_FINISHED: ("run", "name"),
    TOOL_FINISHED: ("tool", "tool_name"),
    MODEL_FINISHED: ("model", "model"),
}
ERROR_TYPES = (*_NAMED_BY, AGENT_FINISHED, EventType.SAGA_STEP_FAILED)


@define(eq=False)
class ErrorStory:
    """An error.

    Attributes:
        arose: Where it was seen first, which is the innermost place: ``tool search``.
        trace: The last trace in which it was seen; None: it was in none.
    """

    arose: str
    trace: str | None = None
    _traces: set[int] = field(factory=set, init=False)

    @property
    def traces(self) -> str:
        """In how many traces it was seen."""
        count = len(self._traces)
        return f"{count} or more" if count >= MOST_TRACES else f"{count}"

    @property
    def count(self) -> int:
        """The same as a number, of at most :data:`MOST_TRACES`."""
        return len(self._traces)

    def see(self, trace: str | None) -> None:
        """Take that it was seen in a trace."""
        self.trace = trace
        if len(self._traces) < MOST_TRACES:
            self._traces.add(hash(trace))


@define(eq=False)
class Errors:
    """Errors by what they say.

    Attributes:
        by_text: What is known of each.
        left_out: How many more were seen than are told apart.
    """

    by_text: dict[str, ErrorStory] = field(factory=dict)
    left_out: int = 0

    def take(self, event: HypervisorEvent) -> None:
        """Take the end of work."""
        if event.event_type != EventType.SAGA_STEP_FAILED and not payload_facts.has_failed(event):
            return
        text = what_went_wrong(event) or "no reason given"
        story = self.by_text.get(text)
        if story is None:
            if len(self.by_text) >= MOST_NAMES:
                self.left_out += 1
                return
            story = self.by_text[text] = ErrorStory(_place(event)[:_MOST_CHARACTERS])
        story.see(trace_of(event))

    def most_frequent(self) -> list[tuple[str, ErrorStory]]:
        """Give all, those of the most traces first."""
        return sorted(self.by_text.items(), key=lambda one: -one[1].count)


def _place(event: HypervisorEvent) -> str:
    named = _NAMED_BY.get(event.event_type)
    if named is not None:
        kind, key = named
        return f"{kind} {payload_facts.name(event, key) or payload_facts.UNKNOWN}"
    if event.event_type == EventType.SAGA_STEP_FAILED:
        return f"step {saga_facts.step_title(event) or payload_facts.UNKNOWN}"
    return f"agent {event.agent_did or payload_facts.UNKNOWN}"
