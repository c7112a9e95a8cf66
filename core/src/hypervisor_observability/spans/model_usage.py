"""What a call of a model was used for, as attributes of its span."""

from ..events.event import HypervisorEvent
from ..facts.payload_facts import UNKNOWN
from ..facts.prices import Prices
from ..facts.usage import used
from .open_span import OpenSpan

# The names of the tokens are those of the GenAI conventions; cost has none there.
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
COST = "agent.hypervisor.cost"
CURRENCY = "agent.hypervisor.currency"
ESTIMATED_COST = "agent.hypervisor.estimated_cost"
PRICES = "agent.hypervisor.prices"


def note_usage(span: OpenSpan, event: HypervisorEvent, prices: Prices | None) -> None:
    """Note a report of usage at the span of the call that it is about.

    Args:
        span: The call.
        event: The report. Of several the tokens are added up, and the costs in one currency.
        prices: To estimate the cost where it tells none; None: it is not estimated.
    """
    found = used(event, prices)
    if found.input_tokens:
        _add(span, INPUT_TOKENS, found.input_tokens)
    if found.output_tokens:
        _add(span, OUTPUT_TOKENS, found.output_tokens)
    if found.cost and span.attributes.get(CURRENCY, found.currency) == found.currency:
        _add(span, COST, found.cost)
        if found.currency != UNKNOWN:
            span.attributes[CURRENCY] = found.currency
    if found.estimated_cost and prices is not None:
        _add(span, ESTIMATED_COST, found.estimated_cost)
        span.attributes[PRICES] = prices.name


def _add(span: OpenSpan, key: str, amount: float) -> None:
    before = span.attributes.get(key)
    span.attributes[key] = amount + (before if isinstance(before, int | float) else 0)
