"""What a report of usage says: tokens, and what they cost."""

from collections.abc import Collection, Mapping

from attrs import frozen

from ..events.event import HypervisorEvent
from . import payload_facts
from .payload_facts import UNKNOWN
from .prices import Prices

_MOST_NAMES = 5


@frozen
class Used:
    """What a model was used for.

    Attributes:
        input_tokens: Tokens that it read.
        output_tokens: Tokens that it wrote.
        cost: What they cost, as it was told, in units of *currency*; 0 where that was not told.
        currency: Of the cost; ``unknown`` where that was not told.
        estimated_cost: What they cost by the prices that are known, in ``prices.CURRENCY``, where
            no cost was told; else 0.
        without_price: The model, where no cost was told and no price is known; else empty.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    currency: str = UNKNOWN
    estimated_cost: float = 0.0
    without_price: str = ""

    @property
    def amounts(self) -> tuple[float, float, float]:
        """What was told, as ``leaves`` compares it."""
        return (self.input_tokens, self.output_tokens, self.cost)


def used(event: HypervisorEvent, prices: Prices | None = None) -> Used:
    """Read a report of usage; an amount that is none is 0.

    Args:
        event: The report.
        prices: To estimate the cost where it tells tokens and no cost; None: it is not estimated.
    """
    read = payload_facts.count(event, "input_tokens") or 0
    written = payload_facts.count(event, "output_tokens") or 0
    if payload_facts.has(event, "cost"):
        cost = float(payload_facts.amount(event, "cost") or 0)
        return Used(read, written, cost, payload_facts.name(event, "currency") or UNKNOWN)
    if prices is None or not (read or written):
        return Used(read, written)
    model, provider = (payload_facts.name(event, key) for key in ("model", "provider"))
    estimate = prices.cost(model, provider, read, written, event.timestamp)
    if estimate is None:
        return Used(read, written, without_price=model or UNKNOWN)
    return Used(read, written, estimated_cost=estimate)


def cost_texts(told: Mapping[str, float], estimated: Mapping[str, float]) -> list[str]:
    """Write costs by currency for people, ``~`` before those that are estimates."""
    return [
        mark + (f"{amount:.6g}" if currency == UNKNOWN else f"{amount:.6g} {currency}")
        for mark, costs in (("", told), ("~", estimated))
        for currency, amount in sorted(costs.items())
    ]


def names_text(names: Collection[str]) -> str:
    """Write some names for people, and how many more there are."""
    shown = sorted(names)[:_MOST_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + f" and {more} more" * bool(more)
