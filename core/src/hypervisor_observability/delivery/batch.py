"""A batch on its way: what of it was accepted, refused, or is still to be offered."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from attrs import define, field

from ..events.event import HypervisorEvent
from ..spans.held_traces import Ending, HeldSpan
from ..spans.record import FinishedSpan
from .breaker import Breaker
from .ledger import Place, Portion
from .offering import OfferSize, Outcome, offer

Item = TypeVar("Item")


@define(eq=False)
class Batch:
    """Events with the spans that they end.

    Attributes:
        portion: The events' place in the accounts.
        events: As they passed the gate; behind them those that came with earlier batches, and
            whose spans are handed over only now.
        disclosed: Those of this batch as the plugin may see them.
        spans: Each with the place of the event that ended it.
        refused: Places of refused events, with the reason.
        endings: The events that ended spans, with their places, where spans are sampled.
    """

    portion: Portion
    events: list[HypervisorEvent]
    disclosed: Sequence[HypervisorEvent]
    spans: list[tuple[int, FinishedSpan]] = field(factory=list)
    refused: dict[int, BaseException] = field(factory=dict)
    endings: dict[Ending, int] = field(factory=dict)
    _accepted_events: int = 0
    _accepted_spans: int = 0
    # Events of this batch whose spans wait for the decision on their trace, or were left out.
    _held: dict[Ending, int] = field(factory=dict)

    def add_held(self, spans: Iterable[HeldSpan], place: int) -> None:
        """Take spans that are not held any longer, because of the event at *place*.

        Each stands for the event that ended it, unless that was settled with an earlier batch.
        """
        for held in spans:
            ending, own = held.ending, place
            if ending is not None:
                if ending in self.endings:
                    own = self.endings[ending]
                elif not ending.settled:
                    own = self.endings[ending] = len(self.events)
                    self.events.append(ending.event)
                ending.settled = True
            self.spans.append((own, held.span))

    def note_held(self) -> None:
        """Tell the accounts which events wait on, and which do not any longer."""
        self.portion.take_back(len(self.events) - len(self.disclosed))
        self._held = {
            ending: place
            for ending, place in self.endings.items()
            if ending.left_out or not ending.settled
        }
        self.portion.move(len(self._held), Place.HELD)

    def offer_events(
        self,
        send: Callable[[Sequence[HypervisorEvent]], None],
        breaker: Breaker,
        size: OfferSize,
    ) -> Outcome | None:
        """Offer what was not offered yet; None if there is nothing left."""
        places = [
            place
            for place in range(self._accepted_events, len(self.disclosed))
            if place not in self.refused
        ]
        outcome = _offered([self.disclosed[place] for place in places], send, breaker, size)
        if outcome is not None:
            self._note(places, outcome)
            self._accepted_events = (
                places[outcome.settled] if outcome.settled < len(places) else len(self.disclosed)
            )
        return outcome

    def offer_spans(
        self, send: Callable[[Sequence[FinishedSpan]], None], breaker: Breaker, size: OfferSize
    ) -> Outcome | None:
        """Offer what was not offered yet of the spans of accepted events."""
        numbers = [
            number
            for number in range(self._accepted_spans, len(self.spans))
            if self.spans[number][0] not in self.refused
        ]
        outcome = _offered([self.spans[number][1] for number in numbers], send, breaker, size)
        if outcome is not None:
            self._note([self.spans[number][0] for number in numbers], outcome)
            self._accepted_spans = (
                numbers[outcome.settled] if outcome.settled < len(numbers) else len(self.spans)
            )
        return outcome

    def unsettled(self, *, events: bool, spans: bool) -> set[int]:
        """Give the places of the events of which something was not offered, or in vain.

        Args:
            events: Whether events have to be offered.
            spans: Whether spans have to be.
        """
        left: set[int] = set()
        if events:
            left.update(range(self._accepted_events, len(self.disclosed)))
        if spans:
            left.update(place for place, _ in self.spans[self._accepted_spans :])
        return left - self.refused.keys()

    def settle(self, accepted: Place, unsettled: set[int]) -> None:
        """Tell the accounts what became of the events.

        Args:
            accepted: Where those are now that were accepted.
            unsettled: Places of those that were not offered, or in vain.
        """
        for ending, place in self._held.items():
            if place in unsettled or place in self.refused:
                # Whatever becomes of its spans.
                ending.settled, ending.left_out = True, False
                self.portion.take_back(1)
        self.portion.move(len(self.refused), Place.REJECTED)
        self.portion.leave(len(unsettled))
        self.portion.move(self.portion.left, accepted)

    def _note(self, places: Sequence[int], outcome: Outcome) -> None:
        for number, error in outcome.refused.items():
            self.refused.setdefault(places[number], error)


def _offered(
    items: Sequence[Item],
    send: Callable[[Sequence[Item]], None],
    breaker: Breaker,
    size: OfferSize,
) -> Outcome | None:
    if not items:
        return None
    return offer(items[:1] if breaker.tripped else items, send, size)
