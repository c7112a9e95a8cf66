"""Spans that wait until it is known whether their trace is kept."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field

from ..events.event import HypervisorEvent
from .record import FinishedSpan
from .saved_spans import span_from_state, span_state

_LOOKED_AT = 64


@define(eq=False)
class Ending:
    """An event that ended spans, for the accounts: it counts once, whatever became of them.

    Attributes:
        event: The event.
        undecided: How many of its spans were not decided on yet.
        settled: Whether it is known what it counts as.
        left_out: Whether that is: none of its spans is handed over.
    """

    event: HypervisorEvent
    undecided: int
    settled: bool = False
    left_out: bool = False


@define(eq=False)
class HeldSpan:
    """A span with the event that ended it; None if an earlier process has counted that."""

    span: FinishedSpan
    ending: Ending | None


@define(eq=False)
class _HeldTrace:
    since: float
    spans: list[HeldSpan] = field(factory=list)


@define(eq=False)
class HeldTraces:
    """The spans that wait, by trace; the trace that has been quiet for longest comes first.

    Attributes:
        spans: How many spans wait.
    """

    spans: int = 0
    _traces: OrderedDict[str, _HeldTrace] = field(factory=OrderedDict)

    def __iter__(self) -> Iterator[HeldSpan]:
        return (one for trace in self._traces.values() for one in trace.spans)

    def add(self, held: HeldSpan, now: float) -> None:
        """Let a span wait."""
        trace_id = held.span.trace_id
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _HeldTrace(now)
        trace.spans.append(held)
        trace.since = now
        self._traces.move_to_end(trace_id)
        self.spans += 1

    def take(self, trace_id: str) -> list[HeldSpan]:
        """Take the spans of a trace out."""
        trace = self._traces.pop(trace_id, None)
        if trace is None:
            return []
        self.spans -= len(trace.spans)
        return trace.spans

    def quiet(self, before: float, now: float, goes_on: Callable[[str], bool]) -> Iterator[str]:
        """Give the traces without a new span since *before*, whose spans are to be taken.

        Args:
            before: A moment on the clock of ``add``.
            now: The present one: a trace that goes on waits anew.
            goes_on: Tells whether something of a trace is open.
        """
        while self._traces:
            trace_id, trace = next(iter(self._traces.items()))
            if trace.since > before:
                return
            if goes_on(trace_id):
                trace.since = now
                self._traces.move_to_end(trace_id)
            else:
                yield trace_id

    def first_to_go(self, goes_on: Callable[[str], bool]) -> str:
        """Give the trace to do without: one of the quietest, and over if there is such a one."""
        quietest = [trace_id for trace_id, _ in zip(self._traces, range(_LOOKED_AT), strict=False)]
        return next((one for one in quietest if not goes_on(one)), quietest[0])

    def state(self) -> list[Any]:
        """Give the spans that wait as plain JSON."""
        return [span_state(held.span) for held in self]

    def restore(self, state: list[Any], now: float) -> None:
        """Let the spans wait again that ``state()`` gave."""
        for span in state:
            self.add(HeldSpan(span_from_state(span), None), now)
