"""What models were used for: tokens and cost, each counted once."""

from collections.abc import Callable, Iterable, Mapping

from ..events.event import HypervisorEvent
from ..events.event_types import USAGE_RECORDED
from ..facts import payload_facts
from ..facts.leaves import BEGINNINGS, Leaves
from ..facts.prices import CURRENCY, Prices
from ..facts.usage import used
from .instruments import Counter
from .labels import LabelRules, word
from .meter import Instruments

TOKENS = "agent_hypervisor_tokens_total"
COST = "agent_hypervisor_cost_total"
ESTIMATED_COST = "agent_hypervisor_cost_estimated_total"
WITHOUT_PRICE = "agent_hypervisor_usage_without_price_total"
USAGE_TOTALS = "agent_hypervisor_usage_totals_skipped_total"
USAGE_INVALID = "agent_hypervisor_usage_invalid_total"

_DIRECTIONS = ("input", "output")
_AMOUNTS: Mapping[str, Callable[[HypervisorEvent, str], float | None]] = {
    "input_tokens": payload_facts.count,
    "output_tokens": payload_facts.count,
    "cost": payload_facts.amount,
}


class UsageMetrics:
    """Tokens and cost, from the reports of those who used them.

    Args:
        rules: How agents are shown.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """

    event_types: Iterable[str] = (USAGE_RECORDED, *BEGINNINGS)

    def __init__(self, rules: LabelRules, prices: Prices | None = None) -> None:
        self._rules, self._prices = rules, prices
        self._leaves = Leaves()
        self.tokens = Counter(
            TOKENS,
            "Tokens that models read and wrote",
            {"agent_did": (), "model": (), "direction": _DIRECTIONS},
        )
        self.cost = Counter(
            COST,
            "What models cost, in units of the currency",
            {"agent_did": (), "model": (), "currency": ()},
        )
        self.estimated = Counter(
            ESTIMATED_COST,
            "What models cost where nobody told it, by the prices of the label",
            {"agent_did": (), "model": (), "currency": (), "prices": ()},
        )
        self.without_price = Counter(
            WITHOUT_PRICE,
            "Reports of usage without a cost whose model has no known price",
            {"model": ()},
        )
        self.totals = Counter(USAGE_TOTALS, "Reports of usage that sum up reports counted before")
        self.invalid = Counter(USAGE_INVALID, "Amounts of usage that are no amounts")
        self.instruments = Instruments(
            self.tokens, self.cost, self.estimated, self.without_price, self.totals, self.invalid
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count one report, or learn from another event."""
        if event.event_type != USAGE_RECORDED:
            self._leaves.note(event)
            return
        for key, read in _AMOUNTS.items():
            if payload_facts.has(event, key) and read(event, key) is None:
                self.invalid.increase(event=event)
        found = used(event, self._prices)
        if self._leaves.is_total(event, found.amounts):
            self.totals.increase(event=event)
            return
        agent, model = self._rules.agent(event.agent_did), word(event, "model")
        for direction, tokens in zip(
            _DIRECTIONS, (found.input_tokens, found.output_tokens), strict=True
        ):
            if tokens:
                self.tokens.increase((agent, model, direction), tokens, event)
        if found.cost:
            self.cost.increase((agent, model, word(event, "currency")), found.cost, event)
        if found.estimated_cost and self._prices is not None:
            labels = (agent, model, CURRENCY, self._prices.name)
            self.estimated.increase(labels, found.estimated_cost, event)
        if found.without_price:
            self.without_price.increase((model,), event=event)
