"""Sum up all traces of a history, in bounded memory."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from attrs import define, field

from ..causality.id_text import parts_of
from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent
from ..facts.leaves import Leaves
from ..facts.prices import Prices
from .summary import TraceSummary

MOST_TRACES = 10_000
"""Most traces that are summed up at a time. Beyond it, one that has ended and had no event for
longest counts as complete; if it has another event after that, it counts as another trace."""


@define(eq=False)
class Best:
    """The traces that rank highest, of those wanted.

    Attributes:
        most: How many are kept.
        wanted: Tells which traces are wanted.
        rank: What they are sorted by.
        count: How many were wanted so far.
    """

    most: int
    wanted: Callable[[TraceSummary], bool]
    rank: Callable[[TraceSummary], Any] = lambda summary: summary.begun_ns
    count: int = 0
    _heap: list[tuple[Any, int, TraceSummary]] = field(factory=list, init=False)

    def offer(self, summary: TraceSummary) -> None:
        """Keep a trace if it is one of them."""
        if not self.wanted(summary):
            return
        self.count += 1
        heapq.heappush(self._heap, (self.rank(summary), self.count, summary))
        if len(self._heap) > self.most:
            heapq.heappop(self._heap)

    def __iter__(self) -> Iterator[TraceSummary]:
        """Give those that were kept, the highest rank first."""
        for _, _, summary in sorted(self._heap, reverse=True):
            yield summary


@define(eq=False)
class Summaries:
    """The traces of a history, while its events are read by time.

    Attributes:
        done: Takes each trace once it is complete, at the latest when :meth:`close` is called.
        prices: To estimate costs that were not reported; None: they are not estimated.
        unreadable: Number of events whose causal id cannot be read.
        without_id: Number of events without one.
        most: Most traces that are summed up at a time.
    """

    done: Callable[[TraceSummary], object]
    prices: Prices | None = None
    unreadable: int = 0
    without_id: int = 0
    most: int = MOST_TRACES
    _running: OrderedDict[str, TraceSummary] = field(factory=OrderedDict, init=False)
    _ended: OrderedDict[str, TraceSummary] = field(factory=OrderedDict, init=False)
    _leaves: Leaves = field(factory=Leaves, init=False)

    def take(self, event: HypervisorEvent) -> TraceSummary | None:
        """Take the next event; give its trace, None if it is in none."""
        text = event.causal_trace_id
        if text is None:
            self.without_id += 1
            return None
        try:
            trace = parts_of(text)[0]
        except ValueError:
            self.unreadable += 1
            return None
        # Two forms name one trace: the short one is the key, where there is one.
        trace = narrow_trace(trace) or trace
        summary = self._running.pop(trace, None) or self._ended.pop(trace, None)
        if summary is None:
            summary = TraceSummary.begin(event)
        summary.take(event, self._leaves, self.prices)
        (self._running if summary.running else self._ended)[trace] = summary
        if len(self._running) + len(self._ended) > self.most:
            _, oldest = (self._ended or self._running).popitem(last=False)
            self.done(oldest)
        return summary

    def __len__(self) -> int:
        return len(self._running) + len(self._ended)

    def __iter__(self) -> Iterator[TraceSummary]:
        """Give those that are not complete yet, in no order."""
        return chain(self._running.values(), self._ended.values())

    def close(self) -> None:
        """Complete those that are left: no event follows."""
        for left in (self._ended, self._running):
            while left:
                self.done(left.popitem(last=False)[1])
