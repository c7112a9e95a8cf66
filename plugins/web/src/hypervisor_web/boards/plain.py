"""What several boards tell in the same way, as plain data."""

from typing import Any

from hypervisor_observability.facts.usage import Usage, cost_texts

MOST_CHARACTERS = 300
"""Most characters of a text that a row shows."""


def microseconds(nanoseconds: int | None) -> int | None:
    """Give a moment as the page has it: in whole microseconds since the epoch."""
    return None if nanoseconds is None else nanoseconds // 1_000


def usage_told(usage: Usage) -> dict[str, Any]:
    """Tell what models were used for: tokens, the cost in words, and a number to sort by."""
    costs = cost_texts(usage.cost, usage.estimated_cost)
    return {
        "tokens": usage.tokens,
        "cost": ", ".join(costs),
        "spent": sum(usage.cost.values()) + sum(usage.estimated_cost.values()),
    }


def has_words(words: list[str], *texts: str) -> bool:
    """Tell whether all *words*, in small letters, are in what *texts* hold together."""
    whole = "\n".join(texts).casefold()
    return all(word in whole for word in words)
