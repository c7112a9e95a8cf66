"""The spans of one reader: made of its events, chosen from, and gone on with after a restart."""

import contextlib
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from ..events.event import HypervisorEvent
from ..spans.assembly import SpanAssembler
from ..spans.sampler import SpanSampler
from ..text.limited_log import LimitedLog
from .accounts import Account
from .batch import Batch
from .counts import SAMPLED, STOPPED
from .ledger import Fate, Place
from .outlet import Terms

_SAMPLING = "sampling"


@define(eq=False)
class SpanMaker:
    """Makes spans of the events of one plugin, and counts those whose spans are held.

    Attributes:
        name: Of the plugin.
        account: Its position and counts.
        terms: How events come to it.
        limited_log: For what operators should know.
        assembler: Makes the spans; None if nobody wants any.
        sampler: Chooses from them; None if all are wanted.
        restored: Whether what an earlier process has left open was taken up.
    """

    name: str
    account: Account
    terms: Terms
    limited_log: LimitedLog
    assembler: SpanAssembler | None = None
    sampler: SpanSampler | None = field(default=None, init=False)
    restored: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        if self.assembler is not None:
            self._begin_with(self.assembler)

    def _begin_with(self, assembler: SpanAssembler) -> None:
        sampling = self.terms.sampling
        self.assembler = assembler
        self.sampler = None if sampling is None else SpanSampler(sampling, assembler)

    def restore(self) -> None:
        """Go on with the spans that an earlier process has left open.

        Raises:
            StreamUnavailableError: They cannot be read at present: to be called again.
        """
        if self.assembler is None:
            return
        self.restored = False
        saved, pending = self.account.state, self.terms.pending_sessions
        prices = self.terms.prices
        self._begin_with(SpanAssembler(pending=pending, prices=prices))
        if saved is not None:
            try:
                self._begin_with(SpanAssembler.from_state(saved, pending=pending, prices=prices))
                if self.sampler is not None and _SAMPLING in saved:
                    self.sampler.restore(saved[_SAMPLING])
            except Exception as error:  # noqa: BLE001 - what an old file holds is no reason to end
                self.limited_log.warning(
                    "restore", "plugin %s: open spans are lost", self.name, error=error
                )
        for events in self.account.since_state():
            for event in events:
                self._feed_again(event)
        if self.sampler is not None:  # all of that was counted
            self.sampler.settle_waiting()
            self.sampler.left_out.clear()
        self.restored = True

    def _feed_again(self, event: HypervisorEvent) -> None:
        """Feed what was delivered since the spans were saved: whatever it ends was handed over."""
        wanted = self.terms.wanted
        if wanted is not None and not wanted(event.event_type.value):
            return
        feeder = self.sampler or self.assembler
        with contextlib.suppress(Exception):  # an odd event was refused the first time, too
            if feeder is not None:
                feeder.feed(self.terms.admit(event))

    def state(self) -> Mapping[str, Any] | None:
        """Give the open spans, and those that are held, as plain JSON; None if none are made."""
        if self.assembler is None:
            return None
        sampling = {} if self.sampler is None else {_SAMPLING: self.sampler.state()}
        return {**self.assembler.state(), **sampling}

    def feed(self, batch: Batch) -> None:
        """Give *batch* the spans that its events end. One odd event costs itself alone."""
        assembler, sampler = self.assembler, self.sampler
        if assembler is None:
            return
        for place, event in enumerate(batch.events[:]):
            try:
                if sampler is None:
                    spans = assembler.feed(event)
                    if spans:
                        batch.add_spans(place, spans)
                else:
                    batch.add_sampled(place, *sampler.feed(event))
            except Exception as error:  # noqa: BLE001 - an event's payload may be anything
                batch.refused[place] = error
        batch.end_spans()

    # Events whose spans are held

    def leave_out_the_quiet(self) -> None:
        """Leave out, and count, what has been held for long enough."""
        if self.sampler is not None:
            self.sampler.leave_out_the_quiet()
            self.count_left_out()

    def count_left_out(self) -> None:
        """Count the events whose spans were left out."""
        if self.sampler is not None and self.sampler.left_out:
            left_out = sum(ending.left_out for ending in self.sampler.left_out)
            self.sampler.left_out.clear()
            self.account.ledger.move_waiting(Place.HELD, SAMPLED, left_out)

    def end(self, *, left: bool) -> None:
        """Settle the events whose spans are held: nothing more comes.

        Args:
            left: Whether the next process reads them again.
        """
        if left:
            self.settle_held(self.account.left_as(STOPPED))
        elif self.account.defers:
            self.settle_held(Place.DELIVERED)  # the spans are saved along with the position
        elif self.sampler is not None:
            self.sampler.leave_out_all()
        self.count_left_out()

    def settle_held(self, to: Fate) -> None:
        """Count the events whose spans are held as *to*, whatever becomes of the spans."""
        if self.sampler is not None:
            self.account.ledger.move_waiting(Place.HELD, to, self.sampler.settle_waiting())
