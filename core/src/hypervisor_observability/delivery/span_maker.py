"""The spans of one reader: made of its events, chosen from, and gone on with after a restart."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from ..text.limited_log import LimitedLog
from .accounts import Account
from .batch import Batch
from .counts import SAMPLED, STOPPED
from .ledger import Fate, Place
from .outlet import Terms
from .part_spans import PartSpans, SpanCounts
from .parts import PerPart


@define(eq=False)
class SpanMaker:
    """Makes spans of the events of one plugin, and counts those whose spans are held.

    Attributes:
        name: Of the plugin.
        account: Its position and counts.
        terms: How events come to it.
        limited_log: For what operators should know.
        makes_spans: Whether the plugin takes spans; if not, none are made.
    """

    name: str
    account: Account
    terms: Terms
    limited_log: LimitedLog
    makes_spans: bool = False
    _parts: PerPart[PartSpans | None] = field(init=False)
    # Of the parts that were lost, less what others had counted before a part was taken.
    _totals: SpanCounts = field(factory=SpanCounts, init=False)

    def __attrs_post_init__(self) -> None:
        self._parts = PerPart(self.account.parts, self._begin, self._end)

    @property
    def samples(self) -> bool:
        """Whether not all spans are handed over."""
        return self.makes_spans and self.terms.sampling is not None

    def take_parts(self) -> None:
        """Restore the open spans of parts that are new here, and drop those of parts that were
        lost.

        Raises:
            StreamUnavailableError: They cannot be read at present: call it again.
        """
        self._parts.take()

    def _begin(self, part: str) -> PartSpans | None:
        parts = self.account.parts
        if not self.makes_spans:
            if parts.shared:  # the contract: ask for its state before a part is read
                parts.state_of(part)
                deque(parts.since_state_of(part), maxlen=0)
            return None
        spans = PartSpans.restored(self.name, self.terms, parts, part, self.limited_log)
        if parts.shared:  # another process exposes what it has counted
            self._totals = self._totals.plus(spans.counts.totals, -1)
        return spans

    def _end(self, spans: PartSpans | None) -> None:
        if spans is None:
            return
        self._totals = self._totals.plus(spans.counts.totals)
        self._settle_held_of(spans, Place.DELIVERED)  # they were saved along with the position

    @property
    def _all(self) -> Iterable[PartSpans]:
        return (spans for spans in self._parts.values() if spans is not None)

    @property
    def counts(self) -> SpanCounts:
        """How many spans became what."""
        counts = self._totals
        for spans in self._all:
            counts = counts.plus(spans.counts)
        return counts

    def state(self) -> Mapping[str, Any] | None:
        """Give the open and held spans of the part that was read last, as plain JSON; None if none
        are made.
        """
        spans = self._parts.of(self.account.part)
        return None if spans is None else spans.state()

    def feed(self, batch: Batch) -> None:
        """Give *batch* the spans that its events end. One odd event costs itself alone."""
        spans = self._parts.of(self.account.part)
        if spans is not None:
            spans.feed(batch)

    # Events whose spans are held

    def leave_out_the_quiet(self) -> None:
        """Leave out, and count, what has been held for long enough."""
        for spans in self._all:
            if spans.sampler is not None:
                spans.sampler.leave_out_the_quiet()
        self.count_left_out()

    def count_left_out(self) -> None:
        """Count the events whose spans were left out."""
        for spans in self._all:
            self._count_left_out_of(spans)

    def _count_left_out_of(self, spans: PartSpans) -> None:
        if spans.sampler is not None and spans.sampler.left_out:
            left_out = sum(ending.left_out for ending in spans.sampler.left_out)
            spans.sampler.left_out.clear()
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
        else:
            for spans in self._all:
                if spans.sampler is not None:
                    spans.sampler.leave_out_all()
        self.count_left_out()

    def settle_held(self, to: Fate) -> None:
        """Count the events whose spans are held as *to*, whatever becomes of the spans."""
        for spans in self._all:
            self._settle_held_of(spans, to)

    def _settle_held_of(self, spans: PartSpans, to: Fate) -> None:
        if spans.sampler is not None:
            self._count_left_out_of(spans)
            self.account.ledger.move_waiting(Place.HELD, to, spans.sampler.settle_waiting())
