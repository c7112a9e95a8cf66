"""Work that goes on, whoever began it: its bounds, and how it ends before its time."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .open_span import Key, OpenSpan
from .open_spans import OpenSpans
from .record import FinishedSpan, SpanStatus

MAX_OPEN = 10_000
"""Most open spans of a kind."""
MAX_REMEMBERED_ENDS = 5_000
"""Most spans of which it is remembered that their end, or their start, may still come."""


@define(eq=False)
class Work:
    """Open spans, and what became of those that nobody ended.

    Attributes:
        open: The open spans.
        expired: Spans given out unfinished, because too many were open, what they belong to
            has ended, or another took their place.
        unmatched: Ends without a start, and starts and ends that came when all was over.
        max_open: Most open spans of a kind.
        given_up: Spans that were given out unfinished on account of the event that is being fed,
            to be handed on with those that it ended.
    """

    open: OpenSpans = field(factory=OpenSpans)
    expired: int = 0
    unmatched: int = 0
    max_open: int = field(factory=lambda: MAX_OPEN)
    given_up: list[FinishedSpan] = field(factory=list, init=False)
    # Spans that were given out before their end was seen.
    _cut_short: OrderedDict[Key, None] = field(factory=OrderedDict, init=False)
    # Spans that were given out before their start was seen, and when they ended.
    _not_begun: OrderedDict[Key, int] = field(factory=OrderedDict, init=False)

    def begin(self, span: OpenSpan, event: HypervisorEvent) -> list[FinishedSpan]:
        """Take *span*, which *event* began; give what has to go for it."""
        before = self.open.get(span.key)
        expired = [] if before is None else self.expire([before], event)
        if self._cut_short:
            self._cut_short.pop(span.key, None)
        beyond = self.open.add(span) - self.max_open
        while beyond > 0:
            expired += self.expire([self.open.oldest(span.key[0])], event)
            beyond -= 1
        return expired

    def expire(self, spans: Iterable[OpenSpan], event: HypervisorEvent) -> list[FinishedSpan]:
        """Give open *spans* out as they stand."""
        finished = []
        for span in spans:
            self.cut_short(span)
            finished.append(span.expire(event))
        self.expired += len(finished)
        return finished

    def end_with(
        self, ended_by: str, spans: Iterable[OpenSpan], event: HypervisorEvent
    ) -> list[FinishedSpan]:
        """End open *spans*, which do not outlast what *event* ended."""
        finished = []
        for span in spans:
            self.cut_short(span)
            span.attributes["agent.hypervisor.ended_by"] = ended_by
            finished.append(span.finish(event, SpanStatus.UNSET))
        return finished

    def kill(self, spans: Iterable[OpenSpan], event: HypervisorEvent) -> list[FinishedSpan]:
        """End open *spans*, whose agent was killed."""
        finished = []
        reason = payload_facts.text(event, "reason")
        message = f"agent killed: {reason}" if reason else "agent killed"
        for span in spans:
            self.cut_short(span)
            span.attributes["error.type"] = "agent_killed"
            finished.append(span.finish(event, SpanStatus.ERROR, message))
        return finished

    def cut_short(self, span: OpenSpan) -> None:
        """Take out an open span whose own end will not be waited for."""
        self.open.pop(span.key)
        _remember(self._cut_short, span.key, None)

    def is_over(self, key: Key) -> bool:
        """Tell, once, whether an end comes for what was cut short: it is no second span."""
        over = key in self._cut_short
        if over:
            del self._cut_short[key]
            self.unmatched += 1
        return over

    def end_unseen(self, key: Key, event: HypervisorEvent) -> None:
        """Note that *event* ended what nobody saw begin."""
        self.unmatched += 1
        _remember(self._not_begun, key, event.timestamp_ns)

    def came_late(self, key: Key, event: HypervisorEvent) -> bool:
        """Tell whether the work that *event* begins has ended already: nothing begins."""
        if not self._not_begun:
            return False
        end_ns = self._not_begun.pop(key, None)
        late = end_ns is not None and event.timestamp_ns <= end_ns
        self.unmatched += late
        return late

    def state(self) -> dict[str, Any]:
        """Give all of it as plain JSON."""
        return {
            "open": [span.state() for span in self.open],
            "expired": self.expired,
            "unmatched": self.unmatched,
            "cut_short": [list(key) for key in self._cut_short],
            "not_begun": [[list(key), end_ns] for key, end_ns in self._not_begun.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what ``state()`` gave."""
        for span in state["open"]:
            self.open.add(OpenSpan.from_state(span))
        self.expired = int(state["expired"])
        self.unmatched = int(state["unmatched"])
        for key in state["cut_short"]:
            self._cut_short[tuple(key)] = None
        for key, end_ns in state["not_begun"]:
            self._not_begun[tuple(key)] = int(end_ns)


def _remember(ends: OrderedDict[Key, Any], key: Key, value: int | None) -> None:
    ends[key] = value
    if len(ends) > MAX_REMEMBERED_ENDS:
        ends.popitem(last=False)
