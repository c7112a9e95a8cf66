"""What a report of usage says: tokens, and what they cost."""

from attrs import frozen

from ..events.event import HypervisorEvent
from . import payload_facts
from .payload_facts import UNKNOWN


@frozen
class Used:
    """What a model was used for.

    Attributes:
        input_tokens: Tokens that it read.
        output_tokens: Tokens that it wrote.
        cost: What they cost, as it was told, in units of *currency*; 0 where that was not told.
        currency: Of the cost; ``unknown`` where that was not told.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    currency: str = UNKNOWN

    @property
    def amounts(self) -> tuple[float, float, float]:
        """All three, as ``leaves`` compares them."""
        return (self.input_tokens, self.output_tokens, self.cost)


def used(event: HypervisorEvent) -> Used:
    """Read a report of usage; an amount that is none is 0."""
    return Used(
        payload_facts.count(event, "input_tokens") or 0,
        payload_facts.count(event, "output_tokens") or 0,
        float(payload_facts.amount(event, "cost") or 0),
        payload_facts.name(event, "currency") or UNKNOWN,
    )
