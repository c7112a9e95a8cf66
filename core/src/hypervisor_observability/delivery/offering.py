"""Find the poisonous items of a batch by halving it, and the size that a backend takes.

The rule: an item is refused only if it was refused alone, and alone again right after that.
What was refused in company proves nothing of a single item: the company may have been too
large, or the backend may have had a bad moment.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from attrs import define, field

from ..errors import RetryLater

Item = TypeVar("Item")

MAX_REFUSED_IN_A_ROW = 3
"""Single items that may be refused without one accepted: then it is not the items' fault."""

_TIMES_ALONE = 2
_MAX_PATIENCE = 1_024


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


@define(eq=False)
class OfferSize:
    """How many items to offer at once, learnt from what a backend takes.

    When a company is refused although each of its members is accepted, the size that passed
    becomes the limit. The limit doubles after a number of full offers that were accepted. That
    number doubles with each refusal and halves when a larger size passes, so that a fixed limit
    costs few refusals, and a bad moment of the backend is soon forgotten.

    Attributes:
        limit: Most items; None while no size was refused.
    """

    limit: int | None = None
    _patience: int = 1
    _accepted: int = 0
    _grown: bool = False

    def of(self, waiting: int) -> int:
        """Give how many of *waiting* items to offer."""
        return waiting if self.limit is None else min(waiting, self.limit)

    def note_accepted(self, size: int) -> None:
        """Note that *size* items were accepted at once."""
        if self.limit is None or size < self.limit:
            return
        if self._grown:
            self._grown, self._patience = False, max(1, self._patience // 2)
        self._accepted += 1
        if self._accepted >= self._patience:
            self._accepted, self._grown = 0, True
            self.limit *= 2

    def note_too_large(self, passed: int) -> None:
        """Note that a company was refused, and that *passed* of its members passed at once."""
        self.limit = max(1, passed)
        self._accepted, self._grown = 0, False
        self._patience = min(_MAX_PATIENCE, 2 * self._patience)


@define(eq=False)
class _Offering(Generic[Item]):
    """One batch being offered. Items are settled in their order, from the first on."""

    items: Sequence[Item]
    send: Callable[[Sequence[Item]], None]
    size: OfferSize
    outcome: Outcome = field(factory=Outcome, init=False)

    def run(self) -> Outcome:
        try:
            self._settle_all()
        except RetryLater as error:
            self.outcome.failure = error
        return self.outcome

    def _settle_all(self) -> None:
        outcome, in_a_row = self.outcome, 0
        while outcome.settled < len(self.items):
            before = outcome.settled
            end = before + self.size.of(len(self.items) - before)
            error = self._refusal(end)
            if error is None:
                self.size.note_accepted(end - before)
                in_a_row = 0
                continue
            if in_a_row == MAX_REFUSED_IN_A_ROW:
                outcome.failure = error
                return
            culprit = self._culprit(end, error)
            if outcome.settled > before:
                in_a_row = 0
            if culprit is not None:
                in_a_row += 1
                outcome.refused[outcome.settled] = culprit
                outcome.settled += 1

    def _culprit(self, end: int, error: Exception) -> Exception | None:
        """Settle all before the first culprit; give why that one, the next, was refused.

        Args:
            end: All up to here were refused together.
            error: With what.

        Returns:
            None if each was accepted.
        """
        outcome = self.outcome
        passed, alone = 0, int(end - outcome.settled == 1)
        while end - outcome.settled > 1:
            # If the first half is accepted, the fault is in the second: that is halved unasked.
            start, middle = outcome.settled, (outcome.settled + end) // 2
            refused = self._refusal(middle)
            if refused is None:
                passed = max(passed, middle - start)
            else:
                end, error, alone = middle, refused, int(middle - start == 1)
        while alone < _TIMES_ALONE:
            refused = self._refusal(end)
            if refused is None:
                self.size.note_too_large(passed)
                return None
            error = refused
            alone += 1
        return error

    def _refusal(self, end: int) -> Exception | None:
        """Offer all up to *end*; give why they were refused, None if they were accepted.

        Raises:
            RetryLater: The offering is over.
        """
        try:
            self.send(self.items[self.outcome.settled : end])
        except RetryLater:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises refuses the batch
            return error
        self.outcome.settled = end
        return None


def offer(
    items: Sequence[Item],
    send: Callable[[Sequence[Item]], None],
    size: OfferSize | None = None,
) -> Outcome:
    """Offer *items* together; what is refused is offered in halves until the culprit is alone.

    One poisonous item in 512 takes at most twelve further calls of *send*.

    Args:
        items: At least one.
        send: Returns if all that it is given was accepted. ``RetryLater`` ends the offering;
            any other exception refuses what it was given.
        size: What is known of the size that the backend takes, from one batch to the next.
    """
    return _Offering(items, send, OfferSize() if size is None else size).run()
