"""Which tools were refused, how often, and why the last time."""

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts.usage import OTHER
from .calls import MOST_NAMES, what_went_wrong


@define(eq=False)
class Refused:
    """What is known of the refusals of a tool.

    Attributes:
        denied: How many decisions denied its use.
        blocked: How many of its calls were refused.
        last_reason: Why, the last time that it was said.
    """

    denied: int = 0
    blocked: int = 0
    last_reason: str = ""

    @property
    def total(self) -> int:
        """How many there were of both."""
        return self.denied + self.blocked


@define(eq=False)
class Refusals:
    """Refusals by tool.

    Attributes:
        by_tool: What is known of each.
    """

    by_tool: dict[str, Refused] = field(factory=dict)

    def deny(self, event: HypervisorEvent, tool: str) -> None:
        """Take a decision that denied."""
        self._refused(event, tool).denied += 1

    def block(self, event: HypervisorEvent, tool: str) -> None:
        """Take the end of a call that was refused."""
        self._refused(event, tool).blocked += 1

    def _refused(self, event: HypervisorEvent, tool: str) -> Refused:
        if tool not in self.by_tool and len(self.by_tool) >= MOST_NAMES:
            tool = OTHER
        refused = self.by_tool.setdefault(tool, Refused())
        refused.last_reason = what_went_wrong(event) or refused.last_reason
        return refused
