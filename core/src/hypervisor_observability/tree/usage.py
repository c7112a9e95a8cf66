"""Tokens and cost of work, with all that it caused: each report counts once."""

from collections.abc import Iterable

from attrs import define, field

from ..causality.trace_tree import TraceTree
from ..events.event import HypervisorEvent
from ..events.event_types import USAGE_RECORDED
from ..facts import payload_facts
from ..facts.leaves import Leaves
from .work import Outline, Usage, Work, walk


def add_usage(found: Outline, tree: TraceTree) -> None:
    """Tell each piece of work what it used, with all below it.

    A report that sums up others is left out, by the rule of the metrics.
    """
    leaves, reports = Leaves(), []
    for depth, node in tree.walk():
        for event in node.events:
            leaves.note(event)
            if event.event_type == USAGE_RECORDED:
                reports.append(_Report(event, node.span_id, depth))
    if not reports:
        return
    # In their order, as a total comes after its parts; of the same time the inner one first. In
    # microseconds, as they are written down: events that were read back give the same tree.
    reports.sort(key=lambda one: (one.event.timestamp_ns // 1_000, -one.depth))
    for one in reports:
        if not leaves.is_total(one.event, (one.read, one.written, one.cost)):
            work = found.mains[one.span_id]
            work.usage = work.usage or Usage()
            work.usage.add(one.read, one.written, {one.currency: one.cost} if one.cost else {})
    _sum_up(walk(found.roots))


@define
class _Report:
    event: HypervisorEvent
    span_id: str
    depth: int
    read: int = field(init=False)
    written: int = field(init=False)
    cost: float = field(init=False)
    currency: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.read = payload_facts.count(self.event, "input_tokens") or 0
        self.written = payload_facts.count(self.event, "output_tokens") or 0
        self.cost = float(payload_facts.amount(self.event, "cost") or 0)
        self.currency = payload_facts.name(self.event, "currency") or payload_facts.UNKNOWN


def _sum_up(works: Iterable[Work]) -> None:
    """Add what each piece of work used to what is around it, the innermost first."""
    for work in reversed(list(works)):
        used, above = work.usage, work.parent
        if used is not None and above is not None:
            above.usage = above.usage or Usage()
            above.usage.add(used.input_tokens, used.output_tokens, used.cost)
