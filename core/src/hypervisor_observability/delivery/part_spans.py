"""The spans of one part of a reader's stream: made of its events, and chosen from."""

import contextlib
from collections.abc import Mapping
from typing import Any

from attrs import define, field, fields_dict, frozen

from ..events.event import HypervisorEvent
from ..spans.assembly import SpanAssembler
from ..spans.sampler import SpanSampler
from ..text.limited_log import LimitedLog
from .batch import Batch
from .outlet import Terms
from .parts import Parts

_SAMPLING = "sampling"


@frozen(kw_only=True)
class SpanCounts:
    """How many spans became what.

    Attributes:
        open: Spans that have begun and not ended.
        held: Spans that wait for the decision on their trace.
        expired: Spans given out before their end was seen.
        unmatched: Ends without a start, and starts and ends that came when all was over.
        left_out: Spans of traces that were left out.
        early_decisions: Traces left out before their time, since too many spans were held.
        late_incidents: Incidents in traces that had been left out already.
    """

    open: int = 0
    held: int = 0
    expired: int = 0
    unmatched: int = 0
    left_out: int = 0
    early_decisions: int = 0
    late_incidents: int = 0

    def plus(self, other: "SpanCounts", times: int = 1) -> "SpanCounts":
        """Add *other*, so many *times*."""
        return SpanCounts(
            **{
                name: getattr(self, name) + times * getattr(other, name)
                for name in fields_dict(SpanCounts)
            }
        )

    @property
    def totals(self) -> "SpanCounts":
        """The counts that only grow."""
        return self.plus(SpanCounts(open=self.open, held=self.held), -1)


@define(eq=False)
class PartSpans:
    """Makes spans of the events of one part.

    Attributes:
        terms: How events come to the plugin.
        assembler: Makes the spans.
        sampler: Chooses from them; None if all are wanted.
    """

    terms: Terms
    assembler: SpanAssembler
    sampler: SpanSampler | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        sampling = self.terms.sampling
        self.sampler = None if sampling is None else SpanSampler(sampling, self.assembler)

    @classmethod
    def restored(
        cls, name: str, terms: Terms, parts: Parts, part: str, limited_log: LimitedLog
    ) -> "PartSpans":
        """Restore the spans that were open when *part* was last read, by any process.

        Args:
            name: Of the plugin.
            terms: How events come to it.
            parts: Where they were saved.
            part: The part.
            limited_log: For what operators should know.

        Raises:
            StreamUnavailableError: They cannot be read at present.
        """
        pending, prices = terms.pending_sessions, terms.prices
        spans = cls(terms, SpanAssembler(pending=pending, prices=prices))
        saved = parts.state_of(part)
        if saved is not None:
            try:
                kept = cls(terms, SpanAssembler.from_state(saved, pending=pending, prices=prices))
                if kept.sampler is not None and _SAMPLING in saved:
                    kept.sampler.restore(saved[_SAMPLING])
                spans = kept
            except Exception as error:  # noqa: BLE001 - what an old file holds is no reason to end
                limited_log.warning("restore", "plugin %s: open spans are lost", name, error=error)
        for _, events in parts.since_state_of(part):
            for event in events:
                spans.feed_again(event)
        if spans.sampler is not None:  # all of that was counted
            spans.sampler.settle_waiting()
            spans.sampler.left_out.clear()
        return spans

    def feed_again(self, event: HypervisorEvent) -> None:
        """Feed what was delivered since the spans were saved: whatever it ends was handed over."""
        wanted = self.terms.wanted
        if wanted is not None and not wanted(event.event_type.value):
            return
        feeder = self.sampler or self.assembler
        with contextlib.suppress(Exception):  # an odd event was refused the first time, too
            feeder.feed(self.terms.admit(event))

    def state(self) -> Mapping[str, Any]:
        """Give the open spans, and those that are held, as plain JSON."""
        sampling = {} if self.sampler is None else {_SAMPLING: self.sampler.state()}
        return {**self.assembler.state(), **sampling}

    def feed(self, batch: Batch) -> None:
        """Give *batch* the spans that its events end. One odd event costs itself alone."""
        assembler, sampler = self.assembler, self.sampler
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

    @property
    def counts(self) -> SpanCounts:
        """How many spans became what."""
        assembler, sampler = self.assembler, self.sampler
        made = SpanCounts(
            open=assembler.open_spans, expired=assembler.expired, unmatched=assembler.unmatched
        )
        if sampler is None:
            return made
        return made.plus(
            SpanCounts(
                held=sampler.held_spans,
                left_out=sampler.left_out_spans,
                early_decisions=sampler.early_decisions,
                late_incidents=sampler.late_incidents,
            )
        )
