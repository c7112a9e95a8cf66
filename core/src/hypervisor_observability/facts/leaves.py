"""Which reports of usage are totals of others, so that nothing is counted twice."""

from collections import OrderedDict

from attrs import define

from ..causality.id_text import MAX_FULL
from ..events.event import HypervisorEvent
from ..events.event_types import MODEL_STARTED, RUN_STARTED, TOOL_STARTED, EventType
from . import payload_facts

BEGINNINGS: tuple[str, ...] = (
    RUN_STARTED,
    TOOL_STARTED,
    MODEL_STARTED,
    EventType.SESSION_JOINED,
    EventType.SAGA_CREATED,
    EventType.SAGA_STEP_STARTED,
    EventType.SAGA_COMPENSATING,
)
"""The events from which it is known which work lies below which."""

MAX_SPANS = 10_000
"""Most pieces of work that are remembered."""

_MAX_DEPTH = 64

Span = tuple[str, str]
Amounts = tuple[float, float, float]
"""Input tokens, output tokens, cost."""


@define(eq=False)
class _Work:
    parent: Span | None = None
    has_reports_below: bool = False
    reported: Amounts = (0.0, 0.0, 0.0)


class Leaves:
    """Tell reports of one's own usage from those that sum up what lies below.

    Agents report what they used; some frameworks have whoever called them report the sum
    again. A report is taken for such a total if its payload says ``"total": true``; or if it
    says nothing of it, work below it has reported before, and it is no less than all that was
    reported at its place and below: a total cannot be less than its parts.
    """

    def __init__(self) -> None:
        self._works: OrderedDict[Span, _Work] = OrderedDict()
        # Causal ids that nothing was learnt from yet: many a process reports no usage.
        self._noted: OrderedDict[str, None] = OrderedDict()

    def note(self, event: HypervisorEvent) -> None:
        """Learn from an event which work lies below which."""
        text = event.causal_trace_id
        if text is not None and len(text) <= MAX_FULL:
            self._noted[text] = None
            self._noted.move_to_end(text)
            if len(self._noted) > MAX_SPANS:
                self._noted.popitem(last=False)

    def is_total(self, event: HypervisorEvent, amounts: Amounts) -> bool:
        """Tell whether a report sums up others; what it reports is taken into account."""
        said = payload_facts.flag(event, "total")
        for noted in self._noted:
            self._work_of(noted)
        self._noted.clear()
        text, span = event.causal_trace_id, None
        if text is not None and len(text) <= MAX_FULL:
            span = self._work_of(text)
        if said is True:
            return True
        if span is None:
            return False
        work = self._works[span]
        if (
            said is not False
            and work.has_reports_below
            and all(given >= part for given, part in zip(amounts, work.reported, strict=True))
        ):
            return True
        self._report(span, amounts)
        return False

    def _report(self, span: Span, amounts: Amounts) -> None:
        at: Span | None = span
        for _ in range(_MAX_DEPTH):
            work = None if at is None else self._works.get(at)
            if work is None:
                return
            read, written, cost = work.reported
            work.reported = (read + amounts[0], written + amounts[1], cost + amounts[2])
            work.has_reports_below |= at != span
            at = work.parent

    def _work_of(self, causal_trace_id: str) -> Span | None:
        parts = causal_trace_id.split("/")
        if len(parts) not in {2, 3}:
            return None
        span = (parts[0], parts[1])
        if len(parts) == 3 and parts[2] != parts[1]:
            self._remembered(parent := (parts[0], parts[2]))
            self._remembered(span).parent = parent
        else:
            self._remembered(span)
        return span

    def _remembered(self, span: Span) -> _Work:
        work = self._works.get(span)
        if work is not None:
            self._works.move_to_end(span)
            return work
        work = self._works[span] = _Work()
        if len(self._works) > MAX_SPANS:
            self._works.popitem(last=False)
        return work
