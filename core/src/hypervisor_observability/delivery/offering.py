"""What one hook has still to take of a batch; the poisonous items are found by halving.

The rule: an item is refused only if it was refused alone, and alone again right after that.
What was refused in company proves nothing of a single item: the company may have been too
large, or the backend may have had a bad moment.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from attrs import define, field

from ..errors import RetryLater

Item = TypeVar("Item")
Send = Callable[[Sequence[Item]], None]

MAX_REFUSED_IN_A_ROW = 3
"""Single items that may be refused without one accepted: then it is not the items' fault."""

_TIMES_ALONE = 2
_MAX_PATIENCE = 1_024


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
class Offering(Generic[Item]):
    """The items of one batch for one hook. They are settled in their order, from the first on.

    Attributes:
        refused: Why events were refused, by their places in the batch; items that are refused
            are added. What stands for an event in here is not offered again.
        items: All of them.
        places: Of the event that each item stands for.
        accepted: How many items were accepted so far.
    """

    refused: dict[int, BaseException]
    items: Sequence[Item] = ()
    places: Sequence[int] = ()
    accepted: int = field(default=0, init=False)
    _settled: int = field(default=0, init=False)

    def left(self) -> bool:
        """Pass over what stands for refused events; tell whether anything is left to offer."""
        if self.refused:
            rest = [number for number in range(self._settled, len(self.items))
                    if self.places[number] not in self.refused]  # fmt: skip
            self.items = [self.items[number] for number in rest]
            self.places = [self.places[number] for number in rest]
            self._settled = 0
        return self._settled < len(self.items)

    def unsettled(self) -> set[int]:
        """Give the places of the events of which something was not offered, or in vain."""
        return set(self.places[self._settled :]).difference(self.refused)

    def offer(
        self, send: Send[Item], size: OfferSize | None = None, most: int | None = None
    ) -> Exception | None:
        """Offer what is left together; what is refused is offered in halves until the culprit is
        alone. One poisonous item in 512 takes at most twelve further calls of *send*.

        Args:
            send: Returns if all that it is given was accepted. ``RetryLater`` ends the offering;
                any other exception refuses what it was given.
            size: What is known of the size that the backend takes, from one batch to the next.
            most: Most items to offer now; None: all that are left.

        Returns:
            Why what was to be offered is not all settled; None if it is.
        """
        size = OfferSize() if size is None else size
        end = len(self.items) if most is None else min(len(self.items), self._settled + most)
        try:
            return self._settle(end, send, size)
        except RetryLater as error:
            return error

    def _settle(self, end: int, send: Send[Item], size: OfferSize) -> Exception | None:
        in_a_row = 0
        while self._settled < end:
            before = self._settled
            company_end = before + size.of(end - before)
            error = self._refusal(company_end, send)
            if error is None:
                size.note_accepted(company_end - before)
                in_a_row = 0
                continue
            if in_a_row == MAX_REFUSED_IN_A_ROW:
                return error
            culprit = self._culprit(company_end, error, send, size)
            if self._settled > before:
                in_a_row = 0
            if culprit is not None:
                in_a_row += 1
                self.refused.setdefault(self.places[self._settled], culprit)
                self._settled += 1
        return None

    def _culprit(
        self, end: int, error: Exception, send: Send[Item], size: OfferSize
    ) -> Exception | None:
        """Settle all before the first culprit; give why that one, the next, was refused.

        Args:
            end: All up to here were refused together.
            error: With what.
            send: As ``offer`` was given it.
            size: Likewise.

        Returns:
            None if each was accepted.
        """
        passed, alone = 0, int(end - self._settled == 1)
        while end - self._settled > 1:
            # If the first half is accepted, the fault is in the second: that is halved unasked.
            start, middle = self._settled, (self._settled + end) // 2
            refused = self._refusal(middle, send)
            if refused is None:
                passed = max(passed, middle - start)
            else:
                end, error, alone = middle, refused, int(middle - start == 1)
        while alone < _TIMES_ALONE:
            refused = self._refusal(end, send)
            if refused is None:
                size.note_too_large(passed)
                return None
            error = refused
            alone += 1
        return error

    def _refusal(self, end: int, send: Send[Item]) -> Exception | None:
        """Offer all up to *end*; give why they were refused, None if they were accepted.

        Raises:
            RetryLater: The offering is over.
        """
        try:
            send(self.items[self._settled : end])
        except RetryLater:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises refuses the batch
            return error
        self.accepted += end - self._settled
        self._settled = end
        return None
