"""What models were used for: tokens and cost, each counted once."""

from collections.abc import Callable, Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import USAGE_RECORDED
from ..facts import payload_facts
from ..facts.leaves import BEGINNINGS, Leaves
from .instruments import Counter
from .labels import LabelRules, word
from .meter import Instruments

TOKENS = "agent_hypervisor_tokens_total"
COST = "agent_hypervisor_cost_total"
USAGE_TOTALS = "agent_hypervisor_usage_totals_skipped_total"
USAGE_INVALID = "agent_hypervisor_usage_invalid_total"

_DIRECTIONS = {"input_tokens": "input", "output_tokens": "output"}


class UsageMetrics:
    """Tokens and cost, from the reports of those who used them.

    Args:
        rules: How agents are shown.
    """

    event_types: Iterable[str] = (USAGE_RECORDED, *BEGINNINGS)

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._leaves = Leaves()
        self.tokens = Counter(
            TOKENS,
            "Tokens that models read and wrote",
            {"agent_did": (), "model": (), "direction": tuple(_DIRECTIONS.values())},
        )
        self.cost = Counter(
            COST,
            "What models cost, in units of the currency",
            {"agent_did": (), "model": (), "currency": ()},
        )
        self.totals = Counter(USAGE_TOTALS, "Reports of usage that sum up reports counted before")
        self.invalid = Counter(USAGE_INVALID, "Amounts of usage that are no amounts")
        self.instruments = Instruments(self.tokens, self.cost, self.totals, self.invalid)

    def observe(self, event: HypervisorEvent) -> None:
        """Count one report, or learn from another event."""
        if event.event_type != USAGE_RECORDED:
            self._leaves.note(event)
            return
        tokens = {key: self._amount(event, key, payload_facts.count) for key in _DIRECTIONS}
        cost = self._amount(event, "cost", payload_facts.amount)
        amounts = (tokens["input_tokens"], tokens["output_tokens"], cost)
        if self._leaves.is_total(event, amounts):
            self.totals.increase(event=event)
            return
        agent, model = self._rules.agent(event.agent_did), word(event, "model")
        for key, direction in _DIRECTIONS.items():
            if tokens[key]:
                self.tokens.increase((agent, model, direction), tokens[key], event)
        if cost:
            currency = word(event, "currency")
            self.cost.increase((agent, model, currency), cost, event)

    def _amount(
        self,
        event: HypervisorEvent,
        key: str,
        found: Callable[[HypervisorEvent, str], float | None],
    ) -> float:
        amount = found(event, key)
        if amount is None and payload_facts.has(event, key):
            self.invalid.increase(event=event)
        return amount or 0
