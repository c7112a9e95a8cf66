"""Tokens, and what they cost: what one report of usage says, and sums of reports."""

from collections.abc import Collection, Mapping

from attrs import define, field, frozen

from ..events.event import HypervisorEvent
from . import payload_facts
from .payload_facts import UNKNOWN
from .prices import CURRENCY, Prices

OTHER = "other"
"""Stands for every currency, or model, beyond those that a sum tells apart."""
MOST_CURRENCIES = 12
MOST_MODELS = 200
"""Most models without a price that a sum names."""
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


@define
class Usage:
    """What models were used for: the sum of reports, in bounded memory.

    Attributes:
        input_tokens: Tokens that they read.
        output_tokens: Tokens that they wrote.
        cost: What they cost, as reported, by currency.
        estimated_cost: The estimated cost of reports that give none, as far as prices are known,
            by currency.
        without_price: The models whose cost is neither reported nor known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost: dict[str, float] = field(factory=dict)
    estimated_cost: dict[str, float] = field(factory=dict)
    without_price: set[str] = field(factory=set)

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens

    def take(self, used: Used) -> None:
        """Add what a report says."""
        self.input_tokens += used.input_tokens
        self.output_tokens += used.output_tokens
        if used.cost:
            _add(self.cost, used.currency, used.cost)
        if used.estimated_cost:
            _add(self.estimated_cost, CURRENCY, used.estimated_cost)
        if used.without_price:
            self._note_without_price(used.without_price)

    def add(self, other: "Usage") -> None:
        """Add another sum."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        for own, more in (
            (self.cost, other.cost),
            (self.estimated_cost, other.estimated_cost),
        ):
            for currency, amount in more.items():
                _add(own, currency, amount)
        for model in other.without_price:
            self._note_without_price(model)

    def _note_without_price(self, model: str) -> None:
        known = model in self.without_price or len(self.without_price) < MOST_MODELS
        self.without_price.add(model if known else OTHER)


def _add(costs: dict[str, float], currency: str, amount: float) -> None:
    if currency not in costs and len(costs) >= MOST_CURRENCIES:
        currency = OTHER
    costs[currency] = costs.get(currency, 0.0) + amount


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
