"""One batch: the events of one reading, and what became of each, until all of them are settled."""

from collections.abc import Callable, Iterable, Sequence

from attrs import define, field

from ..events.event import HypervisorEvent
from ..spans.held_traces import Ending, HeldSpan
from ..spans.record import FinishedSpan
from .counts import FILTERED
from .ledger import Fate, Ledger, Place
from .offering import Offering


@define(eq=False)
class Batch:
    """Events that were read together, with the spans that they end.

    It alone knows of a single event, by the event's place in it; the ledger only counts. Its
    events are chosen, admitted, given their spans, offered, and settled, in this order.

    Attributes:
        events: As they were read, then as they passed the gate; behind them those that came with
            earlier batches, and whose spans are handed over only now.
        refused: Places of refused events, with the reason.
        event_offering: What the hook for events has still to take.
        span_offering: What the hook for spans has.
    """

    events: list[HypervisorEvent]
    _ledger: Ledger
    refused: dict[int, BaseException] = field(factory=dict, init=False)
    event_offering: Offering[HypervisorEvent] = field(init=False)
    span_offering: Offering[FinishedSpan] = field(init=False)
    _spans: list[FinishedSpan] = field(factory=list, init=False)
    # Of the event that each of them stands for.
    _places: list[int] = field(factory=list, init=False)
    # The events that ended spans, with their places, where spans are sampled.
    _endings: dict[Ending, int] = field(factory=dict, init=False)
    # Those of them whose spans wait for the decision on their trace, or were left out.
    _held: dict[Ending, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.event_offering = Offering(self.refused)
        self.span_offering = Offering(self.refused)

    @property
    def offered(self) -> int:
        """How many of the events are offered still; 0 if the batch was given up."""
        return self._ledger.offered(self)

    def choose(self, wanted: Callable[[str], bool]) -> None:
        """Drop the events of types that are not wanted."""
        chosen = [event for event in self.events if wanted(event.event_type.value)]
        self._move(len(self.events) - len(chosen), FILTERED)
        self.events = chosen

    def admit(self, admit: Callable[[HypervisorEvent], HypervisorEvent]) -> None:
        """Have the events pass the gate."""
        self.events = [admit(event) for event in self.events]

    def disclose(self, disclose: Callable[[HypervisorEvent], HypervisorEvent]) -> None:
        """Have the events offered, as the plugin may see them."""
        disclosed = [disclose(event) for event in self.events]
        self.event_offering = Offering(self.refused, disclosed, range(len(disclosed)))

    def add_spans(self, place: int, spans: Sequence[FinishedSpan]) -> None:
        """Have *spans* offered, which the event at *place* ended."""
        self._spans += spans
        self._places += [place] * len(spans)

    def add_sampled(self, place: int, ending: Ending | None, spans: Iterable[HeldSpan]) -> None:
        """Have *spans* offered, which are not held, or not any longer, due to the event at *place*.

        Each stands for the event that ended it, unless that was settled with an earlier batch.

        Args:
            place: Of the event.
            ending: The event itself, if it ended spans; these may be held.
            spans: With the events that ended them.
        """
        if ending is not None:
            self._endings[ending] = place
        for held in spans:
            self._spans.append(held.span)
            self._places.append(self._place_of(held.ending, place))

    def _place_of(self, ending: Ending | None, place: int) -> int:
        if ending is None:
            return place
        if ending in self._endings:
            place = self._endings[ending]
        elif not ending.settled:
            place = self._endings[ending] = len(self.events)
            self.events.append(ending.event)
            self._move(-1, Place.HELD)
        ending.settled = True
        return place

    def end_spans(self) -> None:
        """Note that all spans were added; tell the ledger of which events they are held."""
        self.span_offering = Offering(self.refused, self._spans, self._places)
        self._held = {
            ending: place
            for ending, place in self._endings.items()
            if ending.left_out or not ending.settled
        }
        self._move(len(self._held), Place.HELD)

    def settle(self, accepted: Place, unsettled_as: str) -> bool:
        """Tell the ledger what became of the events.

        Args:
            accepted: Where those are now that were accepted.
            unsettled_as: Why those are dropped of which something was not offered, or in vain.

        Returns:
            Whether there are none of these.
        """
        unsettled = {*self.event_offering.unsettled(), *self.span_offering.unsettled()}
        for ending, place in self._held.items():
            if place in unsettled or place in self.refused:
                # Whatever becomes of its spans.
                ending.settled, ending.left_out = True, False
                self._move(-1, Place.HELD)
        self._move(len(self.refused), Place.REJECTED)
        self._move(len(unsettled), unsettled_as)
        self._move(self.offered, accepted)
        return not unsettled

    def give_up(self, to: Fate) -> None:
        """Tell the ledger that what is offered still is *to* now."""
        self._move(self.offered, to)

    def _move(self, events: int, to: Fate) -> None:
        if events:
            self._ledger.move(self, events, to)
