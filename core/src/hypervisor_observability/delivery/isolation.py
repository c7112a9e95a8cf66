"""Find the poisonous items of a batch by halving it, with few further offers."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import define, field

from ..errors import Reject, RetryLater

Item = TypeVar("Item")

MAX_REFUSED_IN_A_ROW = 3
"""Single items that may be refused without one accepted: then it is not the items' fault."""


@define
class Outcome:
    """What became of the first items of a batch.

    Attributes:
        settled: How many of the first items were accepted or refused; the rest was not offered,
            or in vain.
        refused: The refused ones by their place, with the reason.
        failure: Why the rest was not settled; None if there is no rest.
    """

    settled: int = 0
    refused: dict[int, Exception] = field(factory=dict)
    failure: Exception | None = None

    @property
    def accepted(self) -> int:
        """How many items were accepted."""
        return self.settled - len(self.refused)


def offer(items: Sequence[Item], send: Callable[[Sequence[Item]], None]) -> Outcome:
    """Offer *items* together; what is refused is offered in halves until the culprit is alone.

    One poisonous item in 512 takes at most ten further calls of *send*.

    Args:
        items: At least one.
        send: Returns if all that it is given was accepted. ``RetryLater`` ends the offering;
            any other exception refuses what it was given.
    """
    outcome = Outcome()
    in_a_row = 0
    while outcome.settled < len(items) and outcome.failure is None:
        before = outcome.settled
        error = _send(items, before, len(items), send, outcome)
        if error is None:
            continue
        if in_a_row == MAX_REFUSED_IN_A_ROW:
            outcome.failure = error
            continue
        culprit = _narrow_down(items, error, send, outcome)
        if outcome.settled > before:
            in_a_row = 0
        if culprit is not None:
            in_a_row += 1
            outcome.refused[outcome.settled] = culprit
            outcome.settled += 1
    return outcome


def _narrow_down(
    items: Sequence[Item],
    error: Exception,
    send: Callable[[Sequence[Item]], None],
    outcome: Outcome,
) -> Exception | None:
    """Settle all before the first culprit; give why that one, the next, was refused."""
    end = len(items)
    alone = end - outcome.settled == 1
    refusals = 1
    while end - outcome.settled > 1:
        middle = (outcome.settled + end) // 2
        refused = _send(items, outcome.settled, middle, send, outcome)
        if outcome.failure is not None:
            return None
        if refused is not None:
            end, error = middle, refused
            refusals += 1
    if alone or refusals > 1 or isinstance(error, Reject):
        return error
    # Refused once and in company, by an exception that need not come again.
    return _send(items, outcome.settled, outcome.settled + 1, send, outcome)


def _send(
    items: Sequence[Item],
    start: int,
    end: int,
    send: Callable[[Sequence[Item]], None],
    outcome: Outcome,
) -> Exception | None:
    try:
        send(items[start:end])
    except RetryLater as error:
        outcome.failure = error
        return None
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises refuses the batch
        return error
    outcome.settled = end
    return None
